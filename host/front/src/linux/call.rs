// SPDX-License-Identifier: MIT
//! One ioctl of a program: checked, answered here where it is constant, else forwarded, and
//! repeated after a crash that cut it off.

use super::descriptors::{self, Given};
use super::file::OpenFile;
use super::forward::{Forward, forward};
use super::shared::Shared;
use drvhost_abi::Errno;
use drvhost_abi::tables::NodeKind;
use drvhost_channel::program::{FdNote, IN_FIELD, IN_VALUE, NEEDS_CONNECTION};
use drvhost_drm::uapi::drm_mode_map_dumb;
use drvhost_drm::uapi::ioctl as number;
use drvhost_drm::wire::{Message, describe};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use zerocopy::IntoBytes;

/// Constant answers that are kept for a device.
const MAX_CONSTANTS: usize = 64;

/// An answer that never changes while the driver is the same.
#[derive(Debug)]
pub(crate) struct Constant {
    cmd: u32,
    request: Vec<u8>,
    value: i64,
    answer: Vec<u8>,
}

/// What a call over a connection answers.
#[derive(Debug)]
pub(crate) struct CallAnswer {
    pub(crate) result: i64,
    pub(crate) fds: Vec<(FdNote, OwnedFd)>,
}

/// A call that came through a ring. Gives the result; the answer overwrites `payload`.
pub(crate) fn through_ring(
    file: &Arc<OpenFile>,
    _shared: &Arc<Shared>,
    cmd: u32,
    payload: &mut Vec<u8>,
) -> i64 {
    match run(file, cmd, payload, None) {
        Ok(answer) => answer.result,
        Err(errno) => -i64::from(errno.0),
    }
}

/// A call that came over a connection, with its descriptors.
pub(crate) fn through_connection(
    file: &Arc<OpenFile>,
    cmd: u32,
    payload: &mut Vec<u8>,
    fds: Vec<OwnedFd>,
) -> CallAnswer {
    run(file, cmd, payload, Some(fds)).unwrap_or_else(|errno| CallAnswer {
        result: -i64::from(errno.0),
        fds: Vec::new(),
    })
}

/// The table's number for a call, however its caller spells it. `ENOTTY` and `EINVAL` as Linux
/// answers what is no DRM number, and what is none of the core's or the driver's.
fn known(cmd: u32) -> Result<u32, Errno> {
    if number::type_of(cmd) != number::TYPE {
        return Err(Errno::ENOTTY);
    }
    match describe(cmd) {
        Some(descriptor) => Ok(descriptor.cmd),
        None if number::is_driver_private(number::nr(cmd)) => Ok(cmd),
        None => Err(Errno::EINVAL),
    }
}

fn run(
    file: &Arc<OpenFile>,
    cmd: u32,
    payload: &mut Vec<u8>,
    fds: Option<Vec<OwnedFd>>,
) -> Result<CallAnswer, Errno> {
    let cmd = known(cmd)?;
    let message = Message::decode(cmd, payload.as_slice())?;
    let notes = descriptors::notes(file, &message);
    let result = |result| CallAnswer {
        result,
        fds: Vec::new(),
    };
    let given = match fds {
        None if notes.is_empty() => Given::default(),
        None => {
            *payload = notes.as_bytes().to_vec();
            return Ok(result(-i64::from(NEEDS_CONNECTION)));
        }
        Some(fds) => Given::take(file, cmd, &notes, fds)?,
    };
    if let Some(value) = constant(file, cmd, payload) {
        return Ok(result(value));
    }
    if file.kind == NodeKind::Card && cmd == number::MODE_MAP_DUMB && map_dumb(file, payload)? {
        return Ok(result(0));
    }
    let gives = notes
        .iter()
        .any(|note| ![IN_FIELD, IN_VALUE].contains(&note.kind));
    let _taking = gives.then(|| file.device.objects.fences.taking(file.cookie));
    let key = is_constant(cmd).then(|| payload.clone());
    let call = Forward {
        file,
        cmd,
        objects: &given.objects,
    };
    let done = forward(&call, payload);
    given.end(file, done.is_ok());
    let done = done?;
    if let Some(key) = key {
        let mut constants = file.device.constants();
        if constants.len() < MAX_CONSTANTS {
            constants.push(Constant {
                cmd,
                request: key,
                value: i64::try_from(done.value).unwrap_or(i64::MAX),
                answer: payload.clone(),
            });
        }
    }
    Ok(CallAnswer {
        result: i64::try_from(done.value).unwrap_or(i64::MAX),
        fds: match gives {
            true => descriptors::answer(file, &notes, &done.objects)?,
            false => Vec::new(),
        },
    })
}

/// What the driver answers the same each time, to everybody.
fn is_constant(cmd: u32) -> bool {
    matches!(cmd, number::VERSION | number::GET_CAP)
}

fn constant(file: &OpenFile, cmd: u32, payload: &mut [u8]) -> Option<i64> {
    if !is_constant(cmd) || file.device.gate.is_removed() {
        return None;
    }
    let constants = file.device.constants();
    let mut constants = constants.iter();
    let known = constants.find(|known| known.cmd == cmd && known.request == payload)?;
    payload.copy_from_slice(&known.answer);
    Some(known.value)
}

/// Offsets are the front's own. False: the buffer is not known here, so the driver must say.
fn map_dumb(file: &OpenFile, payload: &mut Vec<u8>) -> Result<bool, Errno> {
    if file.device.gate.is_removed() {
        return Err(Errno::ENODEV);
    }
    let cmd = number::MODE_MAP_DUMB;
    let mut message = Message::decode(cmd, std::mem::take(payload))?;
    let mut argument: drm_mode_map_dumb = message.arg();
    let mut shadow = file.device.shadow();
    let buffer = shadow.buffer_of(file.cookie, argument.handle);
    // What is no dumb buffer may not be mappable: the driver knows.
    let buffer = buffer.filter(|buffer| shadow.dumb.contains_key(buffer));
    let buffer = buffer.and_then(|id| file.device.objects.buffer(id).ok());
    if let Some(buffer) = &buffer {
        argument.offset = shadow.offsets.of(buffer.id, buffer.size);
        message.set_arg(&argument);
    }
    *payload = message.into_payload();
    Ok(buffer.is_some())
}

/// Finds the memory at a mapping offset: the buffer, and the place in it.
pub(crate) fn map(
    file: &OpenFile,
    offset: u64,
    length: u64,
    write: bool,
) -> Result<(OwnedFd, u64), Errno> {
    let device = &file.device;
    if length == 0 || !offset.is_multiple_of(4096) {
        return Err(Errno::EINVAL);
    }
    let known = {
        let shadow = device.shadow();
        match shadow.offsets.find(offset, length) {
            Some((buffer, _)) if !shadow.has_buffer(file.cookie, buffer) => {
                return Err(Errno::EACCES);
            }
            known => known,
        }
    };
    let (buffer, place) = match known {
        Some(known) if file.kind == NodeKind::Card => known,
        _ => {
            let out = super::forward::mmap(file, offset, length, write)?;
            (out.buffer, out.offset)
        }
    };
    let buffer = device.objects.buffer(buffer).map_err(|_| Errno::EINVAL)?;
    let end = place.checked_add(length).ok_or(Errno::EINVAL)?;
    if end > buffer.size {
        return Err(Errno::EINVAL);
    }
    let fd = rustix::io::fcntl_dupfd_cloexec(&buffer.fd, 0);
    Ok((fd.map_err(super::objects::errno)?, place))
}
