// SPDX-License-Identifier: MIT
//! Atomic commits, with the checks of `drm_mode_atomic_ioctl` in its order.

use crate::call::{Answer, Call};
use crate::device::State;
use crate::kms::commit::How;
use crate::kms::objects::Object;
use crate::kms::property::PropId;
use crate::kms::set::Place;
use crate::kms::transaction::{Pace, Transaction};
use crate::uapi::*;
use drvhost_abi::Errno;
use drvhost_abi::tables::ObjectKind;

/// One assignment of the call.
#[derive(Clone, Copy)]
struct Assignment {
    object: u32,
    property: PropId,
    value: u64,
}

/// `MODE_ATOMIC`.
pub fn atomic(call: &mut Call<'_>) -> Answer {
    let arg: drm_mode_atomic = call.msg.arg();
    let (device, file) = (call.device, call.file);
    let objects = &device.objects;
    let has = |flag: u32| arg.flags & flag != 0;
    let immediate = has(DRM_MODE_PAGE_FLIP_ASYNC);
    let event = has(DRM_MODE_PAGE_FLIP_EVENT);
    if !call.lock().file(file)?.caps.atomic
        || arg.flags & !DRM_MODE_ATOMIC_FLAGS != 0
        || arg.reserved != 0
        || immediate && !objects.pipeline.async_page_flip
        || event && has(DRM_MODE_ATOMIC_TEST_ONLY)
    {
        return Err(Errno::EINVAL);
    }
    let (lonely, assignments) = assignments(call);
    let build = |state: &mut State| {
        let mut tx = Transaction::new(&state.kms);
        tx.allow_modeset = has(DRM_MODE_ATOMIC_ALLOW_MODESET);
        if immediate {
            tx.pace = Pace::Async;
        }
        for (index, assignment) in assignments.iter().enumerate() {
            let place = u32::try_from(index).unwrap_or(u32::MAX);
            apply(call, state, &mut tx, *assignment, place)?;
        }
        for object in &lonely {
            with_properties(call, state, *object)?;
        }
        if event {
            if tx.crtcs == 0 {
                return Err(Errno::EINVAL);
            }
            tx.event = Some((file, arg.user_data));
        }
        Ok(tx)
    };
    let how = match arg.flags {
        flags if flags & DRM_MODE_ATOMIC_TEST_ONLY != 0 => How::Test,
        _ if call.replay => How::Forced,
        flags if flags & DRM_MODE_ATOMIC_NONBLOCK != 0 => How::Nonblocking,
        _ => How::Blocking,
    };
    let outcome = device.commit(how, build)?;
    for (place, fence) in outcome.fences {
        call.give(ObjectKind::Fence, place, fence);
    }
    Ok(0)
}

/// The call's arrays as a flat list; and the objects that come without any property.
fn assignments(call: &Call<'_>) -> (Vec<u32>, Vec<Assignment>) {
    let mut properties = call.msg.elements::<u32>(2);
    let mut values = call.msg.elements::<u64>(3);
    let mut list = Vec::with_capacity(properties.len());
    let mut lonely = Vec::new();
    let objects = call.msg.elements::<u32>(0);
    for (object, count) in objects.zip(call.msg.elements::<u32>(1)) {
        if count == 0 {
            lonely.push(object);
        }
        for _ in 0..count {
            if let (Some(property), Some(value)) = (properties.next(), values.next()) {
                list.push(Assignment {
                    object,
                    property,
                    value,
                });
            }
        }
    }
    (lonely, list)
}

/// An object that has properties: `ENOENT` otherwise.
fn with_properties(call: &Call<'_>, state: &State, id: u32) -> Result<Object, Errno> {
    match state.find(&call.device.objects, call.file, id) {
        None | Some(Object::Encoder(_)) => Err(Errno::ENOENT),
        Some(object) => Ok(object),
    }
}

fn apply(
    call: &Call<'_>,
    state: &State,
    tx: &mut Transaction,
    assignment: Assignment,
    index: u32,
) -> Result<(), Errno> {
    let objects = &call.device.objects;
    let Assignment {
        object,
        property,
        value,
    } = assignment;
    let object = with_properties(call, state, object)?;
    if !objects.properties(object).contains(&property) {
        return Err(Errno::ENOENT);
    }
    let place = Place {
        index,
        fence: call.fence(ObjectKind::Fence, index),
    };
    state.set(objects, call.file, tx, object, property, value, place)
}
