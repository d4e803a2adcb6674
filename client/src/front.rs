// SPDX-License-Identifier: MIT
//! Asking the host's front, over a connection for one question.

use crate::start;
use drvhost_channel::packet;
use drvhost_channel::program::{ATTACH, Answer, Ask, CALL, FdNote, MAGIC, MMAP, OPEN};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect,
    socket_with,
};
use std::io::IoSlice;
use std::os::fd::{BorrowedFd, OwnedFd};
use zerocopy::{FromBytes, IntoBytes};

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// The head. Its result is not negative: that would be an error.
    pub answer: Answer,
    /// Where the descriptors belong.
    pub notes: Vec<FdNote>,
    /// What follows.
    pub payload: Vec<u8>,
    /// In the notes' order.
    pub fds: Vec<OwnedFd>,
}

/// A question that got no answer, or a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody serves.
    Absent,
    /// The errno for the program.
    Refused(Errno),
}

impl From<Failure> for Errno {
    fn from(failure: Failure) -> Errno {
        match failure {
            Failure::Absent => Errno::NODEV,
            Failure::Refused(errno) => errno,
        }
    }
}

/// Opens a node: event socket, then ring.
pub fn open(name: &[u8]) -> Result<Reply, Failure> {
    refused(ask(&head(OPEN), &[], name, &[]))
}

/// Gets a ring for an event socket.
pub fn attach(socket: BorrowedFd<'_>) -> Result<Reply, Errno> {
    Ok(refused(ask(&head(ATTACH), &[], &[], &[socket]))?)
}

/// Resolves a mapping.
pub fn mmap(token: [u64; 2], offset: u64, length: u64, write: bool) -> Result<Reply, Errno> {
    let ask_for = Ask {
        token,
        cmd: u32::from(write),
        offset,
        length,
        ..head(MMAP)
    };
    Ok(refused(ask(&ask_for, &[], &[], &[]))?)
}

/// Makes a call that carries descriptors. The answer may be an error with a payload.
pub fn call(
    token: [u64; 2],
    cmd: u32,
    notes: &[FdNote],
    payload: &[u8],
    fds: &[BorrowedFd<'_>],
) -> Result<Reply, Errno> {
    let ask_for = Ask {
        token,
        cmd,
        notes: u32::try_from(notes.len()).map_err(|_| Errno::TOOBIG)?,
        ..head(CALL)
    };
    Ok(ask(&ask_for, notes, payload, fds)?)
}

fn head(op: u32) -> Ask {
    Ask {
        magic: MAGIC,
        op,
        ..Ask::default()
    }
}

fn refused(reply: Result<Reply, Failure>) -> Result<Reply, Failure> {
    let reply = reply?;
    match reply.answer.result {
        0.. => Ok(reply),
        error => Err(Failure::Refused(errno(error))),
    }
}

/// The errno in a negative result.
pub fn errno(result: i64) -> Errno {
    match result {
        -4095..=-1 => Errno::from_raw_os_error(-result as i32),
        _ => Errno::IO,
    }
}

fn ask(
    ask: &Ask,
    notes: &[FdNote],
    payload: &[u8],
    fds: &[BorrowedFd<'_>],
) -> Result<Reply, Failure> {
    let socket = dial()?;
    let refuse = Failure::Refused;
    let parts = [
        IoSlice::new(ask.as_bytes()),
        IoSlice::new(notes.as_bytes()),
        IoSlice::new(payload),
    ];
    packet::send(&socket, &parts, fds, SendFlags::empty()).map_err(|error| match error {
        Errno::PIPE | Errno::CONNRESET => Failure::Absent,
        error => refuse(error),
    })?;
    // The answer's payload is the call's, or a name.
    let room = size_of::<Answer>() + packet::MAX_FDS * size_of::<FdNote>();
    let mut buffer = vec![0; room + payload.len().max(4096)];
    let (len, fds) =
        packet::receive(&socket, &mut buffer, RecvFlags::empty()).map_err(|error| match error {
            Errno::CONNRESET => Failure::Absent,
            error => refuse(error),
        })?;
    if len == 0 {
        return Err(Failure::Absent);
    }
    buffer.truncate(len);
    parse(&buffer, fds).ok_or(refuse(Errno::IO))
}

fn dial() -> Result<OwnedFd, Failure> {
    let refuse = Failure::Refused;
    let kind = SocketType::SEQPACKET;
    let socket =
        socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).map_err(refuse)?;
    let address = SocketAddrUnix::new(start::front_path()).map_err(|_| Failure::Absent)?;
    loop {
        match connect(&socket, &address) {
            Ok(()) => return Ok(socket),
            Err(Errno::INTR) => {}
            Err(Errno::NOENT | Errno::CONNREFUSED | Errno::NOTDIR) => return Err(Failure::Absent),
            Err(error) => return Err(refuse(error)),
        }
    }
}

fn parse(bytes: &[u8], fds: Vec<OwnedFd>) -> Option<Reply> {
    let (answer, rest) = Answer::read_from_prefix(bytes).ok()?;
    if answer.magic != MAGIC || answer.notes as usize > packet::MAX_FDS {
        return None;
    }
    let (notes, payload) = rest.split_at_checked(answer.notes as usize * size_of::<FdNote>())?;
    let notes = notes
        .chunks_exact(size_of::<FdNote>())
        .map(FdNote::read_from_bytes)
        .collect::<Result<_, _>>()
        .ok()?;
    Some(Reply {
        answer,
        notes,
        payload: payload.to_vec(),
        fds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_checked() {
        let mut answer = Answer {
            magic: MAGIC,
            notes: 1,
            ..Answer::default()
        };
        let note = FdNote::default();
        let whole = [answer.as_bytes(), note.as_bytes(), b"rest"].concat();
        let reply = parse(&whole, Vec::new()).unwrap();
        assert_eq!((reply.notes.len(), &reply.payload[..]), (1, &b"rest"[..]));
        for len in 0..size_of::<Answer>() + size_of::<FdNote>() {
            assert!(parse(&whole[..len], Vec::new()).is_none(), "{len}");
        }
        answer.notes = u32::MAX;
        let much = [answer.as_bytes(), note.as_bytes()].concat();
        assert!(parse(&much, Vec::new()).is_none());
        answer.magic = 0;
        assert!(parse(answer.as_bytes(), Vec::new()).is_none());
    }

    #[test]
    fn results_become_errnos() {
        assert_eq!(errno(-22), Errno::INVAL);
        assert_eq!(errno(i64::MIN), Errno::IO);
        assert_eq!(errno(-5000), Errno::IO);
    }
}
