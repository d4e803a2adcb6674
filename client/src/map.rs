// SPDX-License-Identifier: MIT
//! Mapping a buffer at its fake offset: the host hands out the file behind it for a moment.

use crate::raw::Mmap;
use crate::{files, front, raw};
use rustix::io::Errno;
use std::os::fd::{AsRawFd, OwnedFd};

/// Maps. `None`: the descriptor is no node's.
///
/// # Safety
/// As `mmap`: with `MAP_FIXED` the program gives up what is at the address.
pub unsafe fn mmap(map: &Mmap) -> Option<Result<usize, Errno>> {
    if map.fd < 0 || map.flags & libc::MAP_ANONYMOUS != 0 {
        return None;
    }
    Some(files::find(map.fd)?.and_then(|file| {
        // A private copy of a buffer is refused by DRM.
        if map.flags & libc::MAP_TYPE == libc::MAP_PRIVATE {
            return Err(Errno::INVAL);
        }
        let write = map.prot & libc::PROT_WRITE != 0;
        let reply = front::mmap(file.token, map.offset, map.length as u64, write)?;
        let [buffer]: [OwnedFd; 1] = reply.fds.try_into().map_err(|_| Errno::IO)?;
        let behind = Mmap {
            fd: buffer.as_raw_fd(),
            offset: reply.answer.offset,
            ..*map
        };
        // SAFETY: the caller's promise.
        unsafe { raw::mmap(&behind) }
    }))
}
