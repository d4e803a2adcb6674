// SPDX-License-Identifier: MIT
//! The copy of a checked file that is loaded in its place.

use std::io;
use std::path::{Path, PathBuf};

#[cfg(target_os = "linux")]
pub use linux::Sealed;
#[cfg(not(target_os = "linux"))]
pub use path::Sealed;

/// Linux: the bytes in a memory file that nobody can change any more.
#[cfg(target_os = "linux")]
mod linux {
    use super::{Path, PathBuf, io};
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

    use rustix::fs::{MemfdFlags, SealFlags};

    /// A memory file with the bytes that were checked, sealed against every change.
    #[derive(Debug)]
    pub struct Sealed(OwnedFd);

    impl Sealed {
        pub(crate) fn new(path: &Path, bytes: &[u8]) -> io::Result<Self> {
            // The name is what /proc/PID/maps and backtraces show; the kernel takes 249 bytes.
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let name: String = name.chars().filter(|c| *c != '\0').take(60).collect();
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            let mut file = File::from(rustix::fs::memfd_create(name, flags)?);
            file.write_all(bytes)?;
            let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
            rustix::fs::fcntl_add_seals(&file, seals)?;
            Ok(Self(file.into()))
        }

        /// What to give `dlopen` in this process while this value lives. The loader takes a
        /// second file under the same number for the first one: keep the value for as long as
        /// the library is loaded.
        #[must_use]
        pub fn load_path(&self) -> PathBuf {
            PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
        }

        /// The descriptor, for a worker.
        #[must_use]
        pub fn into_fd(self) -> OwnedFd {
            self.0
        }
    }

    impl AsFd for Sealed {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }
}

/// Elsewhere: the file itself. Drivers must not be overwritten in place there.
#[cfg(not(target_os = "linux"))]
mod path {
    use super::{Path, PathBuf, io};

    /// The path of the file that was checked: this system has no sealed memory files.
    #[derive(Debug)]
    pub struct Sealed(PathBuf);

    impl Sealed {
        pub(crate) fn new(path: &Path, _bytes: &[u8]) -> io::Result<Self> {
            Ok(Self(path.to_owned()))
        }

        /// What to give `dlopen`.
        #[must_use]
        pub fn load_path(&self) -> PathBuf {
            self.0.clone()
        }
    }
}
