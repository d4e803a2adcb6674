// SPDX-License-Identifier: MIT
//! One file alone, for `drvhost manifest check`.

use std::path::Path;

use crate::document::Document;
use crate::problem::Problem;
use crate::read::{Stamp, read};

/// A file that would be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What it says.
    pub document: Document,
    /// What is allowed but probably not meant, in sentences for people.
    pub warnings: Vec<String>,
}

/// Reads one manifest or override as a [`Store`](crate::Store) would.
///
/// # Errors
/// What a store would report about it.
pub fn check(path: &Path) -> Result<Checked, Problem> {
    let document = Document::parse(path, &read(path)?)?;
    let mut warnings = Vec::new();
    if path.extension().is_none_or(|e| e != "ron") {
        warnings.push("the file name does not end in .ron: no directory would use it".to_owned());
    }
    let library = match &document {
        Document::Manifest(m) => Some(m.library.as_str()),
        Document::Override(o) => o.library.as_deref(),
    };
    let library = library.map(|l| path.with_file_name("").join(l));
    if let Some(missing) = library.filter(|l| Stamp::of(l).is_none()) {
        warnings.push(format!("there is no library {}", missing.display()));
    }
    if let Document::Manifest(m) = &document {
        if m.matches.is_empty() {
            warnings.push("`matches` has no rule: only an override can choose this driver".into());
        }
        if m.policy.backoff_first_ms > m.policy.backoff_limit_ms {
            warnings.push("`backoff_first_ms` is above `backoff_limit_ms`, which wins".into());
        }
    }
    Ok(Checked { document, warnings })
}
