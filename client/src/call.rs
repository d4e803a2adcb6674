// SPDX-License-Identifier: MIT
//! DRM ioctls.

use crate::files;
use crate::memory::OwnMemory;
use crate::passing;
use crate::table::OpenFile;
use drvhost_channel::program::{CALL, FdNote, NEEDS_CONNECTION};
use drvhost_channel::ring::{CallError, Head};
use drvhost_drm::wire::{Call, EncodeError, encode, finish};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use zerocopy::FromBytes;

/// Payloads up to this size, in bytes, need no allocation.
const SMALL: usize = 2048;

/// One ioctl. `None`: the descriptor is no node's.
pub fn ioctl(fd: i32, cmd: u32, argument: u64) -> Option<Result<i64, Errno>> {
    let file = match files::find(fd)? {
        Ok(file) => file,
        Err(error) => return Some(Err(error)),
    };
    let mut small = [0; SMALL];
    Some(match encode(cmd, argument, &OwnMemory, &mut small) {
        Ok(call) => through_ring(&file, fd, &call, argument, &mut small),
        Err(EncodeError::TooSmall(need)) => encode_large(cmd, argument, need)
            .and_then(|(call, mut payload)| through_ring(&file, fd, &call, argument, &mut payload)),
        Err(EncodeError::Errno(error)) => Err(errno(error)),
    })
}

fn errno(error: drvhost_drm::uapi::Errno) -> Errno {
    Errno::from_raw_os_error(error.0)
}

fn encode_large(cmd: u32, argument: u64, mut need: usize) -> Result<(Call, Vec<u8>), Errno> {
    loop {
        let mut buffer = vec![0; need];
        match encode(cmd, argument, &OwnMemory, &mut buffer) {
            Ok(call) => {
                buffer.truncate(call.payload_len());
                return Ok((call, buffer));
            }
            Err(EncodeError::TooSmall(more)) => need = more.max(need + 1),
            Err(EncodeError::Errno(error)) => return Err(errno(error)),
        }
    }
}

fn through_ring(
    file: &OpenFile,
    fd: i32,
    call: &Call,
    argument: u64,
    buffer: &mut [u8],
) -> Result<i64, Errno> {
    let payload = buffer.get_mut(..call.payload_len()).ok_or(Errno::IO)?;
    if let Some(note) = passing::known(call, payload)? {
        return passing::call(file, call, note.as_slice(), payload);
    }
    let head = Head {
        op: CALL,
        cmd: call.cmd(),
        ..Head::default()
    };
    let answer = file.ring.call(&head, &[], payload, &|| !hung_up(fd));
    let (head, _) = answer.map_err(|error| match error {
        CallError::Gone => Errno::NODEV,
        CallError::TooLarge => Errno::TOOBIG,
    })?;
    let len = payload.len().min(head.payload_len as usize);
    let reply = payload.get(..len).unwrap_or(&[]);
    if head.result != -i64::from(NEEDS_CONNECTION) {
        return conclude(call, head.result, reply);
    }
    let notes = reply
        .chunks_exact(size_of::<FdNote>())
        .filter_map(|note| FdNote::read_from_bytes(note).ok())
        .collect::<Vec<_>>();
    // The notes came where the payload was.
    let (call, payload) = encode_large(call.cmd(), argument, call.payload_len().max(1))?;
    passing::call(file, &call, &notes, &payload)
}

/// Gives the program its answer.
pub fn conclude(call: &Call, result: i64, reply: &[u8]) -> Result<i64, Errno> {
    if result < 0 && reply.len() != call.payload_len() {
        // Refused before anybody looked at it: there is nothing to write back.
        return Err(crate::front::errno(result));
    }
    finish(call, result, reply, &mut OwnMemory).map_err(errno)
}

/// Whether the host's end of an event socket is gone.
fn hung_up(fd: i32) -> bool {
    let Ok(socket) = files::borrow(fd) else {
        return true;
    };
    let mut fds = [PollFd::from_borrowed_fd(socket, PollFlags::empty())];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    match poll(&mut fds, Some(&now)) {
        Ok(1) => fds[0]
            .revents()
            .intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL),
        _ => false,
    }
}
