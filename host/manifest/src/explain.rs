// SPDX-License-Identifier: MIT
//! Why a device gets the drivers it gets, rule by rule, for `drvhost doctor`.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::device::Device;
use crate::manifest::Manifest;
use crate::overrides::Override;
use crate::rule::{Mismatch, Rule, Specificity};
use crate::select::{MatchError, Selection};
use crate::store::{Loaded, Store};

/// Everything that was looked at. [`fmt::Display`] gives the text for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The device.
    pub device: Device,
    /// Every override, in the order in which they apply.
    pub overrides: Vec<OverrideNote>,
    /// Every manifest: candidates in their order first, then the others by file name.
    pub manifests: Vec<ManifestNote>,
    /// What kept drivers out, in sentences.
    pub errors: Vec<String>,
}

/// An override, and why it applies or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OverrideNote {
    /// The file.
    pub file: PathBuf,
    /// What the device differs in; empty if the override applies.
    pub mismatches: Vec<Mismatch>,
    /// What it changes, in words.
    pub changes: String,
}

/// A manifest, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ManifestNote {
    /// The file.
    pub file: PathBuf,
    /// The driver's name.
    pub driver: String,
    /// Its priority.
    pub priority: i32,
    /// The library that would be loaded.
    pub library: PathBuf,
    /// Whether there was such a file when the directories were read.
    pub library_found: bool,
    /// Each rule, and whether it matches.
    pub rules: Vec<RuleNote>,
    /// What came of it.
    pub verdict: Verdict,
}

/// A rule, and whether it matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum RuleNote {
    /// It matches this specifically.
    Matches(Specificity),
    /// It does not, because of these fields.
    Differs(Vec<Mismatch>),
}

/// What came of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// It is tried, as the first, second ...
    Candidate(usize),
    /// It matches as well as these others.
    Tied(Vec<PathBuf>),
    /// No rule matches.
    NoMatch,
    /// It has no rules: only an override can choose it.
    NoRules,
    /// A rule matches, but an override chose another driver, or none, or disables the device.
    Overridden,
}

impl Store {
    /// Why [`Store::select`] answers what it does for `device`.
    #[must_use]
    pub fn explain(&self, device: &Device) -> Explanation {
        let selection = self.select(device);
        let mut manifests: Vec<ManifestNote> = self
            .manifests()
            .iter()
            .map(|m| self.note(device, &selection, m))
            .collect();
        manifests.sort_by_key(|note| match note.verdict {
            Verdict::Candidate(rank) => rank,
            _ => usize::MAX,
        });
        Explanation {
            device: *device,
            overrides: self
                .overrides()
                .iter()
                .map(|o| override_note(o, device))
                .collect(),
            manifests,
            errors: selection.errors.iter().map(ToString::to_string).collect(),
        }
    }

    fn note(&self, device: &Device, selection: &Selection, m: &Loaded<Manifest>) -> ManifestNote {
        let rules: Vec<RuleNote> = m
            .item
            .matches
            .iter()
            .map(|r| rule_note(r, device))
            .collect();
        let rank = selection
            .candidates
            .iter()
            .position(|c| c.manifest.path == m.path);
        let library = match rank {
            Some(i) => selection.candidates[i].library.clone(),
            None => m.library.clone().unwrap_or_default(),
        };
        let verdict = match (rank, tied(&selection.errors, &m.path)) {
            (Some(i), _) => Verdict::Candidate(i + 1),
            (None, Some(others)) => Verdict::Tied(others),
            (None, None) if rules.is_empty() => Verdict::NoRules,
            (None, None) if rules.iter().any(|r| matches!(r, RuleNote::Matches(_))) => {
                Verdict::Overridden
            }
            (None, None) => Verdict::NoMatch,
        };
        ManifestNote {
            file: m.path.clone(),
            driver: m.item.driver.clone(),
            priority: m.item.priority,
            library_found: self.libraries().contains_key(&library),
            library,
            rules,
            verdict,
        }
    }
}

/// The other files of a tie that `path` is in.
fn tied(errors: &[MatchError], path: &Path) -> Option<Vec<PathBuf>> {
    errors.iter().find_map(|error| match error {
        MatchError::Tie(files) if files.iter().any(|f| f == path) => {
            Some(files.iter().filter(|f| *f != path).cloned().collect())
        }
        _ => None,
    })
}

fn rule_note(rule: &Rule, device: &Device) -> RuleNote {
    match rule.fit(&device.ids) {
        Ok(specificity) => RuleNote::Matches(specificity),
        Err(mismatches) => RuleNote::Differs(mismatches),
    }
}

fn override_note(file: &Loaded<Override>, device: &Device) -> OverrideNote {
    let over = &file.item;
    let address = over
        .address
        .filter(|a| *a != device.address)
        .map(|a| Mismatch {
            field: "address",
            wanted: a.to_string(),
            has: device.address.to_string(),
        });
    let ids = over
        .ids
        .as_ref()
        .and_then(|rule| rule.fit(&device.ids).err())
        .unwrap_or_default();
    let mut changes = Vec::new();
    changes.extend(
        over.driver
            .as_ref()
            .map(|driver| format!("driver {driver}")),
    );
    changes.extend(
        file.library
            .as_ref()
            .map(|library| format!("library {}", library.display())),
    );
    changes.extend(
        over.params
            .iter()
            .map(|(k, v)| format!("parameter {k}={v:?}")),
    );
    changes.extend(
        over.disabled
            .map(|d| if d { "disabled" } else { "enabled" }.to_owned()),
    );
    OverrideNote {
        file: file.path.clone(),
        mismatches: address.into_iter().chain(ids).collect(),
        changes: changes.join(", "),
    }
}

/// Items joined by a separator.
fn joined<T: fmt::Display>(items: &[T], separator: &str) -> String {
    items
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(separator)
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "device {}", self.device)?;
        for note in &self.overrides {
            let OverrideNote {
                file,
                mismatches,
                changes,
            } = note;
            match mismatches.as_slice() {
                [] => writeln!(f, "override {}: applies: {changes}", file.display())?,
                some => {
                    writeln!(
                        f,
                        "override {}: does not apply: {}",
                        file.display(),
                        joined(some, "; ")
                    )?;
                }
            }
        }
        for note in &self.manifests {
            write!(f, "{note}")?;
        }
        if self.manifests.is_empty() {
            writeln!(f, "there are no manifests")?;
        }
        self.errors
            .iter()
            .try_for_each(|error| writeln!(f, "error: {error}"))
    }
}

impl fmt::Display for ManifestNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            driver,
            priority,
            verdict,
            ..
        } = self;
        write!(
            f,
            "manifest {} (driver {driver}, priority {priority}): ",
            file.display()
        )?;
        match verdict {
            Verdict::Candidate(1) => writeln!(f, "chosen")?,
            Verdict::Candidate(n) => writeln!(f, "candidate {n}")?,
            Verdict::Tied(others) => {
                let others: Vec<_> = others.iter().map(|o| o.display()).collect();
                writeln!(
                    f,
                    "not used: matches no better than {}",
                    joined(&others, " and ")
                )?;
            }
            Verdict::NoMatch => writeln!(f, "no rule matches")?,
            Verdict::NoRules => writeln!(f, "has no rules, and no override chose it")?,
            Verdict::Overridden => writeln!(f, "not used: an override said otherwise")?,
        }
        for (i, rule) in self.rules.iter().enumerate() {
            match rule {
                RuleNote::Matches(how) => writeln!(f, "  rule {}: matches by {how}", i + 1)?,
                RuleNote::Differs(why) => {
                    writeln!(f, "  rule {}: does not match: {}", i + 1, joined(why, "; "))?;
                }
            }
        }
        if matches!(verdict, Verdict::Candidate(_)) && !self.library_found {
            writeln!(f, "  its library {} does not exist", self.library.display())?;
        }
        Ok(())
    }
}
