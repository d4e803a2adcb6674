// SPDX-License-Identifier: MIT
//! A connector's list of modes: merged, pruned, sorted; and what there is without an EDID.

use super::tables::dmt::DMT;
use super::timing::{ASPECT, Timing, same_clock};
use crate::uapi::*;

/// What a connector can show at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The widest mode, in pixels.
    pub max_width: u32,
    /// The highest mode, in lines.
    pub max_height: u32,
    /// Interlaced modes work.
    pub interlace: bool,
    /// Modes that show each line twice work.
    pub doublescan: bool,
}

impl Default for Limits {
    /// Progressive modes up to 8192 × 8192.
    fn default() -> Self {
        Limits {
            max_width: 8192,
            max_height: 8192,
            interlace: false,
            doublescan: false,
        }
    }
}

impl Limits {
    fn allow(&self, timing: &Timing) -> bool {
        u32::from(timing.h[0]) <= self.max_width
            && u32::from(timing.v[0]) <= self.max_height
            && (self.interlace || timing.flags & DRM_MODE_FLAG_INTERLACE == 0)
            && (self.doublescan || timing.flags & DRM_MODE_FLAG_DBLSCAN == 0)
    }
}

/// What Linux offers on a connector whose monitor tells nothing: the DMT modes up to 60 Hz and up
/// to a size (Linux's probe helper says 1024 × 768). None is preferred; see [`prefer`].
pub fn no_edid_modes(
    width: u32,
    height: u32,
    limits: &Limits,
    accept: impl FnMut(&drm_mode_modeinfo) -> bool,
) -> Vec<drm_mode_modeinfo> {
    let fits = |timing: &&Timing| {
        u32::from(timing.h[0]) <= width && u32::from(timing.v[0]) <= height && timing.rate() <= 61
    };
    let probed: Vec<Timing> = DMT.iter().filter(fits).copied().collect();
    finish(&probed, limits, accept)
}

/// Marks the modes of a size as preferred and puts them first, as drivers do for a monitor
/// without an EDID.
pub fn prefer(modes: &mut [drm_mode_modeinfo], width: u16, height: u16) {
    for mode in modes.iter_mut() {
        if mode.hdisplay == width && mode.vdisplay == height {
            mode.type_ |= DRM_MODE_TYPE_PREFERRED;
        }
    }
    sort(modes);
}

/// The list that one program gets: without the client cap for aspect ratios their flags are taken
/// away, and with them the modes that differ in nothing else.
pub fn for_client(modes: &[drm_mode_modeinfo], aspect_ratio: bool) -> Vec<drm_mode_modeinfo> {
    let mut out: Vec<drm_mode_modeinfo> = Vec::with_capacity(modes.len());
    for mode in modes {
        let mut mode = *mode;
        if !aspect_ratio {
            mode.flags &= !ASPECT;
            let same = |other: &drm_mode_modeinfo| {
                let alike = drm_mode_modeinfo {
                    clock: mode.clock,
                    vrefresh: mode.vrefresh,
                    type_: mode.type_,
                    name: mode.name,
                    ..*other
                };
                alike == mode && same_clock(other.clock, mode.clock)
            };
            if out.iter().any(same) {
                continue;
            }
        }
        out.push(mode);
    }
    out
}

/// Merges equal modes, drops what can't be shown, sorts.
pub(super) fn finish(
    probed: &[Timing],
    limits: &Limits,
    mut accept: impl FnMut(&drm_mode_modeinfo) -> bool,
) -> Vec<drm_mode_modeinfo> {
    let mut modes: Vec<drm_mode_modeinfo> = merge(probed)
        .iter()
        .filter(|timing| timing.is_possible() && limits.allow(timing))
        .map(Timing::modeinfo)
        .filter(&mut accept)
        .collect();
    sort(&mut modes);
    modes
}

/// Each mode once, with the types of all; a preferred one's exact clock wins.
fn merge(probed: &[Timing]) -> Vec<Timing> {
    let mut merged: Vec<Timing> = Vec::with_capacity(probed.len());
    for timing in probed {
        let Some(same) = merged.iter_mut().find(|m| m.is_same(timing)) else {
            merged.push(*timing);
            continue;
        };
        let kind = same.kind | timing.kind;
        if timing.kind & !same.kind & DRM_MODE_TYPE_PREFERRED != 0 {
            *same = *timing;
        }
        same.kind = kind;
    }
    merged
}

/// Preferred first, then by area, rate and clock, all falling; equal ones stay in their order.
fn sort(modes: &mut [drm_mode_modeinfo]) {
    modes.sort_by_key(|mode| {
        let area = u32::from(mode.hdisplay) * u32::from(mode.vdisplay);
        core::cmp::Reverse((
            mode.type_ & DRM_MODE_TYPE_PREFERRED != 0,
            area,
            mode.vrefresh,
            mode.clock,
        ))
    });
}
