// SPDX-License-Identifier: MIT
//! Reading a file that anybody may have put there: bounded, regular, never blocking.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::problem::Problem;

/// The most bytes that are read of a manifest; the largest real one (amdgpu's) has some 60 KiB.
pub const LIMIT: u64 = 1 << 20;

/// What tells one version of a file from the next without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Seconds and nanoseconds of the last change of content.
    pub modified: (i64, i64),
    /// Bytes.
    pub size: u64,
    /// File system and inode: a file renamed into place has another one.
    pub inode: (u64, u64),
}

impl Stamp {
    /// The stamp of the file at `path`, following links; `None` if there is none.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        fs::metadata(path)
            .ok()
            .filter(Metadata::is_file)
            .map(|m| Self::from(&m))
    }
}

impl From<&Metadata> for Stamp {
    fn from(m: &Metadata) -> Self {
        Self {
            modified: (m.mtime(), m.mtime_nsec()),
            size: m.size(),
            inode: (m.dev(), m.ino()),
        }
    }
}

/// The bytes of a regular file of at most [`LIMIT`] bytes.
///
/// # Errors
/// [`Problem::Read`], [`Problem::NotRegular`] or [`Problem::TooLarge`].
pub fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let failed = |source| Problem::Read {
        path: path.to_owned(),
        source,
    };
    // Without NONBLOCK, opening a pipe would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(
        rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?,
    );
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(Problem::NotRegular {
            path: path.to_owned(),
        });
    }
    let mut bytes = Vec::new();
    // One byte more than allowed shows that there is more; the size in the metadata may be old.
    file.take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > LIMIT {
        return Err(Problem::TooLarge {
            path: path.to_owned(),
            limit: LIMIT,
        });
    }
    Ok(bytes)
}
