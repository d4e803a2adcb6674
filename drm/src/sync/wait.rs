// SPDX-License-Identifier: MIT
//! Sleeping until syncobjs are signalled.

use super::{HostFence, Standing, Syncobj};
use crate::device::Device;
use crate::uapi::*;
use drvhost_abi::Errno;
use std::sync::{Arc, Weak};

/// What to wait for: a syncobj and a point of its timeline (zero: the whole).
pub type Target = (Arc<Syncobj>, u64);

/// Waits for all targets or any of them, as the flags say, until the deadline in monotonic
/// nanoseconds. Returns the index of one that is signalled. `ETIME`: the deadline came first;
/// `EINVAL`: a target holds no fence and the flags do not say to wait for one.
pub fn wait(
    device: &Arc<Device>,
    targets: &[Target],
    flags: u32,
    deadline: u64,
) -> Result<usize, Errno> {
    let all = flags & DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL != 0;
    let available = flags & DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE != 0;
    let for_submit = flags & DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT != 0 || available;
    loop {
        let seen = device.seen();
        let mut first = None;
        let mut open = Vec::new();
        let mut missing = false;
        for (index, (syncobj, point)) in targets.iter().enumerate() {
            match syncobj.standing(*point) {
                Standing::Missing if !for_submit => return Err(Errno::EINVAL),
                Standing::Missing => missing = true,
                Standing::Pending(fences) if !available => open.extend(fences),
                Standing::Pending(_) | Standing::Done => {
                    first.get_or_insert(index);
                }
            }
        }
        let complete = open.is_empty() && !missing;
        if let Some(first) = first.filter(|_| complete || !all) {
            return Ok(first);
        }
        if device.host.now() >= deadline {
            return Err(Errno::ETIME);
        }
        match &*open {
            // All are needed, or there is no other: sleep on the fence itself.
            [fence, rest @ ..] if all || (rest.is_empty() && !missing) => {
                fence.wait(deadline);
            }
            _ => {
                for fence in &open {
                    watch(device, fence)?;
                }
                device.sleep(seen, deadline);
            }
        }
    }
}

/// Signals an eventfd once a target is signalled, or as soon as it holds a fence (`available`).
pub fn notify_later(
    device: &Arc<Device>,
    target: Target,
    available: bool,
    event: Arc<HostFence>,
) -> Result<(), Errno> {
    let (syncobj, point) = target;
    let ready = move |syncobj: &Syncobj| match syncobj.standing(point) {
        Standing::Missing => Err(Vec::new()),
        Standing::Pending(fences) if !available => Err(fences),
        Standing::Pending(_) | Standing::Done => Ok(()),
    };
    if ready(&syncobj).is_ok() {
        return event.signal();
    }
    let (syncobj, weak) = (Arc::downgrade(&syncobj), Arc::downgrade(device));
    device.host.spawn("drm-eventfd", move || {
        // It ends with the syncobj: nobody can signal it then.
        while let (Some(device), Some(syncobj)) = (Weak::upgrade(&weak), syncobj.upgrade()) {
            let seen = device.seen();
            match ready(&syncobj) {
                Ok(()) => {
                    let _ = event.signal();
                    return;
                }
                Err(fences) => {
                    for fence in fences {
                        if let Err(errno) = watch(&device, &fence) {
                            device.log(log::Level::Warn, &format!("watching a fence: {errno}"));
                            return;
                        }
                    }
                }
            }
            drop(syncobj);
            device.sleep(seen, u64::MAX);
        }
    })
}

/// Has the device's sleepers woken when the fence is signalled.
fn watch(device: &Arc<Device>, fence: &Arc<HostFence>) -> Result<(), Errno> {
    if !fence.claim_watch() {
        return Ok(());
    }
    let (fence, device) = (fence.clone(), device.clone());
    device.host.spawn("drm-fence", {
        let device = device.clone();
        move || {
            fence.wait(u64::MAX);
            device.notify();
        }
    })
}
