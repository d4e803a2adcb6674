// SPDX-License-Identifier: MIT
//! Drivers' files that were checked, ready for the next worker.
//!
//! A driver may have megabytes: reading, checking and copying it takes longer than all else that
//! a new worker takes. The copy is sealed, so all workers of a driver can have the same one.

use drvhost_manifest::read::Stamp;
use drvhost_plugin::{Checker, PluginError};
use drvhost_worker::Plugin;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The checked copies.
#[derive(Debug)]
pub struct Images {
    checker: Checker,
    kept: Kept<Plugin>,
}

impl Images {
    /// None yet; files are checked with `checker`.
    pub fn new(checker: Checker) -> Images {
        Images {
            checker,
            kept: Kept::default(),
        }
    }

    /// A driver's file, checked: now, or for an earlier worker if it is the same file still.
    pub fn get(&self, path: &Path) -> Result<Arc<Plugin>, PluginError> {
        self.kept
            .get(path, || Ok(Plugin::new(self.checker.verify(path)?, None)))
    }
}

/// What was made of files, until they change.
#[derive(Debug)]
struct Kept<T>(Mutex<BTreeMap<PathBuf, (Stamp, Arc<T>)>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Kept(Mutex::default())
    }
}

impl<T> Kept<T> {
    fn get<E>(&self, path: &Path, make: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Before the file is read: if it changes meanwhile, the next one to ask finds that out.
        let stamp = Stamp::of(path);
        {
            let mut kept = lock();
            match kept.get(path) {
                Some((known, made)) if Some(*known) == stamp => return Ok(made.clone()),
                // What is not there any more is not needed again.
                _ => kept.retain(|other, _| other != path && other.exists()),
            }
        }
        let made = Arc::new(make()?);
        if let Some(stamp) = stamp {
            lock().insert(path.to_owned(), (stamp, made.clone()));
        }
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_looked_at_again_when_they_changed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("a.so"), dir.path().join("b.so"));
        let kept = Kept::default();
        let get = |path: &Path, value| kept.get(path, || Ok::<_, ()>(value)).map(|made| *made);
        // Nothing is kept of a file that is not there.
        assert_eq!(get(&path, 1), Ok(1));
        assert_eq!(get(&path, 2), Ok(2));
        std::fs::write(&path, "one").unwrap();
        std::fs::write(&other, "other").unwrap();
        assert_eq!(get(&path, 3), Ok(3));
        assert_eq!(get(&path, 4), Ok(3));
        assert_eq!(get(&other, 5), Ok(5));
        // Put into place as package managers do: another inode, with the same name.
        let new = dir.path().join("new");
        std::fs::write(&new, "two").unwrap();
        std::fs::rename(&new, &path).unwrap();
        assert_eq!(kept.get(&path, || Err("refused")), Err("refused"));
        assert_eq!(get(&path, 6), Ok(6));
        assert_eq!(get(&other, 7), Ok(5));
        std::fs::remove_file(&other).unwrap();
        assert_eq!(get(&other, 8), Ok(8));
        assert_eq!(kept.0.lock().unwrap().len(), 1);
    }
}
