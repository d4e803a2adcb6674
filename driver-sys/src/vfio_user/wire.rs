// SPDX-License-Identifier: MIT
//! How messages travel: header, payload and descriptors over a stream socket, with a deadline.
//!
//! Used by both ends. The peer is not trusted: a size outside of the limits, a message cut off,
//! or more descriptors than allowed end the connection; descriptors never leak.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use zerocopy::{FromBytes, IntoBytes};

use super::proto::{self, Header};

/// A message as it came; only its size has been checked.
#[derive(Debug)]
pub struct Message {
    /// The header.
    pub header: Header,
    /// What follows the header.
    pub payload: Vec<u8>,
    /// Descriptors that came with it, in order.
    pub fds: Vec<OwnedFd>,
}

impl Message {
    /// Takes a struct off the start of the payload; the rest follows it.
    pub fn parse<T: FromBytes>(&self) -> Option<(T, &[u8])> {
        T::read_from_prefix(&self.payload).ok()
    }
}

/// Why no message came or went.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The peer closed the connection between two messages.
    #[error("the peer closed the connection")]
    Closed,
    /// The deadline passed.
    #[error("no answer in time")]
    TimedOut,
    /// The peer broke the rules.
    #[error("{0}")]
    Protocol(String),
    /// A system call failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn wait(
    socket: BorrowedFd<'_>,
    flags: PollFlags,
    deadline: Option<Instant>,
) -> Result<(), WireError> {
    loop {
        let timeout = match deadline {
            None => None,
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(WireError::TimedOut);
                }
                Some(Timespec::try_from(left).map_err(|_| {
                    io::Error::new(io::ErrorKind::InvalidInput, "deadline too far away")
                })?)
            }
        };
        match poll(
            &mut [PollFd::from_borrowed_fd(socket, flags)],
            timeout.as_ref(),
        ) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
}

/// Whether an error of a system call says that the peer is gone.
fn gone(error: rustix::io::Errno) -> WireError {
    use rustix::io::Errno;
    match error {
        Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN => WireError::Closed,
        other => io::Error::from(other).into(),
    }
}

/// Sends one message; `parts` are joined to the payload, `header.size` is filled in.
///
/// # Errors
/// `Closed`, `TimedOut` (the peer does not read), `Io`. After an error the connection is unusable.
pub fn send(
    socket: BorrowedFd<'_>,
    mut header: Header,
    parts: &[&[u8]],
    fds: &[BorrowedFd<'_>],
    deadline: Option<Instant>,
) -> Result<(), WireError> {
    let length = size_of::<Header>() + parts.iter().map(|part| part.len()).sum::<usize>();
    header.size = u32::try_from(length)
        .ok()
        .filter(|&size| size <= proto::MAX_MESSAGE && fds.len() <= proto::MAX_FDS)
        .ok_or_else(|| WireError::Protocol(format!("{length} bytes are too long a message")))?;
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(header.as_bytes());
    parts.iter().for_each(|part| bytes.extend_from_slice(part));

    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(proto::MAX_FDS))];
    let mut sent = 0;
    while sent < bytes.len() {
        let mut control = SendAncillaryBuffer::new(&mut space);
        // Descriptors go with the first byte.
        if sent == 0 && !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(WireError::Protocol("too many descriptors".into()));
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match sendmsg(socket, &[IoSlice::new(&bytes[sent..])], &mut control, flags) {
            Ok(count) => sent += count,
            Err(rustix::io::Errno::AGAIN) => wait(socket, PollFlags::OUT, deadline)?,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(gone(error)),
        }
    }
    Ok(())
}

/// Receives one message.
///
/// # Errors
/// `Closed` between messages; `TimedOut`, `Protocol`, `Io`, after which the connection is
/// unusable.
pub fn receive(socket: BorrowedFd<'_>, deadline: Option<Instant>) -> Result<Message, WireError> {
    let mut fds = Vec::new();
    let mut header = [0; size_of::<Header>()];
    fill(socket, &mut header, &mut fds, deadline, true)?;
    let header = Header::read_from_bytes(&header)
        .map_err(|_| WireError::Protocol("header of another size".into()))?;
    if !(size_of::<Header>()..=proto::MAX_MESSAGE as usize).contains(&(header.size as usize)) {
        return Err(WireError::Protocol(format!(
            "message of {} bytes",
            header.size
        )));
    }
    // Memory is taken as bytes come in, not as they are announced.
    let mut left = header.size as usize - size_of::<Header>();
    let mut payload = Vec::new();
    while left > 0 {
        let start = payload.len();
        let step = left.min(64 << 10);
        payload.resize(start + step, 0);
        fill(socket, &mut payload[start..], &mut fds, deadline, false)?;
        left -= step;
    }
    Ok(Message {
        header,
        payload,
        fds,
    })
}

fn fill(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    fds: &mut Vec<OwnedFd>,
    deadline: Option<Instant>,
    at_start: bool,
) -> Result<(), WireError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(proto::MAX_FDS))];
    let mut filled = 0;
    while filled < buffer.len() {
        wait(socket, PollFlags::IN, deadline)?;
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let mut parts = [IoSliceMut::new(&mut buffer[filled..])];
        let result = match recvmsg(socket, &mut parts, &mut control, flags) {
            Ok(result) => result,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(gone(error)),
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                fds.extend(received);
            }
        }
        if result.flags.contains(ReturnFlags::CTRUNC) || fds.len() > proto::MAX_FDS {
            return Err(WireError::Protocol("more descriptors than allowed".into()));
        }
        if result.bytes == 0 {
            return Err(if at_start && filled == 0 {
                WireError::Closed
            } else {
                WireError::Protocol("the message is cut off".into())
            });
        }
        filled += result.bytes;
    }
    Ok(())
}

/// Sends the answer to `request`: `Ok` with parts of a payload and descriptors, or an errno.
///
/// # Errors
/// Those of [`send`].
pub fn reply(
    socket: impl AsFd,
    request: &Header,
    result: Result<(&[&[u8]], &[BorrowedFd<'_>]), i32>,
    deadline: Option<Instant>,
) -> Result<(), WireError> {
    let mut header = Header {
        id: request.id,
        command: request.command,
        flags: proto::TYPE_REPLY,
        ..Header::default()
    };
    match result {
        Ok((parts, fds)) => send(socket.as_fd(), header, parts, fds, deadline),
        Err(errno) => {
            header.flags |= proto::ERROR;
            header.error = errno.unsigned_abs();
            send(socket.as_fd(), header, &[], &[], deadline)
        }
    }
}
