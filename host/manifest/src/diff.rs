// SPDX-License-Identifier: MIT
//! What changed between two readings of the directories.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::store::Store;

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// It is new, or no longer bad.
    Added,
    /// It says something else than before.
    Changed,
    /// It is gone, replaced by a later directory's, or became bad.
    Removed,
}

/// A file that changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Change {
    /// The file.
    pub path: PathBuf,
    /// What happened to it.
    pub kind: ChangeKind,
}

/// All changes, each list by path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diff {
    /// Manifests whose content (or library's path) changed; touching a file is no change.
    pub manifests: Vec<Change>,
    /// Overrides, likewise.
    pub overrides: Vec<Change>,
    /// Libraries whose time, size or inode changed.
    pub libraries: Vec<Change>,
}

impl Diff {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.manifests.is_empty() && self.overrides.is_empty() && self.libraries.is_empty()
    }
}

/// What changed from `old` to `new`.
#[must_use]
pub fn diff(old: &Store, new: &Store) -> Diff {
    let manifests = |s: &'_ Store| {
        s.manifests()
            .iter()
            .map(|m| (m.path.clone(), m.clone()))
            .collect::<BTreeMap<_, _>>()
    };
    let overrides = |s: &'_ Store| {
        s.overrides()
            .iter()
            .map(|o| (o.path.clone(), o.clone()))
            .collect::<BTreeMap<_, _>>()
    };
    Diff {
        manifests: changes(&manifests(old), &manifests(new)),
        overrides: changes(&overrides(old), &overrides(new)),
        libraries: changes(old.libraries(), new.libraries()),
    }
}

fn changes<T: PartialEq>(old: &BTreeMap<PathBuf, T>, new: &BTreeMap<PathBuf, T>) -> Vec<Change> {
    let change = |path: &Path, kind| Change {
        path: path.to_owned(),
        kind,
    };
    let gone = old.keys().filter(|path| !new.contains_key(*path));
    let mut all: Vec<Change> = gone.map(|path| change(path, ChangeKind::Removed)).collect();
    for (path, value) in new {
        match old.get(path) {
            None => all.push(change(path, ChangeKind::Added)),
            Some(earlier) if earlier != value => all.push(change(path, ChangeKind::Changed)),
            Some(_) => {}
        }
    }
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all
}
