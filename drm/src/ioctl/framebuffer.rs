// SPDX-License-Identifier: MIT
//! Framebuffers: making, reading, ending them, and telling that their pixels changed.

use crate::call::{Answer, Call};
use crate::device::{Device, State};
use crate::file::FileId;
use crate::gem::add_handle;
use crate::kms::commit::How;
use crate::kms::damage::planes_with;
use crate::kms::format::legacy;
use crate::kms::framebuffer::{Framebuffer, check, fits};
use crate::kms::registry::Origin;
use crate::kms::transaction::{Pace, Transaction};
use crate::rect::Rect;
use crate::uapi::*;
use drvhost_abi::Errno;
use std::sync::Arc;

/// Makes a framebuffer for a file.
pub fn make(
    device: &Device,
    state: &mut State,
    file: FileId,
    origin: Origin,
    r: &drm_mode_fb_cmd2,
) -> Result<Arc<Framebuffer>, Errno> {
    let objects = &device.objects;
    let pipeline = &objects.pipeline;
    let any_plane = |format, modifier| {
        (0..objects.planes.len()).any(|plane| objects.plane_shows(plane, format, modifier))
    };
    let format = check(r, pipeline.min_size, pipeline.max_size, any_plane)?;
    let gem = state.gem(file, r.handles[0])?;
    if !fits(r, format, gem.size) {
        return Err(Errno::EINVAL);
    }
    state.registry.framebuffer(
        origin,
        Framebuffer {
            id: 0,
            width: r.width,
            height: r.height,
            format,
            modifier: r.modifier[0],
            flags: r.flags,
            pitch: r.pitches[0],
            offset: r.offsets[0],
            gem,
        },
    )
}

fn add_for(call: &mut Call<'_>, r: &drm_mode_fb_cmd2) -> Result<u32, Errno> {
    let mut state = call.lock();
    let origin = Origin::Client(call.want);
    let fb = make(call.device, &mut state, call.file, origin, r)?;
    let id = fb.id;
    state.file(call.file)?.framebuffers.push(fb);
    Ok(id)
}

/// `MODE_ADDFB2`.
pub fn add2(call: &mut Call<'_>) -> Answer {
    let mut arg: drm_mode_fb_cmd2 = call.msg.arg();
    arg.fb_id = add_for(call, &arg)?;
    call.msg.set_arg(&arg);
    Ok(0)
}

/// `MODE_ADDFB`: the format follows from depth and bits per pixel.
pub fn add(call: &mut Call<'_>) -> Answer {
    let mut arg: drm_mode_fb_cmd = call.msg.arg();
    let format = legacy(arg.bpp, arg.depth).ok_or(Errno::EINVAL)?;
    let request = drm_mode_fb_cmd2 {
        width: arg.width,
        height: arg.height,
        pixel_format: format,
        handles: [arg.handle, 0, 0, 0],
        pitches: [arg.pitch, 0, 0, 0],
        ..Default::default()
    };
    arg.fb_id = add_for(call, &request)?;
    call.msg.set_arg(&arg);
    Ok(0)
}

/// A handle for a framebuffer's memory; only a master or root gets one, others get zero.
fn handle(call: &Call<'_>, state: &mut State, fb: &Framebuffer) -> Result<u32, Errno> {
    let master = state.is_current_master(call.file);
    let file = state.file(call.file)?;
    if !master && !file.privileged && !file.host {
        return Ok(0);
    }
    add_handle(&mut file.handles, fb.gem.clone(), call.want)
}

/// `MODE_GETFB`.
pub fn get(call: &mut Call<'_>) -> Answer {
    let mut arg: drm_mode_fb_cmd = call.msg.arg();
    let mut state = call.lock();
    let fb = state.registry.find_framebuffer(arg.fb_id);
    let fb = fb.ok_or(Errno::ENOENT)?;
    (arg.width, arg.height, arg.pitch) = (fb.width, fb.height, fb.pitch);
    (arg.bpp, arg.depth) = (fb.format.cpp * 8, fb.format.depth);
    arg.handle = handle(call, &mut state, &fb)?;
    drop(state);
    call.msg.set_arg(&arg);
    Ok(0)
}

/// `MODE_GETFB2`.
pub fn get2(call: &mut Call<'_>) -> Answer {
    let arg: drm_mode_fb_cmd2 = call.msg.arg();
    let mut state = call.lock();
    let fb = state.registry.find_framebuffer(arg.fb_id);
    let fb = fb.ok_or(Errno::ENOENT)?;
    let handle = handle(call, &mut state, &fb)?;
    drop(state);
    call.msg.set_arg(&drm_mode_fb_cmd2 {
        fb_id: fb.id,
        width: fb.width,
        height: fb.height,
        pixel_format: fb.format.fourcc,
        flags: DRM_MODE_FB_MODIFIERS,
        handles: [handle, 0, 0, 0],
        pitches: [fb.pitch, 0, 0, 0],
        offsets: [fb.offset, 0, 0, 0],
        modifier: [fb.modifier, 0, 0, 0],
    });
    Ok(0)
}

/// Takes a framebuffer from the file that made it: `ENOENT` for another's.
fn take(state: &mut State, file: FileId, id: u32) -> Result<Arc<Framebuffer>, Errno> {
    let mine = &mut state.file(file)?.framebuffers;
    let at = mine.iter().position(|fb| fb.id == id);
    Ok(mine.swap_remove(at.ok_or(Errno::ENOENT)?))
}

/// Takes framebuffers off the screen: their planes are switched off, and where that may not be, the
/// CRTCs too.
pub fn take_down(device: &Arc<Device>, fbs: &[Arc<Framebuffer>], how: How) -> Result<(), Errno> {
    let planes = |state: &State| -> Vec<usize> {
        let planes = &state.kms.planes;
        fbs.iter().flat_map(|fb| planes_with(planes, fb)).collect()
    };
    if planes(&device.lock()).is_empty() {
        return Ok(());
    }
    let switch_off = |crtcs_too: bool| {
        device.commit(how, |state| {
            let mut tx = Transaction::new(&state.kms);
            tx.pace = Pace::Immediate;
            for plane in planes(state) {
                let crtc = state.kms.planes[plane].crtc;
                tx.disable_plane(plane);
                let primary = crtc.filter(|crtc| device.objects.primary[*crtc] == plane);
                if let Some(crtc) = primary.filter(|_| crtcs_too) {
                    tx.switch_off(crtc);
                }
            }
            Ok(tx)
        })
    };
    match switch_off(false) {
        Err(Errno::EINVAL) => switch_off(true).map(|_| ()),
        result => result.map(|_| ()),
    }
}

/// `MODE_RMFB`: planes that show it are switched off.
pub fn remove(call: &mut Call<'_>) -> Answer {
    let id: u32 = call.msg.arg();
    let fb = take(&mut call.lock(), call.file, id)?;
    take_down(call.device, &[fb], How::Forced)?;
    Ok(0)
}

/// `MODE_CLOSEFB`: planes keep showing it.
pub fn close(call: &mut Call<'_>) -> Answer {
    let arg: drm_mode_closefb = call.msg.arg();
    if arg.pad != 0 {
        return Err(Errno::EINVAL);
    }
    take(&mut call.lock(), call.file, arg.fb_id)?;
    Ok(0)
}

/// `MODE_DIRTYFB`: pixels changed in place, within the clips or anywhere.
pub fn dirty(call: &mut Call<'_>) -> Answer {
    let arg: drm_mode_fb_dirty_cmd = call.msg.arg();
    let fb = call.lock().registry.find_framebuffer(arg.fb_id);
    let fb = fb.ok_or(Errno::ENOENT)?;
    let copy = arg.flags & DRM_MODE_FB_DIRTY_ANNOTATE_COPY != 0;
    let odd = !arg.num_clips.is_multiple_of(2) || arg.num_clips == 0;
    if (copy && odd) || arg.num_clips > DRM_MODE_FB_DIRTY_MAX_CLIPS {
        return Err(Errno::EINVAL);
    }
    // Of a copy's pairs only the destinations changed.
    let step = if copy { 2 } else { 1 };
    let mut clips: Vec<Rect> = call
        .msg
        .elements::<drm_clip_rect>(0)
        .skip(step - 1)
        .step_by(step)
        .map(|clip| Rect {
            x1: clip.x1.into(),
            y1: clip.y1.into(),
            x2: clip.x2.into(),
            y2: clip.y2.into(),
        })
        .collect();
    if clips.is_empty() {
        clips.push(Rect::new(0, 0, fb.width, fb.height));
    }
    let how = if call.replay {
        How::Forced
    } else {
        How::Blocking
    };
    call.device.commit(how, |state| {
        let mut tx = Transaction::new(&state.kms);
        tx.pace = Pace::Immediate;
        for plane in planes_with(&state.kms.planes, &fb) {
            tx.crtcs |= state.kms.planes[plane].crtc.map_or(0, |crtc| 1 << crtc);
        }
        tx.dirty = Some((fb.id, clips.clone()));
        Ok(tx)
    })?;
    Ok(0)
}
