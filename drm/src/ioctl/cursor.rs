// SPDX-License-Identifier: MIT
//! Legacy cursors, on the cursor plane.

use super::framebuffer::make;
use crate::call::{Answer, Call};
use crate::device::State;
use crate::kms::commit::How;
use crate::kms::registry::Origin;
use crate::kms::transaction::{Pace, Transaction};
use crate::uapi::*;
use drvhost_abi::Errno;
use std::sync::Arc;

/// `MODE_CURSOR`.
pub fn cursor(call: &mut Call<'_>) -> Answer {
    let arg: drm_mode_cursor = call.msg.arg();
    set(call, &arg)
}

/// `MODE_CURSOR2`: the hot spot matters only to cursors that somebody else draws.
pub fn cursor2(call: &mut Call<'_>) -> Answer {
    let arg: drm_mode_cursor2 = call.msg.arg();
    set(
        call,
        &drm_mode_cursor {
            flags: arg.flags,
            crtc_id: arg.crtc_id,
            x: arg.x,
            y: arg.y,
            width: arg.width,
            height: arg.height,
            handle: arg.handle,
        },
    )
}

fn set(call: &mut Call<'_>, arg: &drm_mode_cursor) -> Answer {
    let (device, file) = (call.device, call.file);
    let objects = &device.objects;
    if arg.flags == 0 || arg.flags & !(DRM_MODE_CURSOR_BO | DRM_MODE_CURSOR_MOVE) != 0 {
        return Err(Errno::EINVAL);
    }
    let mut state = call.lock();
    let crtc = state.find_crtc(objects, file, arg.crtc_id)?;
    let plane = objects.cursor[crtc].ok_or(Errno::ENXIO)?;
    if !state.holds(file, objects.planes[plane]) {
        return Err(Errno::EACCES);
    }
    let bo = arg.flags & DRM_MODE_CURSOR_BO != 0;
    let mut fb = None;
    if bo && arg.handle != 0 {
        let request = drm_mode_fb_cmd2 {
            width: arg.width,
            height: arg.height,
            pixel_format: DrmFourcc::Argb8888 as u32,
            handles: [arg.handle, 0, 0, 0],
            pitches: [arg.width.checked_mul(4).ok_or(Errno::EINVAL)?, 0, 0, 0],
            ..Default::default()
        };
        // The core's, not the program's: it never learns this id.
        let made = make(device, &mut state, file, Origin::Core, &request)?;
        let cursors = &mut state.file(file)?.cursors;
        cursors.retain(|cursor| cursor.strong_count() > 0);
        cursors.push(Arc::downgrade(&made));
        fb = Some(made);
    }
    if arg.flags & DRM_MODE_CURSOR_MOVE != 0 {
        state.vblanks[crtc].cursor = (arg.x, arg.y);
    }
    drop(state);
    let how = if call.replay {
        How::Forced
    } else {
        How::Blocking
    };
    device.commit(how, |state: &mut State| {
        let (x, y) = state.vblanks[crtc].cursor;
        let mut tx = Transaction::new(&state.kms);
        tx.pace = Pace::Immediate;
        let now = &state.kms.planes[plane];
        let shown = if bo { fb.clone() } else { now.fb.clone() };
        match shown {
            Some(fb) => {
                let (w, h) = (fb.width, fb.height);
                tx.set_plane(plane, crtc, fb, (x, y, w, h), (0, 0, w << 16, h << 16));
            }
            None => tx.disable_plane(plane),
        }
        Ok(tx)
    })?;
    Ok(0)
}
