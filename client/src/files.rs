// SPDX-License-Identifier: MIT
//! From a descriptor to the open file it stands for.

use crate::front;
use crate::node::Node;
use crate::table::{self, Guard, OpenFile};
use crate::{raw, start};
use drvhost_channel::ring::{Ring, RingClient, Slots};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Whether a mode is a socket's.
pub fn is_socket(mode: u32) -> bool {
    mode & libc::S_IFMT == libc::S_IFSOCK
}

/// Borrows a descriptor by number. `EBADF` where there can't be one.
pub fn borrow<'a>(fd: i32) -> Result<BorrowedFd<'a>, Errno> {
    if fd < 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: the program's own number, used within one call only; that it stays open meanwhile
    // is the program's business, as with any system call.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// The open file of a descriptor. `None`: it is no node's.
pub fn find(fd: i32) -> Option<Result<Guard, Errno>> {
    let stat = raw::fstat(fd).ok()?;
    if !is_socket(stat.st_mode) {
        return None;
    }
    if let Some(file) = table::find(stat.st_ino) {
        return Some(Ok(file));
    }
    let node = node_by_peer(fd)?;
    Some(attach(fd, stat.st_ino, node))
}

/// The node of a socket with this inode, without asking the host. `None`: it is no node's.
pub fn node_of(fd: i32, inode: u64) -> Option<Node> {
    match table::find(inode) {
        Some(file) => Some(file.node),
        None => node_by_peer(fd),
    }
}

/// Takes in what the host answered to an open or attach.
pub fn adopt(inode: u64, node: Node, token: [u64; 2], ring: impl AsFd) -> Result<Guard, Errno> {
    let ring = Ring::open(ring, Slots::Program)?;
    ring.keep_from_children()?;
    let ring = RingClient::new(ring);
    table::insert(inode, OpenFile { node, token, ring })
}

/// A descriptor that came by passing or exec is known by its peer's name.
fn node_by_peer(fd: i32) -> Option<Node> {
    let peer = rustix::net::getpeername(borrow(fd).ok()?).ok()??;
    let peer = rustix::net::SocketAddrUnix::try_from(peer).ok()?;
    let name = peer.path_bytes()?.strip_prefix(start::nodes_prefix())?;
    Node::of_name(name)
}

fn attach(fd: i32, inode: u64, node: Node) -> Result<Guard, Errno> {
    let reply = front::attach(borrow(fd)?)?;
    let [ring]: [OwnedFd; 1] = reply.fds.try_into().map_err(|_| Errno::IO)?;
    adopt(inode, node, reply.answer.token, ring)
}
