// SPDX-License-Identifier: MIT
//! Asks over short-lived connections: one ask, one answer.

use super::open::{attach, open};
use super::shared::Shared;
use super::{call, peer};
use crate::access::Credentials;
use crate::quota::Charge;
use drvhost_abi::Errno;
use drvhost_channel::packet::send;
use drvhost_channel::program::{
    ATTACH, Answer, Ask, CALL, FdNote, LIST, MAGIC, MAX_PAYLOAD, MMAP, OPEN,
};
use rustix::net::SendFlags;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use zerocopy::{FromBytes, IntoBytes};

/// Bytes of the longest ask.
pub(crate) const MAX_ASK: usize = size_of::<Ask>() + MAX_PAYLOAD;

/// A connection that has asked.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) socket: OwnedFd,
    pub(crate) message: Vec<u8>,
    pub(crate) fds: Vec<OwnedFd>,
    pub(crate) charge: Charge,
}

#[derive(Debug, Default)]
struct Reply {
    head: Answer,
    notes: Vec<FdNote>,
    payload: Vec<u8>,
    fds: Vec<OwnedFd>,
}

impl Asked {
    /// Answers. May wait for a worker.
    pub(crate) fn answer(self, shared: &Arc<Shared>) {
        let who = match peer::credentials(&self.socket) {
            Ok(who) => who,
            Err(error) => {
                log::debug!("a connection without credentials: {error}");
                return;
            }
        };
        let reply = reply(shared, &who, &self.message, self.fds).unwrap_or_else(|errno| Reply {
            head: Answer {
                result: -i64::from(errno.0),
                ..Answer::default()
            },
            ..Reply::default()
        });
        let head = Answer {
            magic: MAGIC,
            notes: reply.notes.len() as u32,
            ..reply.head
        };
        let parts = [
            IoSlice::new(head.as_bytes()),
            IoSlice::new(reply.notes.as_bytes()),
            IoSlice::new(&reply.payload),
        ];
        let fds: Vec<BorrowedFd<'_>> = reply.fds.iter().map(AsFd::as_fd).collect();
        // What does not arrive is closed with its descriptors: an event socket's end closes its
        // file.
        if let Err(error) = send(&self.socket, &parts, &fds, SendFlags::DONTWAIT) {
            log::debug!("an answer found no reader: {error}");
        }
        drop(self.charge);
    }
}

fn reply(
    shared: &Arc<Shared>,
    who: &Credentials,
    message: &[u8],
    fds: Vec<OwnedFd>,
) -> Result<Reply, Errno> {
    let (ask, payload) = Ask::read_from_prefix(message).map_err(|_| Errno::EINVAL)?;
    if ask.magic != MAGIC || ask.flags != 0 || ask.reserved != 0 {
        return Err(Errno::EINVAL);
    }
    let mut reply = Reply::default();
    match ask.op {
        OPEN => {
            let name = std::str::from_utf8(payload).map_err(|_| Errno::ENOENT)?;
            let opened = open(shared, name, who)?;
            log::debug!("{}: opened by process {}", opened.file.node, who.pid);
            reply.head.token = opened.token;
            reply.fds = vec![opened.socket, opened.ring];
        }
        ATTACH => {
            let socket = fds.first().ok_or(Errno::EBADF)?;
            let inode = rustix::fs::fstat(socket).map_err(super::objects::errno)?;
            let (name, ring, token) = attach(shared, inode.st_ino, who)?;
            reply.payload = name.into_bytes();
            reply.head.token = token;
            reply.fds = vec![ring];
        }
        CALL => {
            let notes = (ask.notes as usize).checked_mul(size_of::<FdNote>());
            let payload = notes.and_then(|notes| payload.get(notes..));
            let mut payload = payload.ok_or(Errno::EINVAL)?.to_vec();
            let file = shared.file_of_token(ask.token, who.pid)?;
            let _call = file.begin_call();
            let answer = call::through_connection(&file, ask.cmd, &mut payload, fds);
            reply.head.result = answer.result;
            reply.payload = payload;
            (reply.notes, reply.fds) = answer.fds.into_iter().unzip();
        }
        MMAP => {
            let file = shared.file_of_token(ask.token, who.pid)?;
            let _call = file.begin_call();
            let (fd, place) = call::map(&file, ask.offset, ask.length, ask.cmd == 1)?;
            reply.head.offset = place;
            reply.fds = vec![fd];
        }
        LIST => {
            let tables = shared.tables();
            let names = tables.nodes.keys().map(|name| format!("{name}\n"));
            reply.payload = names.collect::<String>().into_bytes();
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(reply)
}
