// SPDX-License-Identifier: MIT
//! What there is: CRTCs, encoders, planes.

use crate::call::{Answer, Call};
use crate::device::State;
use crate::file::FileId;
use crate::gpu::PlaneKind;
use crate::kms::objects::Object;
use crate::uapi::*;
use drvhost_abi::Errno;

/// A count as the uAPI has it.
pub fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

impl State {
    fn seen(&self, file: FileId, ids: &[u32]) -> Vec<u32> {
        ids.iter()
            .copied()
            .filter(|id| self.holds(file, *id))
            .collect()
    }

    /// The bits of a mask of CRTCs that the file sees, moved together as a lessee counts them.
    fn crtc_mask(&self, crtcs: &[u32], file: FileId, mask: u32) -> u32 {
        if self.leased(file).is_none() {
            return mask;
        }
        let held = crtcs
            .iter()
            .enumerate()
            .filter(|(_, id)| self.holds(file, **id));
        held.enumerate()
            .filter(|(_, (index, _))| mask & (1 << index) != 0)
            .fold(0, |seen, (place, _)| seen | 1 << place)
    }
}

/// `MODE_GETRESOURCES`.
pub fn get_resources(call: &mut Call<'_>) -> Answer {
    let objects = &call.device.objects;
    let mut state = call.lock();
    let file = state.file(call.file)?;
    let framebuffers: Vec<u32> = file.framebuffers.iter().map(|fb| fb.id).collect();
    let crtcs = state.seen(call.file, &objects.crtcs);
    let connectors = state.seen(call.file, &objects.connectors);
    drop(state);
    let pipeline = &objects.pipeline;
    call.msg.set_arg(&drm_mode_card_res {
        count_fbs: count(framebuffers.len()),
        count_crtcs: count(crtcs.len()),
        count_connectors: count(connectors.len()),
        count_encoders: count(objects.encoders.len()),
        min_width: pipeline.min_size.0,
        max_width: pipeline.max_size.0,
        min_height: pipeline.min_size.1,
        max_height: pipeline.max_size.1,
        ..Default::default()
    });
    call.msg.write_array(0, &framebuffers)?;
    call.msg.write_array(1, &crtcs)?;
    call.msg.write_array(2, &connectors)?;
    call.msg.write_array(3, &objects.encoders)?;
    Ok(0)
}

/// `MODE_GETCRTC`.
pub fn get_crtc(call: &mut Call<'_>) -> Answer {
    let objects = &call.device.objects;
    let mut arg: drm_mode_crtc = call.msg.arg();
    let mut state = call.lock();
    let crtc = state.find_crtc(objects, call.file, arg.crtc_id)?;
    let aspect = state.file(call.file)?.caps.aspect_ratio;
    let primary = &state.kms.planes[objects.primary[crtc]];
    arg.gamma_size = objects.pipeline.crtcs[crtc].gamma_size;
    arg.fb_id = match &primary.fb {
        Some(fb) if primary.crtc == Some(crtc) => fb.id,
        _ => 0,
    };
    (arg.x, arg.y) = (primary.src_x >> 16, primary.src_y >> 16);
    let mode = state.kms.crtcs[crtc].mode;
    arg.mode_valid = mode.is_some().into();
    if let Some(mut mode) = mode {
        if !aspect {
            mode.flags &= !DRM_MODE_FLAG_PIC_AR_MASK;
        }
        arg.mode = mode;
    }
    drop(state);
    call.msg.set_arg(&arg);
    Ok(0)
}

/// `MODE_GETENCODER`.
pub fn get_encoder(call: &mut Call<'_>) -> Answer {
    let objects = &call.device.objects;
    let mut arg: drm_mode_get_encoder = call.msg.arg();
    let Some(Object::Encoder(index)) = objects.find(arg.encoder_id) else {
        return Err(Errno::ENOENT);
    };
    let state = call.lock();
    let encoder = &objects.pipeline.encoders[index];
    let uses = |(connector, new): (usize, &crate::kms::state::ConnectorState)| {
        new.crtc
            .filter(|crtc| objects.encoder_for(connector, *crtc) == Some(index))
    };
    let crtc = state.kms.connectors.iter().enumerate().find_map(uses);
    arg.encoder_type = encoder.kind;
    arg.crtc_id = crtc
        .map(|crtc| objects.crtcs[crtc])
        .filter(|id| state.holds(call.file, *id))
        .unwrap_or(0);
    arg.possible_crtcs = state.crtc_mask(&objects.crtcs, call.file, encoder.possible_crtcs);
    arg.possible_clones = encoder.possible_clones;
    drop(state);
    call.msg.set_arg(&arg);
    Ok(0)
}

/// `MODE_GETPLANERESOURCES`.
pub fn get_plane_resources(call: &mut Call<'_>) -> Answer {
    let objects = &call.device.objects;
    let mut state = call.lock();
    let all = state.file(call.file)?.caps.universal_planes;
    let listed: Vec<u32> = objects
        .planes
        .iter()
        .zip(&objects.pipeline.planes)
        .filter(|(id, plane)| {
            (all || plane.kind == PlaneKind::Overlay) && state.holds(call.file, **id)
        })
        .map(|(id, _)| *id)
        .collect();
    drop(state);
    let mut arg: drm_mode_get_plane_res = call.msg.arg();
    arg.count_planes = count(listed.len());
    call.msg.set_arg(&arg);
    call.msg.write_array(0, &listed)?;
    Ok(0)
}

/// `MODE_GETPLANE`.
pub fn get_plane(call: &mut Call<'_>) -> Answer {
    let objects = &call.device.objects;
    let mut arg: drm_mode_get_plane = call.msg.arg();
    let state = call.lock();
    let index = state.find_plane(objects, call.file, arg.plane_id)?;
    let (plane, now) = (&objects.pipeline.planes[index], &state.kms.planes[index]);
    arg.crtc_id = now
        .crtc
        .map(|crtc| objects.crtcs[crtc])
        .filter(|id| state.holds(call.file, *id))
        .unwrap_or(0);
    arg.fb_id = now.fb.as_ref().map_or(0, |fb| fb.id);
    arg.possible_crtcs = state.crtc_mask(&objects.crtcs, call.file, plane.possible_crtcs);
    arg.gamma_size = 0;
    arg.count_format_types = count(plane.formats.len());
    drop(state);
    call.msg.set_arg(&arg);
    call.msg.write_array(0, &plane.formats)?;
    Ok(0)
}
