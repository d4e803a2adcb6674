// SPDX-License-Identifier: MIT
//! The machine's memory, which is all that QEMU's devices reach by DMA.
//!
//! It is one file, and a device sees byte N of it at address N. A client that wants memory for
//! DMA can't bring a file of its own, as it can to a simulated device: it takes the file from
//! region [`crate::function::REGION_RAM`] of its device and claims a part of it with a DMA_MAP of
//! that same file with the IOVA equal to the offset. Claims of all devices of a machine are kept
//! here, so that none overlap: EEXIST tells a client to try elsewhere.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{MemfdFlags, SealFlags, fstat};

use crate::function::Refused;

use super::error::BridgeError;

const EEXIST: i32 = 17;
const ENOENT: i32 = 2;

/// The machine's memory.
#[derive(Debug)]
pub struct Ram {
    file: Arc<OwnedFd>,
    size: u64,
    /// Start and end of what is claimed.
    claims: Mutex<BTreeMap<u64, u64>>,
}

impl Ram {
    /// Makes a file of so many MiB and seals its size.
    ///
    /// # Errors
    /// When the system refuses so much.
    pub fn new(mebibytes: u32) -> Result<Self, BridgeError> {
        let size = u64::from(mebibytes) << 20;
        let make = || {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            let file = rustix::fs::memfd_create("drvhost-qemu-ram", flags)?;
            rustix::fs::ftruncate(&file, size)?;
            let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
            rustix::fs::fcntl_add_seals(&file, seals)?;
            Ok(file)
        };
        let error = |e: rustix::io::Errno| BridgeError::io("making the machine's memory")(e.into());
        Ok(Ram {
            file: Arc::new(make().map_err(error)?),
            size,
            claims: Mutex::default(),
        })
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &Arc<OwnedFd> {
        &self.file
    }

    /// In bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Claims `size` bytes at `iova`, which must be `file`'s at that same offset.
    ///
    /// # Errors
    /// [`Refused::UNSUPPORTED`] for any other file, [`Refused::INVALID`] for a part that is not
    /// there or not at its place, EEXIST for one that is taken.
    pub fn claim(
        &self,
        iova: u64,
        size: u64,
        file: Option<(BorrowedFd<'_>, u64)>,
    ) -> Result<(), Refused> {
        let Some((file, offset)) = file else {
            return Err(Refused::UNSUPPORTED);
        };
        if !self.is(file) {
            return Err(Refused::UNSUPPORTED);
        }
        let end = iova.checked_add(size).ok_or(Refused::INVALID)?;
        if offset != iova || size == 0 || end > self.size {
            return Err(Refused::INVALID);
        }
        let mut claims = self.claims();
        let before = claims.range(..end).next_back();
        if before.is_some_and(|(_, &taken)| taken > iova) {
            return Err(Refused::Errno(EEXIST));
        }
        claims.insert(iova, end);
        Ok(())
    }

    /// Gives back what was claimed with the same numbers.
    ///
    /// # Errors
    /// ENOENT when nothing was.
    pub fn release(&self, iova: u64, size: u64) -> Result<(), Refused> {
        let mut claims = self.claims();
        if claims.get(&iova) != Some(&iova.wrapping_add(size)) {
            return Err(Refused::Errno(ENOENT));
        }
        claims.remove(&iova);
        Ok(())
    }

    fn is(&self, file: BorrowedFd<'_>) -> bool {
        match (fstat(file), fstat(self.file.as_fd())) {
            (Ok(a), Ok(b)) => (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino),
            _ => false,
        }
    }

    fn claims(&self) -> MutexGuard<'_, BTreeMap<u64, u64>> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims() {
        let (ram, other) = (Ram::new(1).unwrap(), Ram::new(1).unwrap());
        let file = |ram: &Ram| ram.file().try_clone().unwrap();
        let (own, foreign) = (file(&ram), file(&other));
        let table = [
            (0x1000, 0x1000, Some((own.as_fd(), 0x1000)), Ok(())),
            (
                0x1fff,
                0x1000,
                Some((own.as_fd(), 0x1fff)),
                Err(Refused::Errno(EEXIST)),
            ),
            (
                0x0000,
                0x1001,
                Some((own.as_fd(), 0)),
                Err(Refused::Errno(EEXIST)),
            ),
            (0x2000, 0x1000, Some((own.as_fd(), 0x2000)), Ok(())),
            (0x0000, 0x1000, Some((own.as_fd(), 0)), Ok(())),
            (
                0x4000,
                0x1000,
                Some((own.as_fd(), 0x5000)),
                Err(Refused::INVALID),
            ),
            (
                0x4000,
                0,
                Some((own.as_fd(), 0x4000)),
                Err(Refused::INVALID),
            ),
            (
                0xf_f000,
                0x1001,
                Some((own.as_fd(), 0xf_f000)),
                Err(Refused::INVALID),
            ),
            (
                u64::MAX,
                2,
                Some((own.as_fd(), u64::MAX)),
                Err(Refused::INVALID),
            ),
            (
                0x4000,
                0x1000,
                Some((foreign.as_fd(), 0x4000)),
                Err(Refused::UNSUPPORTED),
            ),
            (0x4000, 0x1000, None, Err(Refused::UNSUPPORTED)),
        ];
        for (iova, size, file, expected) in table {
            assert_eq!(ram.claim(iova, size, file), expected, "{iova:#x} {size:#x}");
        }
        assert_eq!(ram.release(0x1000, 0x2000), Err(Refused::Errno(ENOENT)));
        ram.release(0x1000, 0x1000).unwrap();
        ram.claim(0x1000, 0x1000, Some((own.as_fd(), 0x1000)))
            .unwrap();
    }
}
