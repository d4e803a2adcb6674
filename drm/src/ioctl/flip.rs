// SPDX-License-Identifier: MIT
//! Legacy page flips.

use crate::call::{Answer, Call};
use crate::device::State;
use crate::kms::check::source_fits;
use crate::kms::commit::How;
use crate::kms::transaction::{Pace, Transaction};
use crate::uapi::*;
use drvhost_abi::Errno;

/// `MODE_PAGE_FLIP`. Flips to a given vertical blank are not offered (`DRM_CAP_PAGE_FLIP_TARGET`
/// is zero).
pub fn page_flip(call: &mut Call<'_>) -> Answer {
    let arg: drm_mode_crtc_page_flip_target = call.msg.arg();
    let objects = &call.device.objects;
    let target = DRM_MODE_PAGE_FLIP_TARGET_ABSOLUTE | DRM_MODE_PAGE_FLIP_TARGET_RELATIVE;
    let known = DRM_MODE_PAGE_FLIP_EVENT | DRM_MODE_PAGE_FLIP_ASYNC;
    let immediate = arg.flags & DRM_MODE_PAGE_FLIP_ASYNC != 0;
    if arg.flags & !(known | target) != 0
        || arg.flags & target == 0 && arg.sequence != 0
        || arg.flags & target == target
        || immediate && !objects.pipeline.async_page_flip
    {
        return Err(Errno::EINVAL);
    }
    let file = call.file;
    let crtc = call.lock().find_crtc(objects, file, arg.crtc_id)?;
    let plane = objects.primary[crtc];
    if !call.lock().holds(file, objects.planes[plane]) {
        return Err(Errno::EACCES);
    }
    if arg.flags & target != 0 {
        return Err(Errno::EINVAL);
    }
    let how = if call.replay {
        How::Forced
    } else {
        How::Nonblocking
    };
    call.device.commit(how, |state: &mut State| {
        let now = &state.kms.planes[plane];
        let before = now.fb.clone().ok_or(Errno::EBUSY)?;
        let fb = state.registry.find_framebuffer(arg.fb_id);
        let fb = fb.ok_or(Errno::ENOENT)?;
        source_fits(now.src_x, now.src_w, fb.width)?;
        source_fits(now.src_y, now.src_h, fb.height)?;
        if before.format.fourcc != fb.format.fourcc || !state.kms.crtcs[crtc].active {
            return Err(Errno::EINVAL);
        }
        let mut tx = Transaction::new(&state.kms);
        tx.allow_modeset = false;
        tx.pace = if immediate { Pace::Async } else { Pace::Frame };
        tx.plane(plane).fb = Some(fb);
        if arg.flags & DRM_MODE_PAGE_FLIP_EVENT != 0 {
            tx.event = Some((file, arg.user_data));
        }
        Ok(tx)
    })?;
    Ok(0)
}
