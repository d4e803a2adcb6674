// SPDX-License-Identifier: MIT
//! One message with descriptors over a seqpacket socket.

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Descriptors that one message may carry.
pub const MAX_FDS: usize = 32;

/// Sends one message made of parts.
pub fn send(
    socket: impl AsFd,
    parts: &[IoSlice<'_>],
    fds: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::TOOBIG);
    }
    loop {
        match sendmsg(&socket, parts, &mut control, flags | SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Receives one message into `buffer`; gives its length and its descriptors (close-on-exec).
/// Zero is the end. `EMSGSIZE` where the message or its descriptors did not fit.
pub fn receive(
    socket: impl AsFd,
    buffer: &mut [u8],
    flags: RecvFlags,
) -> Result<(usize, Vec<OwnedFd>), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = loop {
        let mut parts = [IoSliceMut::new(buffer)];
        match recvmsg(
            &socket,
            &mut parts,
            &mut control,
            flags | RecvFlags::CMSG_CLOEXEC,
        ) {
            Ok(message) => break message,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    };
    let mut fds = Vec::new();
    for item in control.drain() {
        if let RecvAncillaryMessage::ScmRights(list) = item {
            fds.extend(list);
        }
    }
    if message
        .flags
        .intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC)
    {
        return Err(Errno::MSGSIZE);
    }
    Ok((message.bytes, fds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    #[test]
    fn carries_bytes_and_descriptors() {
        let (a, b) = pair();
        let file = crate::memory::sealed("test", 4096).unwrap();
        send(
            &a,
            &[IoSlice::new(b"ab"), IoSlice::new(b"c")],
            &[file.as_fd()],
            SendFlags::empty(),
        )
        .unwrap();
        let mut buffer = [0; 8];
        let (len, fds) = receive(&b, &mut buffer, RecvFlags::empty()).unwrap();
        assert_eq!(&buffer[..len], b"abc");
        assert_eq!(crate::memory::verify(&fds[0]).unwrap(), 4096);
        drop(a);
        assert_eq!(receive(&b, &mut buffer, RecvFlags::empty()).unwrap().0, 0);
    }

    #[test]
    fn a_message_that_does_not_fit_is_an_error() {
        let (a, b) = pair();
        send(&a, &[IoSlice::new(b"abcdef")], &[], SendFlags::empty()).unwrap();
        let mut buffer = [0; 2];
        let error = receive(&b, &mut buffer, RecvFlags::empty()).unwrap_err();
        assert_eq!(error, Errno::MSGSIZE);
    }

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap()
    }
}
