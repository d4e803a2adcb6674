// SPDX-License-Identifier: MIT
//! Text to manifest or override.

use std::path::Path;

use ron::Options;
use ron::extensions::Extensions;
use serde::{Deserialize, Serialize};

use crate::manifest::Manifest;
use crate::overrides::Override;
use crate::problem::Problem;

/// How deep values may nest. A manifest needs six levels; the parser recurses once a level.
const DEPTH: usize = 32;

/// A file's content: `Manifest(..)` or `Override(..)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Document {
    /// A driver's manifest.
    Manifest(Box<Manifest>),
    /// An administrator's override.
    Override(Box<Override>),
}

impl Document {
    /// Parses a file's bytes; `path` is for messages only.
    ///
    /// # Errors
    /// [`Problem::Syntax`] with line and column.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Problem> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let (line, column) = position(&bytes[..error.valid_up_to()]);
            syntax(path, line, column, "is not UTF-8 text".to_owned())
        })?;
        options().from_str(text).map_err(|error| {
            let at = error.span.start;
            syntax(path, at.line, at.col, error.code.to_string())
        })
    }
}

/// RON as manifests use it: no `Some`, and one pair of parentheses behind `Manifest`.
fn options() -> Options {
    Options::default()
        .with_default_extension(Extensions::IMPLICIT_SOME)
        .with_default_extension(Extensions::UNWRAP_VARIANT_NEWTYPES)
        .with_recursion_limit(DEPTH)
}

fn syntax(path: &Path, line: usize, column: usize, message: String) -> Problem {
    Problem::Syntax {
        path: path.to_owned(),
        line,
        column,
        message,
    }
}

/// Line and column, from 1, of the place behind `before`.
fn position(before: &[u8]) -> (usize, usize) {
    let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
    let start = before
        .iter()
        .rposition(|&b| b == b'\n')
        .map_or(0, |i| i + 1);
    (
        line,
        String::from_utf8_lossy(&before[start..]).chars().count() + 1,
    )
}
