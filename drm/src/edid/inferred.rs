// SPDX-License-Identifier: MIT
//! Modes of monitors that follow any rate in a range: those of the DMT list, and a few of a
//! formula's, that lie in it and are no larger than what the monitor names itself.

use super::blocks::{Descriptor, Edid};
use super::formulas::{self, DEFAULT_CURVE};
use super::info::TAG_RANGE;
use super::standard::{secondary_gtf, support, supports_reduced_blanking};
use super::tables::dmt::DMT;
use super::tables::established::EXTRA;
use super::timing::Timing;

/// Adds the modes in the monitor's ranges, if it follows any rate.
pub(super) fn add(edid: &Edid, modes: &mut Vec<Timing>) {
    if edid.base()[24] & 0x01 == 0 || edid.revision() < 1 {
        return;
    }
    let reduced = supports_reduced_blanking(edid);
    for d in edid.display_descriptors(TAG_RANGE) {
        let mut offer = |timing: Timing| {
            if in_range(edid, &d, &timing, reduced) && is_new_and_fits(&timing, modes) {
                modes.push(timing);
            }
        };
        DMT.iter().copied().for_each(&mut offer);
        let make = |width: u16, height: u16| {
            let (w, h) = (u32::from(width), u32::from(height));
            match d[10] {
                _ if edid.revision() < 2 => None,
                support::DEFAULT_GTF => formulas::gtf(w, h, 60, DEFAULT_CURVE),
                support::SECONDARY_GTF => secondary_gtf(edid, w, h, 60),
                support::CVT if edid.revision() >= 4 => formulas::cvt(w, h, 60, reduced),
                // Ranges alone: no formula is promised.
                support::RANGE_ONLY => None,
                _ => None,
            }
        };
        let extra = EXTRA.iter().filter_map(|&(w, h)| make(w, h));
        extra.map(narrow_1368).for_each(&mut offer);
    }
}

/// Formulas make 1368 pixels of 1366.
fn narrow_1368(mut timing: Timing) -> Timing {
    if timing.is_size(1368, 768) {
        timing.h[0] = 1366;
        timing.h[1] -= 1;
        timing.h[2] -= 1;
    }
    timing
}

/// Smaller than something the monitor named, and not a size and rate there is already.
fn is_new_and_fits(timing: &Timing, modes: &[Timing]) -> bool {
    let fits = |m: &Timing| timing.h[0] <= m.h[0] && timing.v[0] <= m.v[0];
    let same = |m: &Timing| m.is_size(timing.h[0], timing.v[0]) && m.rate() == timing.rate();
    modes.iter().any(fits) && !modes.iter().any(same)
}

fn in_range(edid: &Edid, d: &Descriptor, timing: &Timing, reduced: bool) -> bool {
    let newer = edid.revision() >= 4;
    let limit =
        |byte: usize, bit: u8| u32::from(d[byte]) + if newer && d[4] & bit != 0 { 255 } else { 0 };
    let by_cvt = newer && d[10] == support::CVT;
    // In kHz. By 1.4 the twelfth byte takes quarters of a MHz off; before, there is slack.
    let max_clock = match d[9] {
        0 | 255 => u32::MAX,
        tens if by_cvt => (u32::from(tens) * 10_000).saturating_sub(u32::from(d[12] >> 2) * 250),
        tens => u32::from(tens) * 10_000 + 5001,
    };
    let max_width = match u16::from(d[13]) {
        low if by_cvt && low > 0 => 8 * (low + 256 * u16::from(d[12] & 3)),
        _ => u16::MAX,
    };
    (limit(7, 4)..=limit(8, 8)).contains(&timing.line_rate())
        && (limit(5, 1)..=limit(6, 2)).contains(&timing.rate())
        && timing.clock <= max_clock
        && timing.h[0] <= max_width
        && (reduced || !timing.is_reduced())
}
