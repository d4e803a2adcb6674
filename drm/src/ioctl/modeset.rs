// SPDX-License-Identifier: MIT
//! Legacy mode sets and planes, as atomic commits.

use crate::call::{Answer, Call};
use crate::device::{Device, State};
use crate::kms::check::source_fits;
use crate::kms::commit::How;
use crate::kms::framebuffer::Framebuffer;
use crate::kms::registry::Registry;
use crate::kms::transaction::Transaction;
use crate::mode::{Mode, ModeTiming};
use crate::uapi::*;
use drvhost_abi::Errno;
use std::sync::Arc;

impl Transaction {
    /// Takes a CRTC's mode, connectors and planes away.
    pub fn switch_off(&mut self, crtc: usize) {
        for connector in 0..self.new.connectors.len() {
            if self.new.connectors[connector].crtc == Some(crtc) {
                self.set_connector_crtc(connector, None);
            }
        }
        for plane in 0..self.new.planes.len() {
            if self.new.planes[plane].crtc == Some(crtc) {
                self.disable_plane(plane);
            }
        }
        self.set_mode_blob(crtc, None, None);
        self.crtc(crtc).active = false;
    }
}

/// What `SETCRTC` asks for, looked up.
struct Wanted {
    crtc: usize,
    mode: Mode,
    fb: Arc<Framebuffer>,
    x: u32,
    y: u32,
    connectors: Vec<usize>,
}

/// `MODE_SETCRTC`.
pub fn set_crtc(call: &mut Call<'_>) -> Answer {
    let arg: drm_mode_crtc = call.msg.arg();
    let how = if call.replay {
        How::Forced
    } else {
        How::Blocking
    };
    let device = call.device;
    let wanted = look_up(call, &arg)?;
    let crtc = {
        let state = call.lock();
        state.find_crtc(&device.objects, call.file, arg.crtc_id)?
    };
    device.commit(how, |state| {
        let mut tx = Transaction::new(&state.kms);
        match &wanted {
            None => {
                let primary = device.objects.primary[crtc];
                tx.disable_plane_on(primary, crtc);
                tx.release_connectors(crtc, &[]);
                tx.set_mode_blob(crtc, None, None);
                tx.crtc(crtc).active = false;
            }
            Some(wanted) => set_mode(device, &mut tx, &mut state.registry, wanted)?,
        }
        tx.darken(&device.objects.primary);
        Ok(tx)
    })?;
    Ok(0)
}

/// The checks of `drm_mode_setcrtc`, in its order. `None`: switch the CRTC off.
fn look_up(call: &Call<'_>, arg: &drm_mode_crtc) -> Result<Option<Wanted>, Errno> {
    let objects = &call.device.objects;
    if arg.x > 0xffff || arg.y > 0xffff {
        return Err(Errno::ERANGE);
    }
    let mut state = call.lock();
    let crtc = state.find_crtc(objects, call.file, arg.crtc_id)?;
    let primary = objects.primary[crtc];
    let wanted = arg.count_connectors as usize;
    if arg.mode_valid == 0 {
        return if wanted == 0 {
            Ok(None)
        } else {
            Err(Errno::EINVAL)
        };
    }
    if !state.holds(call.file, objects.planes[primary]) {
        return Err(Errno::EACCES);
    }
    let fb = match arg.fb_id {
        u32::MAX => state.kms.planes[primary].fb.clone().ok_or(Errno::EINVAL)?,
        id => state.registry.find_framebuffer(id).ok_or(Errno::ENOENT)?,
    };
    let aspect = state.file(call.file)?.caps.aspect_ratio;
    if !aspect && arg.mode.flags & DRM_MODE_FLAG_PIC_AR_MASK != 0 {
        return Err(Errno::EINVAL);
    }
    arg.mode.validate().map_err(|_| Errno::EINVAL)?;
    if !objects.plane_shows(primary, fb.format.fourcc, fb.modifier) {
        return Err(Errno::EINVAL);
    }
    source_fits(arg.x << 16, u32::from(arg.mode.hdisplay) << 16, fb.width)?;
    source_fits(arg.y << 16, u32::from(arg.mode.vdisplay) << 16, fb.height)?;
    if wanted == 0 || wanted > objects.connectors.len() {
        return Err(Errno::EINVAL);
    }
    let ids = call.msg.elements::<u32>(0);
    let connectors = ids
        .map(|id| state.find_connector(objects, call.file, id))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Some(Wanted {
        crtc,
        mode: arg.mode,
        fb,
        x: arg.x,
        y: arg.y,
        connectors,
    }))
}

fn set_mode(
    device: &Device,
    tx: &mut Transaction,
    registry: &mut Registry,
    wanted: &Wanted,
) -> Result<(), Errno> {
    let Wanted { crtc, mode, .. } = *wanted;
    tx.set_mode(crtc, Some(mode), registry)?;
    tx.crtc(crtc).active = true;
    let (width, height) = (u32::from(mode.hdisplay), u32::from(mode.vdisplay));
    tx.set_plane(
        device.objects.primary[crtc],
        crtc,
        wanted.fb.clone(),
        (0, 0, width, height),
        (wanted.x << 16, wanted.y << 16, width << 16, height << 16),
    );
    tx.release_connectors(crtc, &wanted.connectors);
    for connector in &wanted.connectors {
        tx.set_connector_crtc(*connector, Some(crtc));
    }
    Ok(())
}

impl Transaction {
    /// Takes a plane off if it is on that CRTC.
    fn disable_plane_on(&mut self, plane: usize, crtc: usize) {
        if self.new.planes[plane].crtc == Some(crtc) {
            self.disable_plane(plane);
        }
    }

    /// Takes the connectors away from a CRTC, but for those it keeps.
    fn release_connectors(&mut self, crtc: usize, keep: &[usize]) {
        for connector in 0..self.new.connectors.len() {
            if self.new.connectors[connector].crtc == Some(crtc) && !keep.contains(&connector) {
                self.set_connector_crtc(connector, None);
            }
        }
    }

    /// Switches CRTCs off that lost their last connector to another, and takes planes off CRTCs
    /// without a mode.
    fn darken(&mut self, primary: &[usize]) {
        for (crtc, primary) in primary.iter().copied().enumerate() {
            let fed = |c: &crate::kms::state::ConnectorState| c.crtc == Some(crtc);
            if self.new.crtcs[crtc].mode.is_some() && !self.new.connectors.iter().any(fed) {
                self.set_mode_blob(crtc, None, None);
                self.crtc(crtc).active = false;
                self.disable_plane_on(primary, crtc);
            }
            if self.crtcs & (1 << crtc) != 0 && self.new.crtcs[crtc].mode.is_none() {
                for plane in 0..self.new.planes.len() {
                    self.disable_plane_on(plane, crtc);
                }
            }
        }
    }
}

/// `MODE_SETPLANE`.
pub fn set_plane(call: &mut Call<'_>) -> Answer {
    let arg: drm_mode_set_plane = call.msg.arg();
    let objects = &call.device.objects;
    let state = call.lock();
    let plane = state.find_plane(objects, call.file, arg.plane_id)?;
    let mut shown = None;
    if arg.fb_id != 0 {
        let fb = state.registry.find_framebuffer(arg.fb_id);
        let fb = fb.ok_or(Errno::ENOENT)?;
        let crtc = state.find_crtc(objects, call.file, arg.crtc_id)?;
        if objects.pipeline.planes[plane].possible_crtcs & (1 << crtc) == 0
            || !objects.plane_shows(plane, fb.format.fourcc, fb.modifier)
        {
            return Err(Errno::EINVAL);
        }
        shown = Some((crtc, fb));
    }
    drop(state);
    let how = if call.replay {
        How::Forced
    } else {
        How::Blocking
    };
    call.device.commit(how, |state: &mut State| {
        let mut tx = Transaction::new(&state.kms);
        match &shown {
            None => tx.disable_plane(plane),
            Some((crtc, fb)) => tx.set_plane(
                plane,
                *crtc,
                fb.clone(),
                (arg.crtc_x, arg.crtc_y, arg.crtc_w, arg.crtc_h),
                (arg.src_x, arg.src_y, arg.src_w, arg.src_h),
            ),
        }
        Ok(tx)
    })?;
    Ok(0)
}
