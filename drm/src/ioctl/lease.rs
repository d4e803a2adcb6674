// SPDX-License-Identifier: MIT
//! Leases: a part of the display handed to another program as a file of its own.

use super::resources::count;
use crate::call::{Answer, Call};
use crate::device::State;
use crate::file::{FileId, FileState};
use crate::kms::objects::Object;
use crate::master::{Master, MasterId};
use crate::plugin::DrmFile;
use crate::uapi::*;
use drvhost_abi::Errno;
use drvhost_abi::tables::ObjectKind;
use std::collections::BTreeSet;

/// The node whose files leases are.
const CARD: u32 = 0;

fn master_of(state: &mut State, file: FileId) -> Result<MasterId, Errno> {
    state.file(file)?.master.ok_or(Errno::EINVAL)
}

/// `MODE_CREATE_LEASE`.
pub fn create(call: &mut Call<'_>) -> Answer {
    let mut arg: drm_mode_create_lease = call.msg.arg();
    let mut state = call.lock();
    let lessor = master_of(&mut state, call.file)?;
    if state.masters.owner(lessor) != lessor
        || arg.flags != 0 && arg.flags & !(DRM_CLOEXEC | NONBLOCK) != 0
    {
        return Err(Errno::EINVAL);
    }
    let leases = chosen(call, &mut state)?;
    for (_, lessee) in state.masters.lessees(lessor) {
        let other = &state.masters.all[&lessee].leases;
        if !other.is_disjoint(&leases) {
            return Err(Errno::EBUSY);
        }
    }
    let lessee_id = state.masters.lessee_id(lessor, call.want)?;
    let mine = state.file(call.file)?;
    let mut file = FileState {
        is_master: true,
        authenticated: true,
        pid: mine.pid,
        uid: mine.uid,
        caps: mine.caps,
        ..FileState::default()
    };
    let unique_set = state.masters.all[&lessor].unique_set;
    file.master = Some(state.masters.add(Master {
        unique_set,
        lessor: Some(lessor),
        lessee_id,
        leases,
        ..Master::default()
    }));
    let id = state.add_file(file);
    drop(state);
    // Dropped on an error, it takes its state with it.
    let cookie = DrmFile::new(call.device.clone(), id).announce(CARD)?;
    if let Ok(file) = call.lock().file(id) {
        file.cookie = cookie;
    }
    arg.lessee_id = lessee_id;
    call.msg.set_arg(&arg);
    call.give(ObjectKind::File, 0, cookie);
    Ok(0)
}

/// `O_NONBLOCK`, as Linux numbers it.
const NONBLOCK: u32 = 0o4000;

/// The objects that the call names, checked as `drm_lease.c` does.
fn chosen(call: &Call<'_>, state: &mut State) -> Result<BTreeSet<u32>, Errno> {
    let objects = &call.device.objects;
    let universal = state.file(call.file)?.caps.universal_planes;
    let mut found = Vec::new();
    for id in call.msg.elements::<u32>(0) {
        let object = state.find(objects, call.file, id).ok_or(Errno::ENOENT)?;
        found.push((id, object));
    }
    let has = |is: fn(&Object) -> bool| found.iter().any(|(_, object)| is(object));
    let complete = has(|o| matches!(o, Object::Crtc(_)))
        && has(|o| matches!(o, Object::Connector(_)))
        && (!universal || has(|o| matches!(o, Object::Plane(_))));
    if !found.is_empty() && !complete {
        return Err(Errno::EINVAL);
    }
    let mut leases = BTreeSet::new();
    for (id, object) in found {
        if !object.leasable() {
            return Err(Errno::EINVAL);
        }
        if !leases.insert(id) {
            return Err(Errno::ENOSPC);
        }
        if let (Object::Crtc(crtc), false) = (object, universal) {
            leases.insert(objects.planes[objects.primary[crtc]]);
            leases.extend(objects.cursor[crtc].map(|plane| objects.planes[plane]));
        }
    }
    Ok(leases)
}

/// `MODE_LIST_LESSEES`.
pub fn list_lessees(call: &mut Call<'_>) -> Answer {
    let mut arg: drm_mode_list_lessees = call.msg.arg();
    if arg.pad != 0 {
        return Err(Errno::EINVAL);
    }
    let mut state = call.lock();
    let lessor = master_of(&mut state, call.file)?;
    let mut ids: Vec<u32> = state
        .masters
        .lessees(lessor)
        .filter(|(_, master)| !state.masters.all[master].leases.is_empty())
        .map(|(id, _)| id)
        .collect();
    ids.sort_unstable();
    drop(state);
    arg.count_lessees = count(ids.len());
    call.msg.set_arg(&arg);
    call.msg.write_array(0, &ids)?;
    Ok(0)
}

/// `MODE_GET_LEASE`: what the caller may use; everything, where it is no lessee.
pub fn get(call: &mut Call<'_>) -> Answer {
    let mut arg: drm_mode_get_lease = call.msg.arg();
    if arg.pad != 0 {
        return Err(Errno::EINVAL);
    }
    let state = call.lock();
    let ids: Vec<u32> = match state.leased(call.file) {
        Some(leases) => leases.iter().copied().collect(),
        None => call.device.objects.ids().collect(),
    };
    drop(state);
    arg.count_objects = count(ids.len());
    call.msg.set_arg(&arg);
    call.msg.write_array(0, &ids)?;
    Ok(0)
}

/// `MODE_REVOKE_LEASE`: `ENOENT` for an unknown lessee.
pub fn revoke(call: &mut Call<'_>) -> Answer {
    let arg: drm_mode_revoke_lease = call.msg.arg();
    let mut state = call.lock();
    let lessor = master_of(&mut state, call.file)?;
    let lessee = state
        .masters
        .lessees(lessor)
        .find(|(id, _)| *id == arg.lessee_id)
        .map(|(_, lessee)| lessee);
    let lessee = lessee.and_then(|lessee| state.masters.all.get_mut(&lessee));
    lessee.ok_or(Errno::ENOENT)?.leases.clear();
    Ok(0)
}
