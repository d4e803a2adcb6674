// SPDX-License-Identifier: MIT
//! Reading events: as many whole ones as fit, as a DRM read does.
//!
//! One message of the socket is one event. A plain `read` would give one and cut off what does
//! not fit, so the length is looked at first.

use crate::{files, raw, table};
use rustix::io::Errno;

/// Reads. `None`: the descriptor is no node's.
pub fn read(fd: i32, buffer: usize, len: usize) -> Option<Result<usize, Errno>> {
    if table::is_empty() {
        return None;
    }
    let stat = raw::fstat(fd).ok()?;
    if !files::is_socket(stat.st_mode) {
        return None;
    }
    files::node_of(fd, stat.st_ino)?;
    Some(drain(fd, buffer, len))
}

fn drain(fd: i32, buffer: usize, len: usize) -> Result<usize, Errno> {
    let mut done = 0;
    loop {
        let (to, room) = (buffer.wrapping_add(done), len - done);
        // Only the first event is waited for.
        let wait = if done == 0 { 0 } else { libc::MSG_DONTWAIT };
        let look = libc::MSG_PEEK | libc::MSG_TRUNC;
        // The look copies, too: a bad address is found out while the event is still there.
        let size = match receive(fd, to, room, look | wait) {
            // The host is gone.
            Ok(0) if done == 0 => return Err(Errno::NODEV),
            Ok(0) => return Ok(done),
            Ok(size) => size,
            Err(_) if done > 0 => return Ok(done),
            Err(error) => return Err(error),
        };
        if size > room {
            return Ok(done);
        }
        // Another reader may have been quicker: then look again.
        match receive(fd, to, room, libc::MSG_DONTWAIT) {
            Ok(0) | Err(Errno::AGAIN) => {}
            Ok(got) => done += got,
            Err(_) if done > 0 => return Ok(done),
            Err(error) => return Err(error),
        }
    }
}

fn receive(fd: i32, to: usize, len: usize, flags: i32) -> Result<usize, Errno> {
    // SAFETY: the program's buffer; the kernel checks it.
    unsafe { raw::recvfrom(fd, to, len, flags) }
}
