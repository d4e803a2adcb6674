// SPDX-License-Identifier: MIT
//! The directories of manifests, overrides and libraries, read as a whole.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diff::{Diff, diff};
use crate::document::Document;
use crate::index::Index;
use crate::manifest::Manifest;
use crate::overrides::Override;
use crate::problem::Problem;
use crate::read::{Stamp, read};

/// Where drivers and overrides lie if nothing else is said; the later one wins.
pub const DEFAULT_DIRS: [&str; 2] = ["/usr/lib/redox/drivers", "/etc/redox/drivers.d"];

/// A manifest or override and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded<T> {
    /// The file.
    pub path: PathBuf,
    /// The library it names: beside the file, else in the last directory that has it, else the
    /// path beside the file where it should be. `None` if an override names none.
    pub library: Option<PathBuf>,
    /// What the file says.
    pub item: T,
}

/// Everything that the directories say. Never changes: a reload makes a new one.
///
/// A file replaces that of the same name and kind in an earlier directory. A manifest and an
/// override of the same name do not replace each other.
#[derive(Debug, Clone)]
pub struct Store {
    dirs: Vec<PathBuf>,
    manifests: Vec<Arc<Loaded<Manifest>>>,
    overrides: Vec<Arc<Loaded<Override>>>,
    libraries: BTreeMap<PathBuf, Stamp>,
    pub(crate) index: Index,
}

impl Store {
    /// Reads `dirs`, of which later ones win. A directory that does not exist is empty; every
    /// other thing that can't be used is skipped by itself and reported.
    #[must_use]
    pub fn load<P: AsRef<Path>>(dirs: &[P]) -> (Self, Vec<Problem>) {
        let dirs: Vec<PathBuf> = dirs.iter().map(|d| d.as_ref().to_owned()).collect();
        let mut problems = Vec::new();
        let mut found = Found::default();
        for dir in &dirs {
            if let Err(source) = found.scan(dir, &mut problems) {
                problems.push(Problem::Read {
                    path: dir.clone(),
                    source,
                });
            }
        }
        (found.finish(dirs), problems)
    }

    /// Reads the same directories again and says what changed.
    #[must_use]
    pub fn reload(&self) -> (Self, Vec<Problem>, Diff) {
        let (new, problems) = Self::load(&self.dirs);
        let changes = diff(self, &new);
        (new, problems, changes)
    }

    /// The directories, of which later ones win: what a watcher has to watch.
    #[must_use]
    pub fn dirs(&self) -> &[PathBuf] {
        &self.dirs
    }

    /// The manifests in force, by file name.
    #[must_use]
    pub fn manifests(&self) -> &[Arc<Loaded<Manifest>>] {
        &self.manifests
    }

    /// The overrides in force, in the order in which they apply: later ones win.
    #[must_use]
    pub fn overrides(&self) -> &[Arc<Loaded<Override>>] {
        &self.overrides
    }

    /// The libraries that exist: all of the directories', and others that are named by path.
    #[must_use]
    pub fn libraries(&self) -> &BTreeMap<PathBuf, Stamp> {
        &self.libraries
    }
}

/// What a scan has collected so far.
#[derive(Default)]
struct Found {
    /// By file name, so that a later directory's replaces an earlier one's.
    manifests: BTreeMap<OsString, Loaded<Manifest>>,
    overrides: BTreeMap<OsString, Loaded<Override>>,
    libraries: BTreeMap<PathBuf, Stamp>,
}

impl Found {
    /// Reads one directory's files in name order.
    fn scan(&mut self, dir: &Path, problems: &mut Vec<Problem>) -> io::Result<()> {
        let entries = match fs::read_dir(dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        let mut names = entries
            .map(|e| e.map(|e| e.file_name()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        for name in names {
            let path = dir.join(&name);
            // A leading dot is how editors and package managers mark what is not ready.
            let hidden = name.as_encoded_bytes().starts_with(b".");
            match path.extension().and_then(|e| e.to_str()) {
                Some("so") if !hidden => {
                    self.libraries
                        .extend(Stamp::of(&path).map(|stamp| (path, stamp)));
                }
                Some("ron") if !hidden => {
                    match read(&path).and_then(|bytes| Document::parse(&path, &bytes)) {
                        Ok(document) => self.add(name, path, document),
                        Err(problem) => problems.push(problem),
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn add(&mut self, name: OsString, path: PathBuf, document: Document) {
        let library = None;
        match document {
            Document::Manifest(item) => {
                self.manifests.insert(
                    name,
                    Loaded {
                        path,
                        library,
                        item: *item,
                    },
                );
            }
            Document::Override(item) => {
                self.overrides.insert(
                    name,
                    Loaded {
                        path,
                        library,
                        item: *item,
                    },
                );
            }
        }
    }

    /// Now that all directories are known: finds the libraries and orders the overrides.
    fn finish(self, dirs: Vec<PathBuf>) -> Store {
        let Self {
            manifests,
            overrides,
            mut libraries,
        } = self;
        let mut resolve = |file: &Path, library: &str| {
            let path = resolve(&dirs, &libraries, file, library);
            if let Some(stamp) = Stamp::of(&path) {
                libraries.insert(path.clone(), stamp);
            }
            path
        };
        let manifests: Vec<_> = manifests
            .into_values()
            .map(|mut m| {
                m.library = Some(resolve(&m.path, &m.item.library));
                Arc::new(m)
            })
            .collect();
        let mut overrides: Vec<_> = overrides
            .into_values()
            .map(|mut o| {
                o.library = o
                    .item
                    .library
                    .as_deref()
                    .map(|library| resolve(&o.path, library));
                Arc::new(o)
            })
            .collect();
        // Those of single devices last, because they are the more specific ones; within each,
        // directory by directory in name order, which a stable sort keeps.
        let dir_of = |path: &Path| dirs.iter().rposition(|d| path.parent() == Some(d));
        overrides.sort_by_key(|o| (o.item.address.is_some(), dir_of(&o.path)));
        let index = Index::new(&manifests);
        Store {
            dirs,
            manifests,
            overrides,
            libraries,
            index,
        }
    }
}

/// The path of the library that `file` names, see [`Loaded::library`].
fn resolve(
    dirs: &[PathBuf],
    libraries: &BTreeMap<PathBuf, Stamp>,
    file: &Path,
    library: &str,
) -> PathBuf {
    // An absolute `library` replaces the directory in this join.
    let beside = file.with_file_name("").join(library);
    if beside == Path::new(library) || libraries.contains_key(&beside) {
        return beside;
    }
    let elsewhere = dirs.iter().rev().map(|d| d.join(library));
    elsewhere
        .into_iter()
        .find(|path| libraries.contains_key(path))
        .unwrap_or(beside)
}
