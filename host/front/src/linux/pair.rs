// SPDX-License-Identifier: MIT
//! Event sockets: pairs whose one end has the node's path as its peer's name, so that a program
//! recognises it wherever it arrives. The host connects to a listener of its own to make one.

use rustix::fs::fstat;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen,
    socket_with, sockopt,
};
use std::fs::Permissions;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The source of the event sockets of one node.
#[derive(Debug)]
pub(crate) struct NodeSocket {
    path: PathBuf,
    listener: Mutex<OwnedFd>,
}

/// An event socket.
#[derive(Debug)]
pub(crate) struct Pair {
    /// The program's end.
    pub(crate) client: OwnedFd,
    /// The host's end.
    pub(crate) host: OwnedFd,
    /// The inode of the program's end, by which it is recognised.
    pub(crate) inode: u64,
}

impl NodeSocket {
    pub(crate) fn new(path: PathBuf) -> Result<NodeSocket, Errno> {
        // What lies there is left from a host that ended: `front.sock` shows that none runs.
        let _ = std::fs::remove_file(&path);
        Ok(NodeSocket {
            listener: Mutex::new(listener(&path, 0o600)?),
            path,
        })
    }

    pub(crate) fn pair(&self) -> Result<Pair, Errno> {
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        let client = socket()?;
        connect(&client, &SocketAddrUnix::new(&self.path)?)?;
        let own = rustix::process::getpid();
        loop {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let host = accept_with(&*listener, flags)?;
            // Another process of the same user may have connected in between.
            if sockopt::socket_peercred(&host)?.pid == own {
                rustix::net::shutdown(&host, rustix::net::Shutdown::Read)?;
                return Ok(Pair {
                    inode: fstat(&client)?.st_ino,
                    client,
                    host,
                });
            }
        }
    }
}

impl Drop for NodeSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A listening seqpacket socket with a mode.
pub(crate) fn listener(path: &Path, mode: u32) -> Result<OwnedFd, Errno> {
    let fd = socket()?;
    bind(&fd, &SocketAddrUnix::new(path)?)?;
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|_| Errno::IO)?;
    listen(&fd, 128)?;
    Ok(fd)
}

/// A seqpacket socket.
pub(crate) fn socket() -> Result<OwnedFd, Errno> {
    socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
}
