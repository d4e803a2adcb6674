// SPDX-License-Identifier: MIT
//! Adding entries to directories that take none (sysfs), or that others must not see changed.
//!
//! A small tmpfs is mounted over the directory, in which each old entry appears again: links are
//! copied, files and directories bound to what they were, so reads and writes reach the kernel as
//! before. An overlay would do with one mount, but a write through it would stay in it; nor does
//! every kernel allow it to users.

use crate::exec::ExecError;
use rustix::fs::{CWD, FileType, Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount, mount_bind_recursive, mount_remount};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// What is done with the files of a directory that is rebuilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Files {
    /// Bound to the old ones.
    Bind,
    /// Copied: there are many, and small.
    Copy,
}

/// The directories that are ours in the private view.
#[derive(Debug, Default)]
pub struct Tree {
    own: BTreeSet<PathBuf>,
    mounts: Vec<PathBuf>,
}

/// `nodev`: a device of the same number may exist, and must not be reached by our nodes.
const FLAGS: MountFlags = MountFlags::NOSUID
    .union(MountFlags::NODEV)
    .union(MountFlags::NOEXEC);

fn failed<E: Into<io::Error>>(what: &'static str, path: &Path) -> impl FnOnce(E) -> ExecError {
    let path = path.to_owned();
    move |error| ExecError::View {
        what,
        path,
        error: error.into(),
    }
}

impl Tree {
    /// Makes a directory that takes new entries and keeps the old ones.
    pub fn directory(&mut self, path: &Path) -> Result<(), ExecError> {
        self.owned(path, Files::Bind)
    }

    /// The same, with copies of the old files.
    pub fn directory_of_copies(&mut self, path: &Path) -> Result<(), ExecError> {
        self.owned(path, Files::Copy)
    }

    /// Makes an empty directory, whatever was there.
    pub fn fresh(&mut self, path: &Path) -> Result<(), ExecError> {
        if path.is_dir() {
            self.mount(path)
        } else {
            self.directory(path)
        }
    }

    /// Writes a file in one of our directories, for reading only.
    pub fn file(&mut self, path: &Path, content: impl AsRef<[u8]>) -> Result<(), ExecError> {
        fs::write(path, content).map_err(failed("writing", path))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o444))
            .map_err(failed("permitting", path))
    }

    /// Makes a link in one of our directories, in place of one that may be there.
    pub fn link(&mut self, path: &Path, target: impl AsRef<Path>) -> Result<(), ExecError> {
        match fs::remove_file(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("replacing", path)(error)),
        }
        symlink(target, path).map_err(failed("linking", path))
    }

    /// Ends building: what we mounted can't be written to any more, so a write to an entry that
    /// no kernel is behind fails rather than being lost.
    pub fn seal(&self) -> Result<(), ExecError> {
        for path in &self.mounts {
            let flags = FLAGS | MountFlags::BIND | MountFlags::RDONLY;
            // Where a later mount covers it, there is nothing to seal.
            match mount_remount(path, flags, c"") {
                Ok(()) | Err(Errno::INVAL) => {}
                Err(error) => return Err(failed("sealing", path)(error)),
            }
        }
        Ok(())
    }

    fn owned(&mut self, path: &Path, files: Files) -> Result<(), ExecError> {
        if self.own.contains(path) {
            return Ok(());
        }
        if path.is_dir() {
            return self.rebuild(path, files);
        }
        if let Some(parent) = path.parent() {
            self.owned(parent, Files::Bind)?;
        }
        fs::create_dir(path).map_err(failed("making", path))?;
        self.own.insert(path.to_owned());
        Ok(())
    }

    fn mount(&mut self, path: &Path) -> Result<(), ExecError> {
        mount("drvhost", path, "tmpfs", FLAGS, c"mode=755").map_err(failed("mounting", path))?;
        self.mounts.push(path.to_owned());
        self.own.insert(path.to_owned());
        Ok(())
    }

    fn rebuild(&mut self, path: &Path, files: Files) -> Result<(), ExecError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let old = openat(CWD, path, flags, Mode::empty()).map_err(failed("opening", path))?;
        let old = (
            PathBuf::from(format!("/proc/self/fd/{}", old.as_raw_fd())),
            old,
        );
        let mut entries = Vec::new();
        for entry in fs::read_dir(&old.0).map_err(failed("listing", path))? {
            let entry = entry.map_err(failed("listing", path))?;
            let kind = entry.file_type().map_err(failed("listing", path))?;
            entries.push((entry.file_name(), kind));
        }
        self.mount(path)?;
        for (name, kind) in entries {
            self.again(&old.0, path, &name, kind, files)?;
        }
        Ok(())
    }

    /// One old entry, in the new directory.
    fn again(
        &self,
        old: &Path,
        new: &Path,
        name: &OsString,
        kind: fs::FileType,
        files: Files,
    ) -> Result<(), ExecError> {
        let (from, to) = (old.join(name), new.join(name));
        if kind.is_symlink() {
            let target = fs::read_link(&from).map_err(failed("reading", &to))?;
            return symlink(target, &to).map_err(failed("linking", &to));
        }
        if kind.is_file() && files == Files::Copy {
            return match fs::read(&from) {
                Ok(content) => fs::write(&to, content).map_err(failed("copying", &to)),
                // Gone since, or not for us.
                Err(_) => Ok(()),
            };
        }
        if kind.is_dir() {
            mkdirat(CWD, &to, Mode::from_raw_mode(0o755)).map_err(failed("making", &to))?;
        } else {
            fs::write(&to, "").map_err(failed("making", &to))?;
        }
        match mount_bind_recursive(&from, &to) {
            Ok(()) => Ok(()),
            // Gone since: sysfs changes while it is looked at.
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(failed("binding", &to)(error)),
        }
    }
}

/// Makes a node. Where the kernel lets us make no devices, it is a socket, which the preload
/// library shows as one.
pub fn node(path: &Path, device: u64, mode: u32, owner: (u32, u32)) -> Result<(), ExecError> {
    let plain = Mode::from_raw_mode(0o600);
    match rustix::fs::mknodat(CWD, path, FileType::CharacterDevice, plain, device) {
        Err(Errno::PERM) => rustix::fs::mknodat(CWD, path, FileType::Socket, plain, 0)
            .map_err(failed("making", path))?,
        other => other.map_err(failed("making", path))?,
    }
    let is_socket = fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket());
    match std::os::unix::fs::lchown(path, Some(owner.0), Some(owner.1)) {
        Ok(()) => {}
        // In a user namespace there are no others; the node is the user's own.
        Err(_) if is_socket => {}
        Err(error) => return Err(failed("giving away", path)(error)),
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o777))
        .map_err(failed("permitting", path))
}
