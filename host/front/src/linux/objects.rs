// SPDX-License-Identifier: MIT
//! The objects of one device: buffers (memfds), and fences and events ([`Fences`]). They are the
//! host's, so they outlive a worker.

use super::fences::{Fence, Fences};
use crate::quota::Charge;
use drvhost_abi::Errno;
use std::collections::HashMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The name of buffers' memory, as `/proc/PID/fd` shows it.
const BUFFER_NAME: &str = "drvhost-buffer";
const PAGE: u64 = 4096;

/// A buffer.
#[derive(Debug)]
pub(crate) struct Buffer {
    pub(crate) id: u64,
    /// The sealed memory.
    pub(crate) fd: OwnedFd,
    /// Bytes, a multiple of the page size.
    pub(crate) size: u64,
    inode: u64,
    /// How often the worker made or opened it.
    uses: AtomicUsize,
    _charges: [Charge; 2],
}

#[derive(Debug, Default)]
struct Inner {
    last: u64,
    buffers: HashMap<u64, Arc<Buffer>>,
}

/// All objects of a device, by id.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    inner: Mutex<Inner>,
    pub(crate) fences: Arc<Fences>,
}

impl Objects {
    /// Makes a zeroed buffer of at least `size` bytes.
    pub(crate) fn create(
        &self,
        size: u64,
        charge: impl FnOnce(u64) -> Result<[Charge; 2], Errno>,
    ) -> Result<Arc<Buffer>, Errno> {
        let size = size
            .checked_next_multiple_of(PAGE)
            .filter(|size| *size > 0 && *size <= i64::MAX as u64)
            .ok_or(Errno::EINVAL)?;
        let charge = charge(size)?;
        let fd = drvhost_channel::memory::sealed(BUFFER_NAME, size).map_err(errno)?;
        self.insert(fd, size, charge)
    }

    /// Recognises a descriptor that a program gives as a buffer. One of this host's whose last
    /// use ended, or of another of its devices, becomes a buffer of this device (again).
    /// `EINVAL` for anything else: a dma-buf of another driver cannot be mapped by a worker.
    pub(crate) fn import(
        &self,
        fd: OwnedFd,
        charge: impl FnOnce(u64) -> Result<[Charge; 2], Errno>,
    ) -> Result<Arc<Buffer>, Errno> {
        let inode = rustix::fs::fstat(&fd).map_err(errno)?.st_ino;
        let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()));
        let link = link.map_err(|_| Errno::EINVAL)?;
        let name = link.to_string_lossy();
        if !name.starts_with(&format!("/memfd:{BUFFER_NAME}")) {
            log::warn!("import of {name} refused: only buffers of drvhost can be imported");
            return Err(Errno::EINVAL);
        }
        let known = |inner: &Inner| {
            let mut buffers = inner.buffers.values();
            buffers.find(|buffer| buffer.inode == inode).cloned()
        };
        if let Some(buffer) = known(&self.lock()) {
            return Ok(buffer);
        }
        // Anyone can name a memfd so. It is taken for what it is: memory that cannot shrink.
        let size = drvhost_channel::memory::verify(&fd).map_err(|_| Errno::EINVAL)?;
        if size == 0 || size % PAGE != 0 {
            return Err(Errno::EINVAL);
        }
        let charge = charge(size)?;
        self.insert(fd, size, charge)
    }

    pub(crate) fn buffer(&self, id: u64) -> Result<Arc<Buffer>, Errno> {
        self.lock().buffers.get(&id).cloned().ok_or(Errno::ENOENT)
    }

    /// The worker uses a buffer once more.
    pub(crate) fn use_buffer(&self, id: u64) -> Result<Arc<Buffer>, Errno> {
        let buffer = self.buffer(id)?;
        buffer.uses.fetch_add(1, Ordering::Relaxed);
        Ok(buffer)
    }

    /// True: that was the worker's last use.
    pub(crate) fn put_buffer(&self, id: u64) -> bool {
        self.buffer(id).is_ok_and(|buffer| less(&buffer.uses) == 0)
    }

    /// Drops buffers that neither the worker nor the record uses.
    pub(crate) fn collect(&self, used: impl Fn(u64) -> bool) {
        self.lock().buffers.retain(|id, buffer| {
            buffer.uses.load(Ordering::Relaxed) > 0 || Arc::strong_count(buffer) > 1 || used(*id)
        });
    }

    /// The worker died: it uses nothing any more. Gives the fences that it owed.
    pub(crate) fn forget_worker(&self) -> Vec<Arc<Fence>> {
        for buffer in self.lock().buffers.values() {
            buffer.uses.store(0, Ordering::Relaxed);
        }
        self.fences.forget_worker()
    }

    /// Number of buffers, and their bytes; number of fences.
    pub(crate) fn totals(&self) -> (usize, u64, usize) {
        let inner = self.lock();
        let bytes = inner.buffers.values().map(|buffer| buffer.size).sum();
        (inner.buffers.len(), bytes, self.fences.count())
    }

    fn insert(&self, fd: OwnedFd, size: u64, charges: [Charge; 2]) -> Result<Arc<Buffer>, Errno> {
        let inode = rustix::fs::fstat(&fd).map_err(errno)?.st_ino;
        let mut inner = self.lock();
        inner.last += 1;
        let buffer = Arc::new(Buffer {
            id: inner.last,
            fd,
            size,
            inode,
            uses: AtomicUsize::new(0),
            _charges: charges,
        });
        inner.buffers.insert(buffer.id, buffer.clone());
        Ok(buffer)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts down; gives what is left.
fn less(uses: &AtomicUsize) -> usize {
    let less = |uses: usize| uses.checked_sub(1);
    match uses.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) {
        Ok(before) => before - 1,
        Err(now) => now,
    }
}

/// The system's error as the ABI's; on Linux the numbers are the same.
pub(crate) fn errno(error: rustix::io::Errno) -> Errno {
    Errno(error.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::quota::{Accounts, Kind};

    #[test]
    fn a_buffer_is_recognised_and_a_foreign_one_refused() {
        let accounts = Accounts::new(Limits::default());
        let charge = |size| accounts.buffer(1, size);
        let objects = Objects::default();
        let buffer = objects.create(5000, charge).unwrap();
        assert_eq!(buffer.size, 8192);
        let copy = buffer.fd.try_clone().unwrap();
        assert_eq!(objects.import(copy, charge).unwrap().id, buffer.id);
        let foreign = drvhost_channel::memory::sealed("other", 4096).unwrap();
        assert_eq!(objects.import(foreign, charge).unwrap_err(), Errno::EINVAL);
        let kept = buffer.fd.try_clone().unwrap();
        drop(buffer);
        objects.collect(|_| false);
        assert_eq!(accounts.used(1, Kind::Memory), 0);
        let again = objects.import(kept, charge).unwrap();
        assert_eq!((again.id, again.size), (2, 8192));
    }
}
