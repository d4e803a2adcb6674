// SPDX-License-Identifier: MIT
//! Shared memory that cannot be pulled away: a memfd sealed against shrinking and growing.
//!
//! Without the seals a peer's `ftruncate` would turn the next access into SIGBUS.

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;

/// What every shared memfd is sealed with.
pub const SEALS: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::SEAL);

/// Makes a zeroed memfd of `size` bytes, sealed with [`SEALS`].
pub fn sealed(name: &str, size: u64) -> Result<OwnedFd, Errno> {
    let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&fd, size)?;
    fcntl_add_seals(&fd, SEALS)?;
    Ok(fd)
}

/// Checks that a descriptor from elsewhere is a memfd with our seals; gives its size in bytes.
/// `EINVAL` where a seal is missing.
pub fn verify(fd: impl AsFd) -> Result<u64, Errno> {
    if !fcntl_get_seals(&fd)?.contains(SealFlags::SHRINK | SealFlags::GROW) {
        return Err(Errno::INVAL);
    }
    u64::try_from(fstat(&fd)?.st_size).map_err(|_| Errno::INVAL)
}

/// A shared mapping. What it shows may change under the reader: copy out, then check.
#[derive(Debug)]
pub struct Mapping {
    ptr: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is plain memory, not bound to a thread; access goes through raw pointers.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes of a sealed memfd for reading and writing.
    /// `EINVAL` where it is not sealed or shorter.
    pub fn sealed(fd: impl AsFd, len: usize) -> Result<Mapping, Errno> {
        if verify(&fd)? < len as u64 {
            return Err(Errno::INVAL);
        }
        Mapping::shared(fd, 0, len)
    }

    /// Maps `len` bytes at `offset` of any descriptor, shared, for reading and writing.
    pub fn shared(fd: impl AsFd, offset: u64, len: usize) -> Result<Mapping, Errno> {
        // SAFETY: a new mapping at an address of the kernel's choice.
        let ptr = unsafe {
            let prot = ProtFlags::READ | ProtFlags::WRITE;
            mmap(
                std::ptr::null_mut(),
                len,
                prot,
                MapFlags::SHARED,
                fd,
                offset,
            )?
        };
        let ptr = NonNull::new(ptr.cast::<u8>()).ok_or(Errno::NOMEM)?;
        Ok(Mapping { ptr, len })
    }

    /// Leaves the mapping out of children that this process forks.
    pub fn keep_from_children(&self) -> Result<(), Errno> {
        let advice = rustix::mm::Advice::LinuxDontFork;
        // SAFETY: the mapping is ours; this process's own view does not change.
        unsafe { rustix::mm::madvise(self.ptr.as_ptr().cast(), self.len, advice) }
    }

    /// Start of the mapping, page-aligned.
    pub fn as_ptr(&self) -> *mut u8 {
        self.ptr.as_ptr()
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing borrows from it beyond `self`.
        let _ = unsafe { munmap(self.ptr.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_memory_keeps_its_size() {
        let fd = sealed("test", 8192).unwrap();
        assert_eq!(verify(&fd).unwrap(), 8192);
        assert_eq!(ftruncate(&fd, 0), Err(Errno::PERM));
        assert_eq!(ftruncate(&fd, 16384), Err(Errno::PERM));
    }

    #[test]
    fn unsealed_memory_is_refused() {
        let fd = rustix::fs::memfd_create("test", MemfdFlags::ALLOW_SEALING).unwrap();
        ftruncate(&fd, 4096).unwrap();
        assert_eq!(Mapping::sealed(&fd, 4096).unwrap_err(), Errno::INVAL);
    }

    #[test]
    fn short_memory_is_refused() {
        let fd = sealed("test", 4096).unwrap();
        assert_eq!(Mapping::sealed(&fd, 8192).unwrap_err(), Errno::INVAL);
    }
}
