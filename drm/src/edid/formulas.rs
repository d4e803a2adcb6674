// SPDX-License-Identifier: MIT
//! VESA's formulas: coordinated video timings (CVT) and the generalized timing formula (GTF), in
//! Linux's integer arithmetic, so that the results are the same to the last pixel. (Below 10 kHz per
//! line Linux's arithmetic wraps and its modes make no sense; ours have the least blanking, or none
//! is made.)

use super::timing::Timing;
use crate::uapi::*;

/// Pixels come in groups of this many.
const CELL: i64 = 8;

/// A GTF curve; C and J are doubled, as EDID stores them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Curve {
    pub(super) m: i64,
    pub(super) c2: i64,
    pub(super) k: i64,
    pub(super) j2: i64,
}

/// The curve that applies unless a monitor has its own.
pub(super) const DEFAULT_CURVE: Curve = Curve {
    m: 600,
    c2: 80,
    k: 128,
    j2: 40,
};

/// Puts a mode together; `None` if something does not fit the uAPI's fields.
fn timing(clock: i64, h: [i64; 4], v: [i64; 4], flags: u32) -> Option<Timing> {
    let fit = |values: [i64; 4]| -> Option<[u16; 4]> {
        let mut out = [0; 4];
        for (to, from) in out.iter_mut().zip(values) {
            *to = u16::try_from(from).ok()?;
        }
        Some(out)
    };
    Some(Timing {
        clock: u32::try_from(clock).ok()?,
        h: fit(h)?,
        v: fit(v)?,
        flags,
        kind: 0,
    })
}

/// Lines of vertical sync by CVT, which tell the aspect ratio.
fn cvt_sync(width: i64, height: i64) -> i64 {
    let ratio = |step, numerator, denominator| {
        height % step == 0 && height * numerator / denominator == width
    };
    if ratio(3, 4, 3) {
        4
    } else if ratio(9, 16, 9) {
        5
    } else if ratio(10, 16, 10) {
        6
    } else if ratio(4, 5, 4) || ratio(9, 15, 9) {
        7
    } else {
        10
    }
}

/// A progressive CVT mode without margins.
pub(super) fn cvt(width: u32, height: u32, rate: u32, reduced: bool) -> Option<Timing> {
    let (width, height, rate) = (i64::from(width), i64::from(height), i64::from(rate));
    if width == 0 || height == 0 || rate == 0 {
        return None;
    }
    let active = width - width % CELL;
    let sync = cvt_sync(width, height);
    // Line periods are in nanoseconds.
    let (period, h, vtotal, flags) = if reduced {
        const MIN_BLANK_US: i64 = 460;
        let period = (1_000_000_000 - MIN_BLANK_US * 1000 * rate).checked_div(height * rate)?;
        let blank = (MIN_BLANK_US * 1000).checked_div(period)? + 1;
        let blank = blank.max(3 + sync + 6);
        let h = [active, active + 48, active + 80, active + 160];
        let flags = DRM_MODE_FLAG_PHSYNC | DRM_MODE_FLAG_NVSYNC;
        (period, h, height + blank, flags)
    } else {
        const MIN_SYNC_AND_PORCH_US: i64 = 550;
        let usable = 1_000_000_000 - MIN_SYNC_AND_PORCH_US * 1000 * rate;
        let period = (usable * 2).checked_div((height + 3) * 2 * rate)?;
        let back = (MIN_SYNC_AND_PORCH_US * 1000).checked_div(period)? + 1;
        let back = back.max(sync + 3);
        let percentage = (30_000 - 300 * period / 1000).max(20_000);
        let blank = active * percentage / (100_000 - percentage);
        let blank = blank - blank % (2 * CELL);
        let total = active + blank;
        let end = active + blank / 2;
        let start = end - total * 8 / 100;
        let start = start + CELL - start % CELL;
        let flags = DRM_MODE_FLAG_NHSYNC | DRM_MODE_FLAG_PVSYNC;
        (
            period,
            [active, start, end, total],
            height + back + 3,
            flags,
        )
    };
    let clock = (h[3] * 1_000_000).checked_div(period)?;
    let v = [height, height + 3, height + 3 + sync, vtotal];
    // The standard steps the clock by 250 kHz; Linux does not, so neither do we.
    timing(clock, h, v, flags)
}

/// A progressive GTF mode without margins.
pub(super) fn gtf(width: u32, height: u32, rate: u32, curve: Curve) -> Option<Timing> {
    let (width, height, rate) = (i64::from(width), i64::from(height), i64::from(rate));
    if width == 0 || height == 0 || rate == 0 {
        return None;
    }
    let active = (width + CELL / 2) / CELL * CELL;
    let usable = (1_000_000 - 550 * rate) / 500;
    let line_rate = ((height + 1) * 2 * 1000 * rate).checked_div(usable)?;
    let sync_and_porch = (550 * line_rate / 1000 + 500) / 1000;
    let c = ((curve.c2 - curve.j2) * curve.k / 256 + curve.j2) / 2;
    let m = curve.k * curve.m / 256;
    let duty = c * 1000 - (m * 1_000_000).checked_div(line_rate)?;
    if !(0..100_000).contains(&duty) {
        return None;
    }
    let blank = active * duty / (100_000 - duty);
    let blank = (blank + CELL) / (2 * CELL) * (2 * CELL);
    let total = active + blank;
    let sync = (8 * total / 100 + CELL / 2) / CELL * CELL;
    let start = active + blank / 2 - sync;
    let default = curve.m == 600 && curve.c2 == 80 && curve.k == 128 && curve.j2 == 40;
    timing(
        total * line_rate / 1000,
        [active, start, start + sync, total],
        [height, height + 1, height + 4, height + sync_and_porch + 1],
        if default {
            DRM_MODE_FLAG_NHSYNC | DRM_MODE_FLAG_PVSYNC
        } else {
            DRM_MODE_FLAG_PHSYNC | DRM_MODE_FLAG_NVSYNC
        },
    )
}
