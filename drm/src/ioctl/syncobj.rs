// SPDX-License-Identifier: MIT
//! Syncobjs.

use crate::call::{Answer, Call};
use crate::ids::pick;
use crate::sync::wait::{Target, notify_later, wait as sleep};
use crate::sync::{Fence, HostFence, Standing, Syncobj};
use crate::uapi::*;
use drvhost_abi::Errno;
use drvhost_abi::tables::ObjectKind;
use std::sync::{Arc, Weak};

/// A syncobj by its handle, with the error for none.
fn find(call: &Call<'_>, handle: u32, errno: Errno) -> Result<Arc<Syncobj>, Errno> {
    let mut state = call.lock();
    let handles = &state.file(call.file)?.syncobjs;
    handles.get(&handle).cloned().ok_or(errno)
}

fn add(call: &Call<'_>, syncobj: Arc<Syncobj>) -> Result<u32, Errno> {
    let mut state = call.lock();
    let handles = &mut state.file(call.file)?.syncobjs;
    let handle = pick(handles, 1, call.want)?;
    handles.insert(handle, syncobj);
    Ok(handle)
}

/// The syncobjs of the call's handles: `EINVAL` for none at all, `ENOENT` for an unknown one.
fn list(call: &Call<'_>) -> Result<Vec<Arc<Syncobj>>, Errno> {
    if call.msg.room(0) == 0 {
        return Err(Errno::EINVAL);
    }
    let handles: Vec<u32> = call.msg.elements(0).collect();
    let found = handles
        .into_iter()
        .map(|handle| find(call, handle, Errno::ENOENT));
    found.collect()
}

/// `SYNCOBJ_CREATE`.
pub fn create(call: &mut Call<'_>) -> Answer {
    let mut arg: drm_syncobj_create = call.msg.arg();
    if arg.flags & !DRM_SYNCOBJ_CREATE_SIGNALED != 0 {
        return Err(Errno::EINVAL);
    }
    let syncobj = Arc::new(Syncobj::default());
    if arg.flags & DRM_SYNCOBJ_CREATE_SIGNALED != 0 {
        syncobj.replace(Some(None));
    }
    arg.handle = add(call, syncobj)?;
    call.msg.set_arg(&arg);
    Ok(0)
}

/// `SYNCOBJ_DESTROY`.
pub fn destroy(call: &mut Call<'_>) -> Answer {
    let arg: drm_syncobj_destroy = call.msg.arg();
    if arg.pad != 0 {
        return Err(Errno::EINVAL);
    }
    let gone = call.lock().file(call.file)?.syncobjs.remove(&arg.handle);
    drop(gone.ok_or(Errno::EINVAL)?);
    // Whoever waits for it on behalf of an eventfd ends.
    call.device.notify();
    Ok(0)
}

/// `SYNCOBJ_HANDLE_TO_FD`: the syncobj itself, or its fence as a sync file.
pub fn handle_to_fd(call: &mut Call<'_>) -> Answer {
    let arg: drm_syncobj_handle = call.msg.arg();
    let known = [0, DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE];
    if arg.pad != 0 || !known.contains(&arg.flags) {
        return Err(Errno::EINVAL);
    }
    let host = call.device.host;
    if arg.flags == 0 {
        let syncobj = find(call, arg.handle, Errno::EINVAL)?;
        let mut state = call.lock();
        let (token, new) = syncobj.token(host)?;
        if new {
            state.tokens.retain(|_, held| held.strong_count() > 0);
            state.tokens.insert(token, Arc::downgrade(&syncobj));
        }
        drop(state);
        call.give(ObjectKind::Fence, 0, token);
        return Ok(0);
    }
    let syncobj = find(call, arg.handle, Errno::ENOENT)?;
    let id = match syncobj.standing(0) {
        Standing::Missing => return Err(Errno::EINVAL),
        Standing::Done => host_id(call, HostFence::signalled(host)?)?,
        Standing::Pending(fences) => match &*fences {
            [fence] => fence.id,
            _ => all_of(call, fences)?,
        },
    };
    call.give(ObjectKind::Fence, 0, id);
    Ok(0)
}

/// The id of a fence that is kept until the answer is on its way: as long as the file is open.
fn host_id(call: &Call<'_>, fence: Arc<HostFence>) -> Result<u64, Errno> {
    let id = fence.id;
    let mut state = call.lock();
    let kept = &mut state.file(call.file)?.exported;
    // The host has taken its own use of earlier ones by now.
    if kept.len() >= 16 {
        kept.pop_front();
    }
    kept.push_back(fence);
    Ok(id)
}

/// A fence that is signalled after all of these.
fn all_of(call: &Call<'_>, fences: Vec<Arc<HostFence>>) -> Result<u64, Errno> {
    let host = call.device.host;
    let all = HostFence::new(host, host.fence_create()?);
    let id = host_id(call, all.clone())?;
    host.spawn("drm-fence", move || {
        for fence in fences {
            fence.wait(u64::MAX);
        }
        let _ = all.signal();
    })?;
    Ok(id)
}

/// `SYNCOBJ_FD_TO_HANDLE`: a syncobj from outside, or a sync file into one.
pub fn fd_to_handle(call: &mut Call<'_>) -> Answer {
    let mut arg: drm_syncobj_handle = call.msg.arg();
    if arg.pad != 0 || arg.flags & !DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE != 0 {
        return Err(Errno::EINVAL);
    }
    let fence = call.fence(ObjectKind::Fence, 0).ok_or(Errno::EINVAL)?;
    if arg.flags != 0 {
        // An exported syncobj is no sync file: nobody would ever signal what stands for it.
        if call.lock().tokens.contains_key(&fence.id) {
            return Err(Errno::EINVAL);
        }
        let syncobj = find(call, arg.handle, Errno::ENOENT)?;
        syncobj.replace(Some(Some(fence)));
        call.device.notify();
        return Ok(0);
    }
    let state = call.lock();
    let syncobj = state.tokens.get(&fence.id).and_then(Weak::upgrade);
    drop(state);
    arg.handle = add(call, syncobj.ok_or(Errno::EINVAL)?)?;
    call.msg.set_arg(&arg);
    Ok(0)
}

/// What every kind of wait does once it knows its targets.
fn wait_for(call: &Call<'_>, points: Vec<u64>, flags: u32, timeout: i64) -> Result<u32, Errno> {
    let syncobjs = list(call)?;
    let targets: Vec<Target> = syncobjs.into_iter().zip(points).collect();
    let deadline = u64::try_from(timeout).unwrap_or(0);
    let first = sleep(call.device, &targets, flags, deadline)?;
    Ok(u32::try_from(first).unwrap_or(u32::MAX))
}

/// `SYNCOBJ_WAIT`.
pub fn wait(call: &mut Call<'_>) -> Answer {
    let mut arg: drm_syncobj_wait = call.msg.arg();
    let known = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL
        | DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT
        | DRM_SYNCOBJ_WAIT_FLAGS_WAIT_DEADLINE;
    if arg.flags & !known != 0 {
        return Err(Errno::EINVAL);
    }
    if arg.count_handles == 0 {
        return Ok(0);
    }
    let points = vec![0; call.msg.room(0)];
    arg.first_signaled = wait_for(call, points, arg.flags, arg.timeout_nsec)?;
    call.msg.set_arg(&arg);
    Ok(0)
}

/// `SYNCOBJ_TIMELINE_WAIT`.
pub fn timeline_wait(call: &mut Call<'_>) -> Answer {
    let mut arg: drm_syncobj_timeline_wait = call.msg.arg();
    let known = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL
        | DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT
        | DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE
        | DRM_SYNCOBJ_WAIT_FLAGS_WAIT_DEADLINE;
    if arg.flags & !known != 0 {
        return Err(Errno::EINVAL);
    }
    if arg.count_handles == 0 {
        return Ok(0);
    }
    let points = call.msg.elements(1).collect();
    arg.first_signaled = wait_for(call, points, arg.flags, arg.timeout_nsec)?;
    call.msg.set_arg(&arg);
    Ok(0)
}

/// `SYNCOBJ_RESET`.
pub fn reset(call: &mut Call<'_>) -> Answer {
    let arg: drm_syncobj_array = call.msg.arg();
    if arg.pad != 0 {
        return Err(Errno::EINVAL);
    }
    for syncobj in list(call)? {
        syncobj.replace(None);
    }
    call.device.notify();
    Ok(0)
}

/// `SYNCOBJ_SIGNAL`.
pub fn signal(call: &mut Call<'_>) -> Answer {
    let arg: drm_syncobj_array = call.msg.arg();
    if arg.pad != 0 {
        return Err(Errno::EINVAL);
    }
    for syncobj in list(call)? {
        syncobj.replace(Some(None));
    }
    call.device.notify();
    Ok(0)
}

/// `SYNCOBJ_TIMELINE_SIGNAL`.
pub fn timeline_signal(call: &mut Call<'_>) -> Answer {
    let arg: drm_syncobj_timeline_array = call.msg.arg();
    if arg.flags != 0 {
        return Err(Errno::EINVAL);
    }
    let points: Vec<u64> = call.msg.elements(1).collect();
    for (syncobj, point) in list(call)?.iter().zip(points) {
        syncobj.add_point(point, None);
    }
    call.device.notify();
    Ok(0)
}

/// `SYNCOBJ_QUERY`.
pub fn query(call: &mut Call<'_>) -> Answer {
    let arg: drm_syncobj_timeline_array = call.msg.arg();
    if arg.flags & !DRM_SYNCOBJ_QUERY_FLAGS_LAST_SUBMITTED != 0 {
        return Err(Errno::EINVAL);
    }
    let submitted = arg.flags != 0;
    let points: Vec<u64> = list(call)?
        .iter()
        .map(|syncobj| syncobj.query(submitted))
        .collect();
    call.msg.write_array(1, &points)?;
    Ok(0)
}

/// `SYNCOBJ_TRANSFER`: a fence from one syncobj into another.
pub fn transfer(call: &mut Call<'_>) -> Answer {
    let arg: drm_syncobj_transfer = call.msg.arg();
    if arg.pad != 0 {
        return Err(Errno::EINVAL);
    }
    let to = find(call, arg.dst_handle, Errno::ENOENT)?;
    let from = find(call, arg.src_handle, Errno::ENOENT)?;
    if arg.flags & !DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT != 0 {
        return Err(Errno::EINVAL);
    }
    if arg.flags != 0 {
        let available = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE | arg.flags;
        let target = (from.clone(), arg.src_point);
        sleep(call.device, &[target], available, u64::MAX)?;
    }
    let fence: Fence = match from.standing(arg.src_point) {
        Standing::Missing => return Err(Errno::EINVAL),
        Standing::Done => None,
        Standing::Pending(fences) => match &*fences {
            [fence] => Some(fence.clone()),
            _ => {
                all_of(call, fences)?;
                let mut state = call.lock();
                state.file(call.file)?.exported.back().cloned()
            }
        },
    };
    match arg.dst_point {
        0 => to.replace(Some(fence)),
        point => to.add_point(point, fence),
    }
    call.device.notify();
    Ok(0)
}

/// `SYNCOBJ_EVENTFD`.
pub fn eventfd(call: &mut Call<'_>) -> Answer {
    let arg: drm_syncobj_eventfd = call.msg.arg();
    if arg.flags & !DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE != 0 || arg.pad != 0 {
        return Err(Errno::EINVAL);
    }
    let syncobj = find(call, arg.handle, Errno::ENOENT)?;
    let event = call.fence(ObjectKind::Event, 0).ok_or(Errno::EBADF)?;
    notify_later(call.device, (syncobj, arg.point), arg.flags != 0, event)?;
    Ok(0)
}
