// SPDX-License-Identifier: MIT
//! Forwarding a call to the worker there is, over any number of workers: recorded when it
//! succeeded, made again when the worker's death cut it off.

use super::file::OpenFile;
use crate::claims::{Claim, MASTER};
use crate::quota::{Charge, Kind};
use crate::shadow::display::{CURRENT_FRAMEBUFFER, commit};
use crate::shadow::events::{self, Want};
use crate::shadow::resync::current_framebuffer;
use crate::shadow::topology::Topology;
use crate::shadow::wire::{Caller, argument, changed, fixed_part, payload as make};
use crate::shadow::{Done, Shadow};
use drvhost_abi::Errno;
use drvhost_abi::tables::{MmapOut, NodeKind, ObjectRef};
use drvhost_drm::uapi::*;
use drvhost_port::{Answer, CallError, Ioctl, Worker};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A call to forward.
#[derive(Debug)]
pub(crate) struct Forward<'a> {
    pub(crate) file: &'a Arc<OpenFile>,
    pub(crate) cmd: u32,
    pub(crate) objects: &'a [ObjectRef],
}

/// Forwards a call; the answer overwrites `payload`, also for a refusal.
pub(crate) fn forward(call: &Forward<'_>, payload: &mut Vec<u8>) -> Result<Answer, Errno> {
    let device = &call.file.device;
    if call.file.kind != NodeKind::Card {
        return match plain(call, payload) {
            Err(CallError::Errno(errno)) => Err(errno),
            // The context is lost with its worker.
            Err(CallError::Died) => Err(Errno::ENODEV),
            Ok(answer) => Ok(answer),
        };
    }
    let charge = limits(call, payload)?;
    let _held = device.claims.take(claim(call.cmd, payload));
    let ticket = reserve(call, payload)?;
    let result = attempts(call, payload, ticket, charge);
    if result.is_err()
        && let Some((ticket, ..)) = ticket
    {
        device.events().cancel(ticket);
    }
    if drops_objects(call.cmd) {
        device.collect();
    }
    result
}

/// A ticket for events, and how many of them are flips.
type Ticket = (u64, i32);

/// Calls until a worker answers.
fn attempts(
    call: &Forward<'_>,
    payload: &mut Vec<u8>,
    ticket: Option<Ticket>,
    mut charge: Option<Charge>,
) -> Result<Answer, Errno> {
    let device = &call.file.device;
    loop {
        let pass = device.gate.enter(&call.file.closing)?;
        let Some(worker) = pass.worker().cloned() else {
            return Err(Errno::ENODEV);
        };
        let expected = ticket.map_or(0, |(_, flips)| flips);
        if expected > 0 {
            worker.expect(expected);
        }
        let mut reply = payload.clone();
        let answer = attempt(call, &*worker, payload, &mut reply);
        let answer = match (answer, ticket) {
            // What it announced was done.
            (Err(CallError::Died), Some((ticket, _))) if device.events().delivered(ticket) => {
                reply.clone_from(payload);
                Ok((Answer::default(), 0))
            }
            (answer, _) => answer,
        };
        match answer {
            Ok((answer, buffer)) => {
                if let Some((ticket, _)) = ticket {
                    let again = again(call.cmd, payload, &reply);
                    device.events().accept(ticket, again);
                }
                watch_sequence(call, &reply);
                let request = current(call, &*worker, payload);
                let mut shadow = device.shadow();
                let ask = shadow.record(Done {
                    file: call.file.cookie,
                    cmd: call.cmd,
                    request: request.as_deref().unwrap_or(payload),
                    reply: &reply,
                    buffer,
                    objects_in: call.objects,
                    objects_out: &answer.objects,
                    charge: charge.take(),
                });
                if ask {
                    // If the worker dies now, replay comes to the same.
                    let _ = shadow.resync(&device.host(&*worker));
                }
                *payload = reply;
                return Ok(answer);
            }
            Err(CallError::Errno(errno)) => {
                if expected > 0 {
                    worker.expect(-expected);
                }
                *payload = reply;
                return Err(errno);
            }
            Err(CallError::Died) => pass.died(),
        }
    }
}

/// One attempt. For `CREATE_DUMB` the buffer is found as well, or the call was not done.
fn attempt(
    call: &Forward<'_>,
    worker: &dyn Worker,
    payload: &[u8],
    reply: &mut Vec<u8>,
) -> Result<(Answer, u64), CallError> {
    let ioctl = Ioctl {
        cmd: call.cmd,
        objects: call.objects.to_vec(),
        ..Ioctl::default()
    };
    let answer = super::wait::ioctl(call.file, worker, &ioctl, reply)?;
    if reply.len() != payload.len() {
        // A longer or shorter answer would be read past its end by the program.
        reply.resize(payload.len(), 0);
        return Err(CallError::Errno(Errno::EIO));
    }
    if call.cmd == ioctl::MODE_MAP_DUMB {
        own_offset(call, worker, reply)?;
    }
    if call.cmd != ioctl::MODE_CREATE_DUMB {
        return Ok((answer, 0));
    }
    let caller = Caller {
        worker,
        file: call.file.cookie,
    };
    let dumb: drm_mode_create_dumb = fixed_part(call.cmd, reply);
    let cmd = ioctl::MODE_MAP_DUMB;
    let map = drm_mode_map_dumb {
        handle: dumb.handle,
        ..Default::default()
    };
    let found = caller.call(cmd, make(cmd, &map, &[])).and_then(|answer| {
        let offset = fixed_part::<drm_mode_map_dumb>(cmd, &answer).offset;
        worker.mmap(call.file.cookie, offset, dumb.size, true)
    });
    match found {
        Ok(out) if out.offset == 0 => Ok((answer, out.buffer)),
        Err(CallError::Died) => Err(CallError::Died),
        // Its memory is the driver's own: it works, but does not survive.
        Ok(_) | Err(CallError::Errno(_)) => Ok((answer, 0)),
    }
}

/// Replaces the driver's mapping offset by the front's own, which outlives the worker.
fn own_offset(
    call: &Forward<'_>,
    worker: &dyn Worker,
    reply: &mut Vec<u8>,
) -> Result<(), CallError> {
    let map: drm_mode_map_dumb = fixed_part(call.cmd, reply);
    let out = worker.mmap(call.file.cookie, map.offset, PAGE, true)?;
    let device = &call.file.device;
    let buffer = device.objects.buffer(out.buffer);
    let buffer = buffer.map_err(CallError::Errno)?;
    let start = device.shadow().offsets.of(buffer.id, buffer.size);
    *reply = changed(call.cmd, reply, |map: &mut drm_mode_map_dumb| {
        map.offset = start + out.offset;
    });
    Ok(())
}

/// The smallest mapping, in bytes.
const PAGE: u64 = 4096;

/// One attempt of a file that is not recorded.
fn plain(call: &Forward<'_>, payload: &mut [u8]) -> Result<Answer, CallError> {
    let pass = call
        .file
        .device
        .gate
        .enter(&call.file.closing)
        .map_err(CallError::Errno)?;
    let ioctl = Ioctl {
        cmd: call.cmd,
        objects: call.objects.to_vec(),
        ..Ioctl::default()
    };
    match pass.worker() {
        Some(worker) => super::wait::ioctl(call.file, &**worker, &ioctl, payload),
        None => Err(CallError::Died),
    }
}

/// Asks the worker for a mapping that the front does not know.
pub(crate) fn mmap(
    file: &OpenFile,
    offset: u64,
    length: u64,
    write: bool,
) -> Result<MmapOut, Errno> {
    loop {
        let pass = file.device.gate.enter(&file.closing)?;
        let Some(worker) = pass.worker().cloned() else {
            return Err(Errno::ENODEV);
        };
        match worker.mmap(file.cookie, offset, length, write) {
            Ok(out) => return Ok(out),
            Err(CallError::Errno(errno)) => return Err(errno),
            Err(CallError::Died) => pass.died(),
        }
        if file.kind != NodeKind::Card {
            return Err(Errno::ENODEV);
        }
    }
}

/// Refuses what would be more than a file or a user may hold.
fn limits(call: &Forward<'_>, payload: &[u8]) -> Result<Option<Charge>, Errno> {
    let shared = &call.file.device.shared;
    let cookie = call.file.cookie;
    let most = shared.accounts.limits().objects_per_file;
    let count = |shadow: &Shadow| -> Option<usize> {
        let file = shadow.files.get(&cookie)?;
        Some(match call.cmd {
            ioctl::MODE_CREATE_DUMB
            | ioctl::PRIME_FD_TO_HANDLE
            | ioctl::GEM_OPEN
            | ioctl::MODE_GETFB
            | ioctl::MODE_GETFB2 => file.handles.len(),
            ioctl::SYNCOBJ_CREATE | ioctl::SYNCOBJ_FD_TO_HANDLE => file.syncobjs.len(),
            ioctl::MODE_ADDFB | ioctl::MODE_ADDFB2 => {
                let fbs = shadow.framebuffers.values();
                fbs.filter(|fb| fb.owner == cookie).count()
            }
            ioctl::MODE_CREATEPROPBLOB => {
                let blobs = shadow.blobs.values();
                blobs.filter(|blob| blob.owner == cookie).count()
            }
            _ => return None,
        })
    };
    if !makes_objects(call.cmd) {
        return Ok(None);
    }
    if count(&call.file.device.shadow()).is_some_and(|count| count >= most) {
        return Err(Errno::ENOMEM);
    }
    if call.cmd == ioctl::MODE_CREATEPROPBLOB {
        let length = argument::<drm_mode_create_blob>(call.cmd, payload).length;
        let charge = shared
            .accounts
            .charge(call.file.uid, Kind::Memory, length.into());
        return charge.map(Some);
    }
    Ok(None)
}

fn makes_objects(cmd: u32) -> bool {
    matches!(
        cmd,
        ioctl::MODE_CREATE_DUMB
            | ioctl::PRIME_FD_TO_HANDLE
            | ioctl::GEM_OPEN
            | ioctl::MODE_GETFB
            | ioctl::MODE_GETFB2
            | ioctl::SYNCOBJ_CREATE
            | ioctl::SYNCOBJ_FD_TO_HANDLE
            | ioctl::MODE_ADDFB
            | ioctl::MODE_ADDFB2
            | ioctl::MODE_CREATEPROPBLOB
    )
}

fn drops_objects(cmd: u32) -> bool {
    matches!(
        cmd,
        ioctl::GEM_CLOSE
            | ioctl::MODE_DESTROY_DUMB
            | ioctl::MODE_RMFB
            | ioctl::MODE_CLOSEFB
            | ioctl::MODE_SETCRTC
            | ioctl::MODE_CURSOR
            | ioctl::MODE_CURSOR2
    )
}

/// What a call changes that must be recorded in order.
fn claim(cmd: u32, payload: &[u8]) -> Claim {
    let legacy = |objects: &[u32]| Claim::Legacy(objects.iter().copied().collect());
    match cmd {
        ioctl::MODE_ATOMIC => {
            let objects: BTreeSet<u32> = commit(payload).iter().map(|item| item.object).collect();
            Claim::Atomic(objects)
        }
        ioctl::MODE_SETCRTC => legacy(&[argument::<drm_mode_crtc>(cmd, payload).crtc_id]),
        ioctl::MODE_PAGE_FLIP => {
            legacy(&[argument::<drm_mode_crtc_page_flip>(cmd, payload).crtc_id])
        }
        ioctl::MODE_SETPLANE => legacy(&[argument::<drm_mode_set_plane>(cmd, payload).plane_id]),
        ioctl::MODE_CURSOR | ioctl::MODE_CURSOR2 => {
            legacy(&[argument::<drm_mode_cursor>(cmd, payload).crtc_id])
        }
        ioctl::MODE_SETGAMMA => legacy(&[argument::<drm_mode_crtc_lut>(cmd, payload).crtc_id]),
        ioctl::MODE_SETPROPERTY => {
            let set: drm_mode_connector_set_property = argument(cmd, payload);
            legacy(&[set.connector_id])
        }
        ioctl::MODE_OBJ_SETPROPERTY => {
            legacy(&[argument::<drm_mode_obj_set_property>(cmd, payload).obj_id])
        }
        ioctl::SET_MASTER | ioctl::DROP_MASTER => legacy(&[MASTER]),
        _ => Claim::Nothing,
    }
}

/// Registers the events that a call asks for, before anything can send them.
fn reserve(call: &Forward<'_>, payload: &[u8]) -> Result<Option<Ticket>, Errno> {
    let wants = wants(call, payload);
    if wants.is_empty() {
        return Ok(None);
    }
    let unread = call.file.unread();
    let mut events = call.file.device.events();
    let ticket = events.reserve(call.file.cookie, &wants, unread)?;
    let flips = wants.iter().filter(|want| want.kind == events::Kind::Flip);
    Ok(Some((ticket, i32::try_from(flips.count()).unwrap_or(0))))
}

fn wants(call: &Forward<'_>, payload: &[u8]) -> Vec<Want> {
    let one = |kind, crtc, user_data| {
        vec![Want {
            kind,
            crtc,
            user_data,
        }]
    };
    match call.cmd {
        ioctl::MODE_PAGE_FLIP => {
            let flip: drm_mode_crtc_page_flip = argument(call.cmd, payload);
            if flip.flags & DRM_MODE_PAGE_FLIP_EVENT == 0 {
                return Vec::new();
            }
            one(events::Kind::Flip, flip.crtc_id, flip.user_data)
        }
        ioctl::MODE_ATOMIC => {
            let atomic: drm_mode_atomic = argument(call.cmd, payload);
            if atomic.flags & DRM_MODE_PAGE_FLIP_EVENT == 0 {
                return Vec::new();
            }
            let items = commit(payload);
            let crtcs = know_crtcs(call).crtcs_of(&items);
            crtcs
                .into_iter()
                .map(|crtc| Want {
                    kind: events::Kind::Flip,
                    crtc,
                    user_data: atomic.user_data,
                })
                .collect()
        }
        ioctl::WAIT_VBLANK => {
            let wait = drm_wait_vblank_request::read_from(payload);
            if wait.type_ & drm_vblank_seq_type::_DRM_VBLANK_EVENT == 0 {
                return Vec::new();
            }
            one(events::Kind::Vblank, 0, wait.signal)
        }
        ioctl::CRTC_QUEUE_SEQUENCE => {
            let queue: drm_crtc_queue_sequence = argument(call.cmd, payload);
            one(events::Kind::Sequence, 0, queue.user_data)
        }
        _ => Vec::new(),
    }
}

/// The record, with the planes' and connectors' CRTCs as they are now. If no worker can say, the
/// call itself will wait for one.
fn know_crtcs<'a>(call: &'a Forward<'_>) -> std::sync::MutexGuard<'a, Shadow> {
    let device = &call.file.device;
    let relearn = device.relearn.swap(false, Ordering::Relaxed);
    if (relearn || device.shadow().stale)
        && let Ok(pass) = device.gate.enter(&call.file.closing)
        && let Some(worker) = pass.worker()
    {
        let host = device.host(&**worker);
        let mut shadow = device.shadow();
        if relearn && let Ok(topology) = Topology::learn(&host, &shadow.topology) {
            shadow.topology = topology;
        }
        let _ = shadow.refresh(&host);
    }
    device.shadow()
}

/// The request that a new worker must get in place of one that waits for a certain vblank.
fn again(cmd: u32, request: &[u8], reply: &[u8]) -> Option<(u32, Vec<u8>)> {
    match cmd {
        ioctl::WAIT_VBLANK => {
            let mut wait = drm_wait_vblank_request::read_from(request);
            let target = drm_wait_vblank_reply::read_from(reply).sequence;
            wait.type_ &= !(drm_vblank_seq_type::_DRM_VBLANK_RELATIVE
                | drm_vblank_seq_type::_DRM_VBLANK_NEXTONMISS);
            wait.sequence = target;
            let mut bytes = request.to_vec();
            wait.write_to(&mut bytes);
            Some((cmd, bytes))
        }
        ioctl::CRTC_QUEUE_SEQUENCE => {
            let target = fixed_part::<drm_crtc_queue_sequence>(cmd, reply).sequence;
            let bytes = changed(cmd, request, |queue: &mut drm_crtc_queue_sequence| {
                queue.flags = 0;
                queue.sequence = target;
            });
            Some((cmd, bytes))
        }
        _ => None,
    }
}

/// Sequence numbers that programs have seen must not come again.
fn watch_sequence(call: &Forward<'_>, reply: &[u8]) {
    let mut events = call.file.device.events();
    match call.cmd {
        ioctl::WAIT_VBLANK => {
            let wait = drm_wait_vblank_reply::read_from(reply);
            // With an event, the answer names a vblank that is still to come.
            if wait.type_ & drm_vblank_seq_type::_DRM_VBLANK_EVENT == 0 {
                let sequence = events.extend(wait.sequence);
                events.see(sequence);
            }
        }
        ioctl::CRTC_GET_SEQUENCE => {
            let get: drm_crtc_get_sequence = fixed_part(call.cmd, reply);
            events.see(get.sequence);
        }
        _ => {}
    }
}

/// A mode set with "the framebuffer there is" names none: the driver knows which.
fn current(call: &Forward<'_>, worker: &dyn Worker, payload: &[u8]) -> Option<Vec<u8>> {
    if call.cmd != ioctl::MODE_SETCRTC {
        return None;
    }
    let set: drm_mode_crtc = argument(call.cmd, payload);
    if set.fb_id != CURRENT_FRAMEBUFFER {
        return None;
    }
    let host = call.file.device.host(worker);
    let fb_id = current_framebuffer(&host, set.crtc_id).ok()?;
    Some(changed(call.cmd, payload, |set: &mut drm_mode_crtc| {
        set.fb_id = fb_id;
    }))
}
