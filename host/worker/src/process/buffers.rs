// SPDX-License-Identifier: MIT
//! The host's buffers, mapped while the driver uses them.

use super::{Process, lock, threads};
use crate::wire::message::{Ask, FromWorker, Reply};
use drvhost_abi::Errno;
use drvhost_abi::tables::BufferMap;
use drvhost_channel::memory::Mapping;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Mutex;

const PAGE: u64 = 4096;

#[derive(Debug)]
struct Buffer {
    map: Mapping,
    uses: usize,
}

/// The buffers in use, by the host's id.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    // Held over upcalls, so that a put and an open of the same buffer keep their order.
    map: Mutex<HashMap<u64, Buffer>>,
}

impl Process {
    /// Makes and maps a buffer; in a replayed call, maps the one that the call made before.
    /// Gives its memory too.
    pub(super) fn buffer_create(&self, size: u64) -> Result<(BufferMap, OwnedFd), Errno> {
        let size = size.checked_next_multiple_of(PAGE).filter(|size| *size > 0);
        let size = size.ok_or(Errno::EINVAL)?;
        let mut current = threads::current();
        let mut buffers = lock(&self.buffers.map);
        let ask = match std::mem::take(&mut current.buffer) {
            0 => Ask::BufferCreate {
                file: current.file,
                size,
            },
            id => Ask::BufferOpen { id },
        };
        threads::set_current(current);
        let (reply, fd) = self.ask_fd(ask)?;
        if reply.size < size {
            self.control.send(&FromWorker::BufferPut { id: reply.id });
            return Err(Errno::EINVAL);
        }
        Ok((enter(&mut buffers, reply, &fd)?, fd))
    }

    /// Maps a buffer by id.
    pub(super) fn buffer_open(&self, id: u64) -> Result<BufferMap, Errno> {
        let mut buffers = lock(&self.buffers.map);
        if let Some(buffer) = buffers.get_mut(&id) {
            buffer.uses += 1;
            return Ok(view(id, buffer));
        }
        let (reply, fd) = self.ask_fd(Ask::BufferOpen { id })?;
        enter(&mut buffers, Reply { id, ..reply }, &fd)
    }

    /// Ends one use of a buffer.
    pub(super) fn buffer_put(&self, id: u64) -> Result<(), Errno> {
        let mut buffers = lock(&self.buffers.map);
        let buffer = buffers.get_mut(&id).ok_or(Errno::ENOENT)?;
        buffer.uses -= 1;
        if buffer.uses == 0 {
            buffers.remove(&id);
            self.control.send(&FromWorker::BufferPut { id });
        }
        Ok(())
    }
}

fn enter(
    buffers: &mut HashMap<u64, Buffer>,
    reply: Reply,
    fd: impl AsFd,
) -> Result<BufferMap, Errno> {
    if let Some(buffer) = buffers.get_mut(&reply.id) {
        buffer.uses += 1;
        return Ok(view(reply.id, buffer));
    }
    let size = usize::try_from(reply.size).map_err(|_| Errno::ENOMEM)?;
    let map = Mapping::shared(fd, 0, size).map_err(|error| Errno(error.raw_os_error()))?;
    let buffer = Buffer { map, uses: 1 };
    let view = view(reply.id, &buffer);
    buffers.insert(reply.id, buffer);
    Ok(view)
}

fn view(id: u64, buffer: &Buffer) -> BufferMap {
    BufferMap {
        id,
        ptr: buffer.map.as_ptr(),
        size: buffer.map.len() as u64,
    }
}
