// SPDX-License-Identifier: MIT
//! Calls that carry descriptors, which a ring can't.

use crate::call::conclude;
use crate::files::borrow;
use crate::front;
use crate::memory::OwnMemory;
use crate::table::OpenFile;
use drvhost_channel::program::{FdNote, IN_FIELD, IN_VALUE, OUT_FIELD, OUT_POINTER};
use drvhost_drm::uapi::ioctl;
use drvhost_drm::wire::{Call, ClientMemory, DescriptorPassing};
use rustix::io::{Errno, FdFlags};
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};

/// Whether a call is known to carry a descriptor; the note for one that goes out.
pub fn known(call: &Call, payload: &[u8]) -> Result<Option<Option<FdNote>>, Errno> {
    let Some(descriptor) = call.descriptor() else {
        return Ok(None);
    };
    let place = descriptor.descriptor_wire_offset().unwrap_or(0) as u32;
    match descriptor.passing {
        None => Ok(None),
        // A sync file is made only if asked for; without it there is nothing to carry either way,
        // and the host knows.
        Some(DescriptorPassing::Out(_)) => Ok(Some(None)),
        Some(DescriptorPassing::In(_)) => {
            let number = call.descriptor_in(payload).ok_or(Errno::IO)?;
            let open = borrow(number).is_ok_and(|fd| rustix::io::fcntl_getfd(fd).is_ok());
            match (open, ioctl::nr(call.cmd())) {
                (true, _) => Ok(Some(Some(FdNote {
                    kind: IN_FIELD,
                    place,
                    value: u64::from(number as u32),
                }))),
                // Linux looks for a syncobj behind the number, and finds none.
                (false, nr) if nr == ioctl::nr(ioctl::SYNCOBJ_FD_TO_HANDLE) => Err(Errno::INVAL),
                (false, _) => Err(Errno::BADF),
            }
        }
    }
}

/// Makes the call over a connection.
pub fn call(file: &OpenFile, call: &Call, notes: &[FdNote], payload: &[u8]) -> Result<i64, Errno> {
    let mut fds: Vec<BorrowedFd<'_>> = Vec::new();
    for note in notes {
        if matches!(note.kind, IN_FIELD | IN_VALUE) {
            fds.push(borrow(note.value as u32 as i32)?);
        }
    }
    let sent = front::call(file.token, call.cmd(), notes, payload, &fds);
    let mut reply = sent.map_err(|error| match error {
        // Some number is no open file; a fence that isn't one is EINVAL.
        Errno::BADF => Errno::INVAL,
        error => error,
    })?;
    let result = reply.answer.result;
    if result < 0 {
        return conclude(call, result, &reply.payload);
    }
    let cloexec = stays_private(call, payload);
    let mut given = Vec::new();
    for (note, fd) in reply.notes.iter().zip(reply.fds.drain(..)) {
        match note.kind {
            OUT_FIELD if !cloexec => rustix::io::fcntl_setfd(&fd, FdFlags::empty())?,
            OUT_FIELD | OUT_POINTER => {}
            _ => return Err(Errno::IO),
        }
        place(call, note, &fd, &mut reply.payload)?;
        given.push(fd);
    }
    let result = conclude(call, result, &reply.payload)?;
    // Now they are the program's.
    for fd in given {
        let _: i32 = OwnedFd::into_raw_fd(fd);
    }
    Ok(result)
}

/// Stores a new descriptor's number where its note says.
fn place(call: &Call, note: &FdNote, fd: &OwnedFd, payload: &mut [u8]) -> Result<(), Errno> {
    let number = fd.as_raw_fd();
    if note.kind == OUT_POINTER {
        return OwnMemory
            .write(note.value, &number.to_ne_bytes())
            .map_err(|error| Errno::from_raw_os_error(error.0));
    }
    if call.set_descriptor_out(payload, number) {
        return Ok(());
    }
    let at = note.place as usize;
    let place = at
        .checked_add(4)
        .and_then(|end| payload.get_mut(at..end))
        .ok_or(Errno::IO)?;
    place.copy_from_slice(&number.to_ne_bytes());
    Ok(())
}

/// Whether the program asked for a descriptor that ends with `exec`. Sync objects' always do.
fn stays_private(call: &Call, payload: &[u8]) -> bool {
    let flags_at = match call.cmd() {
        cmd if cmd == ioctl::PRIME_HANDLE_TO_FD => 4,
        cmd if cmd == ioctl::MODE_CREATE_LEASE => 4,
        _ => return true,
    };
    let bytes = payload.get(flags_at..flags_at + 4);
    let flags = bytes
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u32::from_le_bytes);
    flags & libc::O_CLOEXEC as u32 != 0
}
