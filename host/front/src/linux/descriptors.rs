// SPDX-License-Identifier: MIT
//! Descriptors in calls: which ones a call takes and gives, and what they stand for.

use super::fences::Brought;
use super::file::OpenFile;
use super::objects::errno;
use crate::quota::Kind;
use crate::shadow::display::commit;
use crate::shadow::topology::PropertyKind;
use drvhost_abi::Errno;
use drvhost_abi::tables::{ObjectKind, ObjectRef};
use drvhost_channel::program::{FdNote, IN_FIELD, IN_VALUE, OUT_FIELD, OUT_POINTER};
use drvhost_drm::uapi::ioctl;
use drvhost_drm::wire::{DescriptorPassing, Message};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// The descriptors that a call takes and gives.
pub(crate) fn notes(file: &OpenFile, message: &Message<&[u8]>) -> Vec<FdNote> {
    if message.cmd() == ioctl::MODE_ATOMIC {
        return fences(file, message.payload());
    }
    let Some(descriptor) = message.descriptor() else {
        return Vec::new();
    };
    let Some(place) = descriptor.descriptor_wire_offset() else {
        return Vec::new();
    };
    let number = message.payload().get(place..place + 4);
    let number = number.and_then(|bytes| Some(u32::from_le_bytes(bytes.try_into().ok()?)));
    let (kind, value) = match descriptor.passing {
        Some(DescriptorPassing::In(_)) => (IN_FIELD, number.unwrap_or(0)),
        _ => (OUT_FIELD, 0),
    };
    vec![FdNote {
        kind,
        place: place as u32,
        value: value.into(),
    }]
}

/// The fences of an atomic commit. A value of -1 and an address of zero mean none.
fn fences(file: &OpenFile, payload: &[u8]) -> Vec<FdNote> {
    let shadow = file.device.shadow();
    let mut notes = Vec::new();
    for (place, item) in commit(payload).into_iter().enumerate() {
        let (kind, value) = match shadow.topology.kind(item.property) {
            PropertyKind::InFence if item.value as i32 >= 0 => (IN_VALUE, item.value),
            PropertyKind::OutFence if item.value != 0 => (OUT_POINTER, item.value),
            _ => continue,
        };
        notes.push(FdNote {
            kind,
            place: place as u32,
            value,
        });
    }
    notes
}

/// Objects that a program gave with a call. Those that the driver does not keep end with it.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) objects: Vec<ObjectRef>,
    fences: Vec<Brought>,
    buffers: Vec<Arc<super::objects::Buffer>>,
}

impl Given {
    /// Makes objects of the descriptors that came with a call, in the order of its notes.
    /// `EBADF` where one is missing.
    pub(crate) fn take(
        file: &OpenFile,
        cmd: u32,
        notes: &[FdNote],
        fds: Vec<OwnedFd>,
    ) -> Result<Given, Errno> {
        let mut given = Given::default();
        let mut fds = fds.into_iter();
        let objects = &file.device.objects;
        for note in notes {
            let (kind, place) = match (note.kind, cmd) {
                (IN_VALUE, _) => (ObjectKind::Fence, note.place),
                (IN_FIELD, ioctl::PRIME_FD_TO_HANDLE) => (ObjectKind::Buffer, 0),
                (IN_FIELD, ioctl::SYNCOBJ_EVENTFD) => (ObjectKind::Event, 0),
                (IN_FIELD, _) => (ObjectKind::Fence, 0),
                _ => continue,
            };
            let fd = fds.next().ok_or(Errno::EBADF)?;
            let id = if kind == ObjectKind::Buffer {
                let accounts = &file.device.shared.accounts;
                let charge = |size| accounts.buffer(file.uid, size);
                let buffer = objects.import(fd, charge)?;
                given.buffers.push(buffer.clone());
                buffer.id
            } else {
                let accounts = &file.device.shared.accounts;
                let charge = || accounts.charge(file.uid, Kind::Fences, 1);
                let owed = kind == ObjectKind::Event;
                let brought = objects.fences.bring(fd, owed, charge)?;
                if !owed {
                    file.brought(&brought.fence);
                }
                let id = brought.fence.id;
                given.fences.push(brought);
                id
            };
            given.objects.push(ObjectRef {
                kind: kind as u32,
                place,
                id,
            });
        }
        match fds.next() {
            Some(_) => Err(Errno::EINVAL),
            None => Ok(given),
        }
    }

    /// The call is over. Buffers that the driver refused are not left to lie about.
    pub(crate) fn end(self, file: &OpenFile, done: bool) {
        let refused = !done && !self.buffers.is_empty();
        drop(self);
        if refused {
            file.device.collect();
        }
    }
}

/// Descriptors for the objects that a call gave, with where they go in the program.
pub(crate) fn answer(
    file: &OpenFile,
    notes: &[FdNote],
    objects: &[ObjectRef],
) -> Result<Vec<(FdNote, OwnedFd)>, Errno> {
    let mut answer = Vec::new();
    for object in objects {
        let note = notes.iter().find(|note| match note.kind {
            OUT_FIELD => true,
            OUT_POINTER => note.place == object.place,
            _ => false,
        });
        let Some(note) = note else {
            log::warn!(
                "{}: the driver gave an object that nothing asks for",
                file.node
            );
            continue;
        };
        let device = &file.device;
        let fd = if object.kind == ObjectKind::Buffer as u32 {
            let buffer = device.objects.buffer(object.id)?;
            rustix::io::fcntl_dupfd_cloexec(&buffer.fd, 0).map_err(errno)?
        } else if object.kind == ObjectKind::Fence as u32 {
            let fence = device.objects.fences.get(object.id)?;
            rustix::io::fcntl_dupfd_cloexec(&fence.fd, 0).map_err(errno)?
        } else if object.kind == ObjectKind::File as u32 {
            super::open::lease(file, object.id)?
        } else {
            return Err(Errno::EIO);
        };
        answer.push((*note, fd));
    }
    Ok(answer)
}
