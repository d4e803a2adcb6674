// SPDX-License-Identifier: MIT
//! Mapped device memory: a pointer and a length that unmap themselves, with checked accesses.

use std::any::Any;
use std::os::fd::BorrowedFd;

use rustix::mm::{MapFlags, ProtFlags};

use crate::error::{Error, Result};

/// Mapped memory, shared with a device. Other parties may change it at any time: every access
/// is volatile or a plain copy of bytes, and no reference into it is ever given out.
#[derive(Debug)]
pub struct Mapping {
    pointer: *mut u8,
    len: usize,
    /// Keeps the memory mapped; dropping it unmaps.
    _guard: Box<dyn Guard>,
}

trait Guard: Any + Send + Sync + std::fmt::Debug {}
impl<T: Any + Send + Sync + std::fmt::Debug> Guard for T {}

// SAFETY: the memory is not tied to a thread, and all accesses go through volatile operations or
// copies on raw pointers, which shared memory needs anyway.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

/// Unmaps what [`Mapping::new`] mapped.
#[derive(Debug)]
struct Unmap {
    address: usize,
    len: usize,
}

impl Drop for Unmap {
    fn drop(&mut self) {
        // SAFETY: address and length are those of a mapping made in `Mapping::new`, which nobody
        // else unmaps, and this guard goes with the only pointer to it.
        let result = unsafe { rustix::mm::munmap(self.address as *mut _, self.len) };
        if let Err(error) = result {
            log::warn!("unmap {} bytes: {error}", self.len);
        }
    }
}

macro_rules! accessors {
    ($($read:ident $write:ident $type:ty;)*) => {$(
        #[doc = concat!("Reads a `", stringify!($type), "` (native byte order) at `offset`, volatile.")]
        ///
        /// # Errors
        /// `OutOfRange` outside of the mapping or when misaligned.
        pub fn $read(&self, offset: usize) -> Result<$type> {
            let pointer = self.checked(offset, size_of::<$type>())?.cast::<$type>();
            // SAFETY: `checked` says that the bytes are inside the mapping and aligned.
            Ok(unsafe { pointer.read_volatile() })
        }

        #[doc = concat!("Writes a `", stringify!($type), "` (native byte order) at `offset`, volatile.")]
        ///
        /// # Errors
        /// `OutOfRange` outside of the mapping or when misaligned.
        pub fn $write(&self, offset: usize, value: $type) -> Result<()> {
            let pointer = self.checked(offset, size_of::<$type>())?.cast::<$type>();
            // SAFETY: `checked` says that the bytes are inside the mapping and aligned.
            unsafe { pointer.write_volatile(value) };
            Ok(())
        }
    )*};
}

impl Mapping {
    /// Maps `len` bytes of `file` from `offset` (a multiple of the page size), for reading and
    /// writing, shared.
    ///
    /// # Errors
    /// `Invalid` for a length of 0, `Io` when the system refuses.
    pub fn new(file: BorrowedFd<'_>, offset: u64, len: usize) -> Result<Self> {
        if len == 0 || isize::try_from(len).is_err() {
            return Err(Error::Invalid {
                what: "map memory".into(),
                why: format!("{len} bytes can't be mapped"),
            });
        }
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel picks a free address (the hint is null), so nothing is replaced.
        let pointer = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                len,
                protection,
                MapFlags::SHARED,
                file,
                offset,
            )
        }
        .map_err(|error| Error::io(format!("map {len} bytes at {offset:#x}"), error))?;
        let guard = Unmap {
            address: pointer as usize,
            len,
        };
        Ok(Self {
            pointer: pointer.cast(),
            len,
            _guard: Box::new(guard),
        })
    }

    /// Takes over memory that somebody else mapped; `guard` is dropped with the mapping and
    /// unmaps it.
    ///
    /// # Safety
    /// `pointer` is aligned to 8 bytes, and `len` bytes from there stay mapped for reading and
    /// writing until `guard` is dropped. No reference to the memory exists.
    pub unsafe fn from_raw(
        pointer: *mut u8,
        len: usize,
        guard: impl Any + Send + Sync + std::fmt::Debug,
    ) -> Self {
        Self {
            pointer,
            len,
            _guard: Box::new(guard),
        }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where it starts. Valid while the mapping lives; others change the memory meanwhile.
    pub fn as_ptr(&self) -> *mut u8 {
        self.pointer
    }

    accessors! {
        read_u8 write_u8 u8;
        read_u16 write_u16 u16;
        read_u32 write_u32 u32;
        read_u64 write_u64 u64;
    }

    /// Copies memory out, from `offset`. Bytes that change meanwhile come out old or new.
    ///
    /// # Errors
    /// `OutOfRange` outside of the mapping.
    pub fn read_slice(&self, offset: usize, data: &mut [u8]) -> Result<()> {
        let source = self.within(offset, data.len())?;
        // SAFETY: the source is inside the mapping, and `data` can't overlap it since no
        // reference into the mapping exists.
        unsafe { std::ptr::copy_nonoverlapping(source, data.as_mut_ptr(), data.len()) };
        Ok(())
    }

    /// Copies memory in, to `offset`.
    ///
    /// # Errors
    /// `OutOfRange` outside of the mapping.
    pub fn write_slice(&self, offset: usize, data: &[u8]) -> Result<()> {
        let target = self.within(offset, data.len())?;
        // SAFETY: the target is inside the mapping, and `data` can't overlap it since no
        // reference into the mapping exists.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), target, data.len()) };
        Ok(())
    }

    /// Sets `len` bytes from `offset` to `value`.
    ///
    /// # Errors
    /// `OutOfRange` outside of the mapping.
    pub fn fill(&self, offset: usize, len: usize, value: u8) -> Result<()> {
        let target = self.within(offset, len)?;
        // SAFETY: the bytes are inside the mapping, to which no reference exists.
        unsafe { std::ptr::write_bytes(target, value, len) };
        Ok(())
    }

    fn within(&self, offset: usize, len: usize) -> Result<*mut u8> {
        match offset.checked_add(len) {
            // SAFETY: `offset` is at most the length of the mapping.
            Some(end) if end <= self.len => Ok(unsafe { self.pointer.add(offset) }),
            _ => Err(self.out_of_range(offset, len)),
        }
    }

    fn checked(&self, offset: usize, len: usize) -> Result<*mut u8> {
        let pointer = self.within(offset, len)?;
        if pointer.align_offset(len) == 0 {
            Ok(pointer)
        } else {
            Err(self.out_of_range(offset, len))
        }
    }

    fn out_of_range(&self, offset: usize, len: usize) -> Error {
        Error::OutOfRange {
            what: "mapping",
            offset: offset as u64,
            len: len as u64,
            size: self.len as u64,
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn accesses_are_checked() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4096).unwrap();
        let mapping = Mapping::new(file.as_fd(), 0, 4096).unwrap();
        mapping.write_u32(8, 0x1122_3344).unwrap();
        assert_eq!(mapping.read_u8(8).unwrap(), 0x44);
        assert_eq!(mapping.read_u64(8).unwrap(), 0x1122_3344);
        mapping.write_slice(4090, &[7; 6]).unwrap();
        let mut tail = [0; 6];
        mapping.read_slice(4090, &mut tail).unwrap();
        assert_eq!(tail, [7; 6]);
        for (offset, len) in [(4091, 6), (usize::MAX, 1), (4097, 0)] {
            assert!(mapping.fill(offset, len, 0).is_err(), "{offset} {len}");
        }
        for offset in [1, 2, 4093, 4096, usize::MAX - 2] {
            assert!(mapping.read_u32(offset).is_err(), "{offset}");
        }
        assert!(Mapping::new(file.as_fd(), 0, 0).is_err());
        assert!(Mapping::new(file.as_fd(), 1, 4096).is_err());
    }

    #[test]
    fn a_guard_is_dropped_with_the_mapping() {
        let guard = std::sync::Arc::new(());
        let mut memory = [0u64; 2];
        // SAFETY: the array outlives the mapping and is aligned.
        let mapping = unsafe { Mapping::from_raw(memory.as_mut_ptr().cast(), 16, guard.clone()) };
        mapping.write_u64(8, 5).unwrap();
        assert_eq!(std::sync::Arc::strong_count(&guard), 2);
        drop(mapping);
        assert_eq!(std::sync::Arc::strong_count(&guard), 1);
        assert_eq!(memory[1], 5);
    }
}
