// SPDX-License-Identifier: MIT
//! Reading the file: bounded, regular, never blocking.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::error::Reason;

/// The most bytes that are read; amdgpu with symbols has some 100 MiB.
const LIMIT: u64 = 512 << 20;

/// All bytes of a regular file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Reason> {
    // Without NONBLOCK, opening a pipe would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(std::io::Error::from)?;
    let file = File::from(fd);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Reason::NotRegular);
    }
    // Before anything is allocated; and again while reading, since the file may grow.
    if metadata.len() > LIMIT {
        return Err(Reason::TooLarge { limit: LIMIT });
    }
    let mut bytes = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LIMIT {
        return Err(Reason::TooLarge { limit: LIMIT });
    }
    Ok(bytes)
}
