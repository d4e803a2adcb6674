// SPDX-License-Identifier: MIT
//! What has to be drawn again on a CRTC after a change.

use super::state::PlaneState;
use super::transaction::Transaction;
use crate::rect::{Damage, Rect};
use crate::uapi::drm_mode_rect;
use std::sync::Arc;

/// The damaged parts of a CRTC, within its mode. `whole`: a mode set, so everything.
pub fn damage(tx: &Transaction, crtc: usize, whole: bool) -> Damage {
    let bounds = tx.new.crtcs[crtc].bounds();
    let mut damage = Damage::default();
    let id = |state: &super::state::CrtcState| state.gamma.as_ref().map(|gamma| gamma.id);
    if whole || id(&tx.old.crtcs[crtc]) != id(&tx.new.crtcs[crtc]) {
        damage.add(bounds);
        return damage;
    }
    for (index, new) in tx.new.planes.iter().enumerate() {
        let old = &tx.old.planes[index];
        if let Some((fb, clips)) = &tx.dirty
            && new.crtc == Some(crtc)
            && new.fb.as_ref().is_some_and(|shown| shown.id == *fb)
        {
            for clip in clips {
                damage.add(on_crtc(new, clip));
            }
        }
        if tx.planes & (1 << index) == 0 || (old.crtc != Some(crtc) && new.crtc != Some(crtc)) {
            continue;
        }
        if !stays(old, new) {
            damage.add(old.visible);
            damage.add(new.visible);
        } else if let Some(clips) = clips(new) {
            for clip in clips {
                damage.add(on_crtc(new, &clip));
            }
        } else {
            damage.add(new.visible);
        }
    }
    damage.clip(&bounds);
    damage
}

/// The plane shows the same part of a framebuffer of the same shape at the same place.
fn stays(old: &PlaneState, new: &PlaneState) -> bool {
    let (Some(a), Some(b)) = (&old.fb, &new.fb) else {
        return false;
    };
    old.crtc == new.crtc
        && old.visible == new.visible
        && old.visible_src == new.visible_src
        && (a.width, a.height) == (b.width, b.height)
        && a.format == b.format
}

/// The clips that came with the commit; none at all means that everything may have changed.
fn clips(plane: &PlaneState) -> Option<Vec<Rect>> {
    let clips = plane.damage.as_ref()?.elements::<drm_mode_rect>()?;
    Some(
        clips
            .iter()
            .map(|c| Rect {
                x1: c.x1,
                y1: c.y1,
                x2: c.x2,
                y2: c.y2,
            })
            .collect(),
    )
}

/// A rectangle of the framebuffer, where it is seen on the CRTC.
fn on_crtc(plane: &PlaneState, clip: &Rect) -> Rect {
    let signed = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    let (x, y) = (signed(plane.visible_src.0), signed(plane.visible_src.1));
    clip.shift(
        plane.visible.x1.saturating_sub(x),
        plane.visible.y1.saturating_sub(y),
    )
    .intersect(&plane.visible)
}

/// Whether any plane of a state shows a framebuffer.
pub fn shows(planes: &[PlaneState], fb: u32) -> bool {
    planes
        .iter()
        .any(|plane| plane.fb.as_ref().is_some_and(|shown| shown.id == fb))
}

/// The planes that show exactly this framebuffer.
pub fn planes_with(planes: &[PlaneState], fb: &Arc<super::framebuffer::Framebuffer>) -> Vec<usize> {
    (0..planes.len())
        .filter(|i| planes[*i].fb.as_ref().is_some_and(|f| Arc::ptr_eq(f, fb)))
        .collect()
}
