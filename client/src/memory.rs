// SPDX-License-Identifier: MIT
//! The program's memory, which may be anything: a bad address is `EFAULT`, never a crash.

use crate::{frames, raw};
use drvhost_drm::uapi::Errno;
use drvhost_drm::wire::ClientMemory;
use rustix::io::Errno as SysErrno;

/// This process's own memory at addresses that nobody checked.
#[derive(Clone, Copy, Debug)]
pub struct OwnMemory;

/// Whether the kernel's copying is forbidden (a container's filter), not the address bad.
fn forbidden(error: SysErrno) -> bool {
    matches!(error, SysErrno::PERM | SysErrno::NOSYS | SysErrno::ACCESS)
}

fn outcome(copied: Result<usize, SysErrno>, len: usize) -> Result<(), Errno> {
    match copied {
        Ok(copied) if copied == len => Ok(()),
        Ok(_) => Err(Errno::EFAULT),
        Err(error) => Err(Errno(error.raw_os_error())),
    }
}

impl ClientMemory for OwnMemory {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Errno> {
        if into.is_empty() {
            return Ok(());
        }
        let from = address as *const u8;
        if frames::contain(address, into.len()) {
            // SAFETY: frames of our callers, which stay until we return.
            unsafe { std::ptr::copy(from, into.as_mut_ptr(), into.len()) };
            return Ok(());
        }
        let copied = raw::copy(into.as_mut_ptr() as u64, address, into.len(), true);
        if copied.is_err_and(forbidden) && address != 0 {
            // SAFETY: none but the program's word that the address is good, as with any pointer
            // given to libc; only where the kernel may not check it for us.
            unsafe { std::ptr::copy(from, into.as_mut_ptr(), into.len()) };
            return Ok(());
        }
        outcome(copied, into.len())
    }

    fn write(&mut self, address: u64, from: &[u8]) -> Result<(), Errno> {
        if from.is_empty() {
            return Ok(());
        }
        let to = address as *mut u8;
        if frames::contain(address, from.len()) {
            // SAFETY: as in `read`.
            unsafe { std::ptr::copy(from.as_ptr(), to, from.len()) };
            return Ok(());
        }
        let copied = raw::copy(address, from.as_ptr() as u64, from.len(), false);
        if copied.is_err_and(forbidden) && address != 0 {
            // SAFETY: as in `read`.
            unsafe { std::ptr::copy(from.as_ptr(), to, from.len()) };
            return Ok(());
        }
        outcome(copied, from.len())
    }
}

/// Gives the program a status.
pub fn store(address: u64, stat: &libc::stat64) -> Result<(), SysErrno> {
    // SAFETY: a plain struct without padding that matters, read as the bytes it is.
    let bytes = unsafe {
        std::slice::from_raw_parts(std::ptr::from_ref(stat).cast::<u8>(), size_of_val(stat))
    };
    OwnMemory
        .write(address, bytes)
        .map_err(|error| SysErrno::from_raw_os_error(error.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_addresses_are_copied() {
        let mut target = [0u8; 4];
        OwnMemory
            .write(target.as_mut_ptr() as u64, b"abcd")
            .unwrap();
        let mut back = [0u8; 4];
        OwnMemory.read(target.as_ptr() as u64, &mut back).unwrap();
        assert_eq!(&back, b"abcd");
    }

    #[test]
    fn addresses_on_the_heap_and_on_the_stack_are_copied_alike() {
        for len in [1, 16, 5000, 100_000] {
            let bytes: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let mut heap = vec![0; len];
            OwnMemory.write(heap.as_mut_ptr() as u64, &bytes).unwrap();
            let mut stack = [0; 100_000];
            OwnMemory.write(stack.as_mut_ptr() as u64, &heap).unwrap();
            let mut back = vec![0; len];
            OwnMemory.read(stack.as_ptr() as u64, &mut back).unwrap();
            assert_eq!(back, bytes);
        }
    }

    #[test]
    fn bad_addresses_are_efault() {
        for address in [0, 1, u64::MAX, 0x1000] {
            assert_eq!(OwnMemory.read(address, &mut [0; 8]), Err(Errno::EFAULT));
            assert_eq!(OwnMemory.write(address, &[0; 8]), Err(Errno::EFAULT));
        }
        let constant = b"can't be written".as_ptr() as u64;
        assert_eq!(OwnMemory.write(constant, &[0; 8]), Err(Errno::EFAULT));
    }
}
