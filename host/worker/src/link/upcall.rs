// SPDX-License-Identifier: MIT
//! What a driver asks of the host while it has a device.

use super::shared::{Bound, Shared};
use crate::wire::message::{Ask, FromWorker, MAX_EVENT, Reply, ToWorker};
use drvhost_abi::Errno;
use drvhost_port::Object;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Longest name of a firmware file.
const MAX_NAME: usize = 255;

pub(super) fn handle(
    shared: &Shared,
    bound: &Bound,
    message: FromWorker,
) -> Result<(), &'static str> {
    match message {
        FromWorker::Upcall { seq, ask } => {
            let answer = answer(bound, ask);
            let fd = answer.as_ref().ok().and_then(|(_, fd)| fd.as_ref());
            let fds: Vec<BorrowedFd<'_>> = fd.iter().map(|fd| fd.as_fd()).collect();
            let result = match &answer {
                Ok((reply, _)) => Ok(*reply),
                Err(errno) => Err(errno.0),
            };
            shared.send(&ToWorker::Reply { seq, result }, &fds);
        }
        FromWorker::BufferPut { id } => bound.upcalls.buffer_put(id),
        FromWorker::FencePut { id } => bound.upcalls.fence_put(id),
        FromWorker::Hotplug => bound.upcalls.hotplug(),
        FromWorker::Event { file, data } => {
            if data.len() > MAX_EVENT {
                return Err("sent too large an event");
            }
            // A file that was closed meanwhile, or a reader that does not read: no fault of the
            // driver's.
            let _ = bound.upcalls.post_event(file, &data);
        }
        _ => return Err("sent a message out of turn"),
    }
    Ok(())
}

fn answer(bound: &Bound, ask: Ask) -> Result<(Reply, Option<OwnedFd>), Errno> {
    let upcalls = &bound.upcalls;
    let object = |object: Object| {
        let Object { id, fd, size } = object;
        (Reply { id, size }, Some(fd))
    };
    match ask {
        Ask::BufferCreate { file, size } => upcalls.buffer_create(file, size).map(object),
        Ask::BufferOpen { id } => upcalls.buffer_open(id).map(object),
        Ask::FenceCreate { file } => upcalls.fence_create(file).map(object),
        Ask::FenceOpen { id } => upcalls.fence_open(id).map(object),
        Ask::FileCreate { node } => upcalls
            .file_create(node)
            .map(|id| (Reply { id, size: 0 }, None)),
        Ask::Firmware { name } => {
            // A name may have directories, as Linux's drivers write them; it can't leave the root.
            let parts = || name.split('/');
            if name.len() > MAX_NAME || parts().any(|part| matches!(part, "" | "." | "..")) {
                return Err(Errno::ENOENT);
            }
            (bound.firmware)(&name).map(|(fd, size)| (Reply { id: 0, size }, Some(fd)))
        }
    }
}
