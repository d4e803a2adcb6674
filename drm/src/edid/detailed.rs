// SPDX-License-Identifier: MIT
//! Detailed timings: modes spelled out in 18 bytes, the first of which is the monitor's own.

use super::blocks::{Descriptor, Edid};
use super::cta;
use super::timing::Timing;
use crate::uapi::*;

/// Interlaced formats of television whose descriptors give the lines of a field.
const BY_FIELD: [(u16, u16); 7] = [
    (1920, 1080),
    (720, 480),
    (1440, 480),
    (2880, 480),
    (720, 576),
    (1440, 576),
    (2880, 576),
];

/// Adds the detailed timings of all blocks.
pub(super) fn add(edid: &Edid, modes: &mut Vec<Timing>) {
    // From 1.4 on the first is always preferred; before, if a feature bit says so.
    let mut preferred = edid.revision() >= 4 || edid.base()[24] & 0x02 != 0;
    for mut timing in edid.descriptors().filter_map(|d| decode(&d)) {
        if preferred {
            timing.kind |= DRM_MODE_TYPE_PREFERRED;
        }
        preferred = false;
        cta::adjust_clock(&mut timing);
        modes.push(timing);
    }
}

/// A descriptor as a mode. `None`: another kind of descriptor, or one without sense.
fn decode(d: &Descriptor) -> Option<Timing> {
    let clock = u32::from(u16::from_le_bytes([d[0], d[1]])) * 10;
    let misc = d[17];
    // Twelve bits: eight, and four of a byte shared by two values; sync has ten or six.
    let word = |low: u8, high: u8| u16::from(high) << 8 | u16::from(low);
    let active = [word(d[2], d[4] >> 4), word(d[5], d[7] >> 4)];
    let blank = [word(d[3], d[4] & 0xf), word(d[6], d[7] & 0xf)];
    let offset = [
        word(d[8], d[11] >> 6),
        u16::from(d[11] >> 2 & 3) << 4 | u16::from(d[10] >> 4),
    ];
    let width = [
        word(d[9], d[11] >> 4 & 3),
        u16::from(d[11] & 3) << 4 | u16::from(d[10] & 0xf),
    ];
    let stereo = misc & 0x20 != 0;
    if clock == 0 || active.iter().any(|a| *a < 64) || width.contains(&0) || stereo {
        return None;
    }
    let line = |i: usize| {
        let total = active[i] + blank[i];
        let start = active[i] + offset[i];
        [active[i], start, (start + width[i]).min(total), total]
    };
    let (h, mut v) = (line(0), line(1));
    let mut flags = match misc & 0x02 {
        0 => DRM_MODE_FLAG_NHSYNC,
        _ => DRM_MODE_FLAG_PHSYNC,
    } | match misc & 0x04 {
        0 => DRM_MODE_FLAG_NVSYNC,
        _ => DRM_MODE_FLAG_PVSYNC,
    };
    if misc & 0x80 != 0 {
        flags |= DRM_MODE_FLAG_INTERLACE;
        if BY_FIELD.contains(&(h[0], v[0] * 2)) {
            v = v.map(|lines| lines * 2);
            v[3] |= 1;
        }
    }
    Some(Timing {
        clock,
        h,
        v,
        flags,
        kind: DRM_MODE_TYPE_DRIVER,
    })
}
