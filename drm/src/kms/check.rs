// SPDX-License-Identifier: MIT
//! Whether a change may be: the checks of Linux's atomic core and helpers, in their order.

use super::objects::Objects;
use super::state::{CrtcState, KmsState, PlaneState};
use super::transaction::Transaction;
use crate::gpu::GpuDriver;
use crate::rect::Rect;
use crate::uapi::*;
use drvhost_abi::Errno;

/// Checks a change and fills in what follows from it. Returns the CRTCs that need a mode set.
pub fn check(objects: &Objects, gpu: &dyn GpuDriver, tx: &mut Transaction) -> Result<u32, Errno> {
    for index in tx.touched_planes() {
        plane(objects, tx, index)?;
    }
    for index in tx.touched_crtcs() {
        crtc(objects, tx, index)?;
    }
    let modeset = routing(objects, gpu, tx)?;
    // A new mode moves the borders of every plane on the CRTC.
    for index in 0..tx.new.planes.len() {
        let on = tx.new.planes[index].crtc;
        let follows = on.is_some_and(|crtc| modeset & (1 << crtc) != 0);
        if follows || tx.planes & (1 << index) != 0 {
            place(objects, &mut tx.new, index)?;
        }
    }
    gpu.check(&tx.new)?;
    if modeset != 0 && !tx.allow_modeset {
        return Err(Errno::EINVAL);
    }
    Ok(modeset)
}

/// `drm_atomic_plane_check`.
fn plane(objects: &Objects, tx: &Transaction, index: usize) -> Result<(), Errno> {
    let new = &tx.new.planes[index];
    let (crtc, fb) = match (new.crtc, &new.fb) {
        (None, None) => return Ok(()),
        (Some(crtc), Some(fb)) => (crtc, fb),
        _ => return Err(Errno::EINVAL),
    };
    if objects.pipeline.planes[index].possible_crtcs & (1 << crtc) == 0
        || !objects.plane_shows(index, fb.format.fourcc, fb.modifier)
    {
        return Err(Errno::EINVAL);
    }
    let too_far =
        |start: i32, size: u32| i32::try_from(size).map_or(true, |size| start > i32::MAX - size);
    if too_far(new.crtc_x, new.crtc_w) || too_far(new.crtc_y, new.crtc_h) {
        return Err(Errno::ERANGE);
    }
    source_fits(new.src_x, new.src_w, fb.width)?;
    source_fits(new.src_y, new.src_h, fb.height)?;
    if let Some(damage) = &new.damage {
        for clip in damage.elements::<drm_mode_rect>().unwrap_or_default() {
            let inside = |a: i32, b: i32, size: u32| {
                a >= 0 && a < b && u32::try_from(b).is_ok_and(|b| b <= size)
            };
            if !inside(clip.x1, clip.x2, fb.width) || !inside(clip.y1, clip.y2, fb.height) {
                return Err(Errno::EINVAL);
            }
        }
    }
    match tx.old.planes[index].crtc {
        Some(old) if old != crtc => Err(Errno::EINVAL),
        _ => Ok(()),
    }
}

/// Whether 16.16 source coordinates lie in a framebuffer: `ENOSPC` if not.
pub fn source_fits(start: u32, size: u32, limit: u32) -> Result<(), Errno> {
    if u64::from(start) + u64::from(size) > u64::from(limit) << 16 {
        return Err(Errno::ENOSPC);
    }
    Ok(())
}

/// `drm_atomic_crtc_check`.
fn crtc(objects: &Objects, tx: &Transaction, index: usize) -> Result<(), Errno> {
    let (old, new) = (&tx.old.crtcs[index], &tx.new.crtcs[index]);
    let gamma_size = objects.pipeline.crtcs[index].gamma_size as usize;
    let gamma_fits = new
        .gamma
        .as_ref()
        .is_none_or(|lut| lut.data.len() == gamma_size * size_of::<drm_color_lut>());
    let event_on_dark = tx.event.is_some() && !old.active && !new.active;
    if (new.active && new.mode.is_none()) || event_on_dark || !gamma_fits {
        return Err(Errno::EINVAL);
    }
    Ok(())
}

fn needs_modeset(old: &CrtcState, new: &CrtcState) -> bool {
    let same = match (&old.mode, &new.mode) {
        (Some(a), Some(b)) => crate::mode::ModeTiming::same_timing(a, b),
        (None, None) => true,
        _ => false,
    };
    !same || old.active != new.active
}

/// `drm_atomic_helper_check_modeset`: which connector gets which CRTC, and whether it can.
fn routing(objects: &Objects, gpu: &dyn GpuDriver, tx: &mut Transaction) -> Result<u32, Errno> {
    let mut modeset = 0;
    for (index, new) in tx.new.connectors.iter().enumerate() {
        let old = &tx.old.connectors[index];
        if old.crtc != new.crtc || old.link_status != new.link_status {
            for crtc in [old.crtc, new.crtc].into_iter().flatten() {
                modeset |= 1 << crtc;
            }
        }
        if let Some(crtc) = new.crtc
            && objects.encoder_for(index, crtc).is_none()
        {
            return Err(Errno::EINVAL);
        }
    }
    for (index, new) in tx.new.crtcs.iter().enumerate() {
        if needs_modeset(&tx.old.crtcs[index], new) {
            modeset |= 1 << index;
        }
        let fed = |connector: &super::state::ConnectorState| connector.crtc == Some(index);
        if (modeset | tx.crtcs) & (1 << index) != 0
            && new.mode.is_some() != tx.new.connectors.iter().any(fed)
        {
            return Err(Errno::EINVAL);
        }
    }
    // Two connectors can't share an encoder.
    let mut used = 0u32;
    for (index, new) in tx.new.connectors.iter().enumerate() {
        let Some(crtc) = new.crtc else { continue };
        let bit = objects.encoder_for(index, crtc).map_or(0, |e| 1 << e);
        let mode = tx.new.crtcs[crtc].mode;
        let shown = mode.is_none_or(|mode| gpu.mode_valid(index, &mode));
        if used & bit != 0 || (modeset & (1 << crtc) != 0 && !shown) {
            return Err(Errno::EINVAL);
        }
        used |= bit;
    }
    tx.crtcs |= modeset;
    Ok(modeset)
}

/// `drm_atomic_helper_check_plane_state` without scaling: where the plane is seen.
fn place(objects: &Objects, new: &mut KmsState, index: usize) -> Result<(), Errno> {
    let plane = &new.planes[index];
    let Some(crtc) = plane.crtc else {
        new.planes[index].visible = Rect::default();
        return Ok(());
    };
    let crtc = &new.crtcs[crtc];
    unscaled(plane.src_w, plane.crtc_w)?;
    unscaled(plane.src_h, plane.crtc_h)?;
    let dst = plane.dst();
    let bounds = crtc.bounds();
    let visible = dst.intersect(&bounds);
    // What is not seen at all (its CRTC may have no mode) does no harm anywhere.
    let covers = visible.is_empty() || visible == bounds;
    if !objects.pipeline.planes[index].movable && !covers {
        return Err(Errno::EINVAL);
    }
    let plane = &mut new.planes[index];
    plane.visible = if visible.is_empty() {
        Rect::default()
    } else {
        visible
    };
    plane.visible_src = visible_source(plane);
    Ok(())
}

/// No plane scales. A plane without width is left alone, as the helper leaves it.
fn unscaled(src: u32, dst: u32) -> Result<(), Errno> {
    if dst == 0 || u64::from(src) == u64::from(dst) << 16 {
        return Ok(());
    }
    Err(Errno::ERANGE)
}

fn visible_source(plane: &PlaneState) -> (u32, u32) {
    let cut = |edge: i32, start: i32| edge.saturating_sub(start).max(0).unsigned_abs();
    (
        (plane.src_x >> 16) + cut(plane.visible.x1, plane.crtc_x),
        (plane.src_y >> 16) + cut(plane.visible.y1, plane.crtc_y),
    )
}
