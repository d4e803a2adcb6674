// SPDX-License-Identifier: MIT
//! Opening a node.
//!
//! The kernel is asked first, so nothing is read from a path that it did not accept, and opens of
//! anything else cost nothing. It can't open our nodes: in the view that `drvhost exec` makes they
//! lie on a file system without devices, or are sockets.

use crate::files::{adopt, borrow};
use crate::front::{self, Failure};
use crate::node::Node;
use crate::raw;
use rustix::fs::OFlags;
use rustix::io::{Errno, FdFlags};
use std::ffi::CStr;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

/// Longer paths lead to no node.
const MAX_PATH: usize = 64;

/// Whether the kernel's refusal is one that our nodes meet with.
pub fn worth_a_look(refusal: Errno) -> bool {
    matches!(
        refusal,
        Errno::NOENT | Errno::NXIO | Errno::NODEV | Errno::ACCESS
    )
}

/// What an open that the kernel refused comes to. `path` is one that the kernel could read.
pub fn after_refusal(refusal: Errno, dir: i32, path: &CStr, flags: i32) -> Result<i32, Errno> {
    if flags & (libc::O_PATH | libc::O_DIRECTORY) != 0 {
        return Err(refusal);
    }
    let node = match refusal {
        Errno::NOENT => Node::of_path(path.to_bytes()),
        _ => Node::of_path(path.to_bytes()).or_else(|| behind(dir, path)),
    };
    let Some(node) = node else {
        return Err(refusal);
    };
    if refusal == Errno::ACCESS {
        permitted(dir, path, flags)?;
    }
    match open(&node, flags) {
        Ok(fd) => Ok(fd),
        Err(Failure::Absent) if refusal == Errno::NOENT => Err(refusal),
        Err(failure) => Err(failure.into()),
    }
}

/// The node that a path leads to, through links or from another directory.
pub fn behind(dir: i32, path: &CStr) -> Option<Node> {
    // SAFETY: a good string; the new descriptor is ours.
    let file = unsafe {
        let flags = libc::O_PATH | libc::O_CLOEXEC;
        OwnedFd::from_raw_fd(raw::openat(dir, path.as_ptr() as usize, flags, 0).ok()?)
    };
    let mut link = [0; 32];
    let link = write_link(&mut link, file.as_raw_fd())?;
    let mut target = [std::mem::MaybeUninit::uninit(); MAX_PATH];
    let (target, _) = rustix::fs::readlinkat_raw(rustix::fs::CWD, link, &mut target).ok()?;
    Node::of_path(target)
}

/// `/proc/self/fd/N`, without an allocation.
fn write_link(buffer: &mut [u8; 32], fd: i32) -> Option<&CStr> {
    use std::io::Write;
    let mut rest = &mut buffer[..31];
    write!(rest, "/proc/self/fd/{fd}").ok()?;
    CStr::from_bytes_until_nul(buffer).ok()
}

/// The file's mode must allow it: a file system without devices refuses before that is looked at.
fn permitted(dir: i32, path: &CStr, flags: i32) -> Result<(), Errno> {
    use rustix::fs::{Access, AtFlags, accessat};
    let access = match flags & libc::O_ACCMODE {
        libc::O_RDONLY => Access::READ_OK,
        libc::O_WRONLY => Access::WRITE_OK,
        _ => Access::READ_OK | Access::WRITE_OK,
    };
    let dir = match dir {
        libc::AT_FDCWD => rustix::fs::CWD,
        _ => borrow(dir)?,
    };
    accessat(dir, path, access, AtFlags::EACCESS)
}

fn open(node: &Node, flags: i32) -> Result<i32, Failure> {
    let reply = front::open(node.name())?;
    let finish = || {
        let [socket, ring]: [OwnedFd; 2] = reply.fds.try_into().map_err(|_| Errno::IO)?;
        let inode = raw::fstat(socket.as_raw_fd())?.st_ino;
        adopt(inode, *node, reply.answer.token, ring)?;
        if flags & libc::O_NONBLOCK != 0 {
            rustix::fs::fcntl_setfl(&socket, OFlags::NONBLOCK)?;
        }
        // An open gives the lowest free number, and ours came while others were in use.
        let lowest = rustix::io::fcntl_dupfd_cloexec(&socket, 0)?;
        if flags & libc::O_CLOEXEC == 0 {
            rustix::io::fcntl_setfd(&lowest, FdFlags::empty())?;
        }
        if lowest.as_raw_fd() < socket.as_raw_fd() {
            return Ok(lowest.into_raw_fd());
        }
        drop(lowest);
        if flags & libc::O_CLOEXEC == 0 {
            rustix::io::fcntl_setfd(&socket, FdFlags::empty())?;
        }
        Ok(socket.into_raw_fd())
    };
    finish().map_err(Failure::Refused)
}
