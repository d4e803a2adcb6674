// SPDX-License-Identifier: MIT
//! One request, one answer, over a connected socket; broken once, it stays broken.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use super::proto::{self, Header};
use super::wire::{self, Message, WireError};
use crate::error::{Error, Result};

/// How many requests of the server's own are turned down while waiting for one answer.
const STRAY_LIMIT: u32 = 64;

#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    next_id: u16,
    /// Set when an answer may still be under way or the stream is out of step.
    broken: Option<&'static str>,
    pub(super) timeout: Duration,
    pub(super) max_transfer: u32,
    pub(super) max_fds: u32,
}

impl Connection {
    pub(super) fn new(socket: OwnedFd, timeout: Duration) -> Self {
        Self {
            socket,
            next_id: 0,
            broken: None,
            timeout,
            max_transfer: proto::DEFAULT_MAX_TRANSFER,
            max_fds: proto::DEFAULT_MAX_FDS,
        }
    }

    pub(super) fn into_socket(self) -> OwnedFd {
        self.socket
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Errs when the connection can't be used any more.
    pub(super) fn check(&self, what: &str) -> Result<()> {
        match self.broken {
            None => Ok(()),
            Some("gone") => Err(Error::Gone { what: what.into() }),
            Some(why) => Err(Error::Protocol {
                what: what.into(),
                why: why.into(),
            }),
        }
    }

    /// Sends a request and waits for its answer. A refusal is `Refused`, and the connection
    /// stays usable after it.
    pub(super) fn call(
        &mut self,
        what: &str,
        command: u16,
        parts: &[&[u8]],
        fds: &[BorrowedFd<'_>],
    ) -> Result<Message> {
        self.check(what)?;
        self.next_id = self.next_id.wrapping_add(1);
        let header = Header {
            id: self.next_id,
            command,
            ..Header::default()
        };
        let deadline = Instant::now() + self.timeout;
        let result = wire::send(self.socket.as_fd(), header, parts, fds, Some(deadline))
            .and_then(|()| self.answer(&header, deadline));
        let message = match result {
            Ok(message) => message,
            Err(error) => return Err(self.broke(what, error)),
        };
        if message.header.flags & proto::ERROR != 0 {
            // Errnos are 1 to 4095 on Linux; anything else says no more than "failed".
            let errno = i32::try_from(message.header.error).unwrap_or(5);
            let errno = if (1..4096).contains(&errno) { errno } else { 5 };
            return Err(Error::Refused {
                what: what.into(),
                errno,
            });
        }
        Ok(message)
    }

    fn answer(
        &self,
        request: &Header,
        deadline: Instant,
    ) -> std::result::Result<Message, WireError> {
        for _ in 0..STRAY_LIMIT {
            let message = wire::receive(self.socket.as_fd(), Some(deadline))?;
            let header = &message.header;
            match header.flags & proto::TYPE_MASK {
                // Requests of the server's own (DMA by message) are not for us: we always
                // give it the file.
                proto::TYPE_COMMAND if header.flags & proto::NO_REPLY != 0 => {}
                proto::TYPE_COMMAND => {
                    let unsupported = rustix::io::Errno::OPNOTSUPP.raw_os_error();
                    wire::reply(&self.socket, header, Err(unsupported), Some(deadline))?;
                }
                proto::TYPE_REPLY
                    if (header.id, header.command) == (request.id, request.command) =>
                {
                    return Ok(message);
                }
                _ => {
                    return Err(WireError::Protocol(format!(
                        "answer {} to command {}, expected {} to {}",
                        header.id, header.command, request.id, request.command
                    )));
                }
            }
        }
        Err(WireError::Protocol(
            "too many requests while an answer was due".into(),
        ))
    }

    fn broke(&mut self, what: &str, error: WireError) -> Error {
        let what = what.to_string();
        match error {
            WireError::Closed => {
                self.broken = Some("gone");
                Error::Gone { what }
            }
            WireError::TimedOut => {
                self.broken = Some("an earlier request got no answer");
                Error::TimedOut {
                    what,
                    millis: self.timeout.as_millis() as u64,
                }
            }
            WireError::Protocol(why) => {
                self.broken = Some("an earlier answer broke the protocol");
                Error::Protocol { what, why }
            }
            WireError::Io(source) => {
                self.broken = Some("an earlier request failed half-way");
                Error::Io { what, source }
            }
        }
    }

    /// Marks the connection as unusable: an answer made no sense.
    pub(super) fn violated(&mut self, what: &str, why: impl Into<String>) -> Error {
        self.broke(what, WireError::Protocol(why.into()))
    }
}
