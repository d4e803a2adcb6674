// SPDX-License-Identifier: MIT
//! Modes that an EDID names by size and rate: CVT codes, standard timings, established timings.

use super::blocks::Edid;
use super::formulas::{self, Curve, DEFAULT_CURVE};
use super::info::TAG_RANGE;
use super::tables::dmt::DMT;
use super::tables::established::{ESTABLISHED, ESTABLISHED_III};
use super::timing::Timing;

/// Tag of the descriptor with six more standard timings.
const TAG_STANDARD: u8 = 0xfa;
/// Tag of the descriptor with four CVT codes.
const TAG_CVT: u8 = 0xf8;
/// Tag of the descriptor with the established timings III.
const TAG_ESTABLISHED: u8 = 0xf7;

/// What a range descriptor says of formulas (its eleventh byte).
pub(super) mod support {
    pub(in super::super) const DEFAULT_GTF: u8 = 0;
    pub(in super::super) const RANGE_ONLY: u8 = 1;
    pub(in super::super) const SECONDARY_GTF: u8 = 2;
    pub(in super::super) const CVT: u8 = 4;
}

/// The formula that a monitor's standard timings are made with, where DMT has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Formula {
    None,
    Gtf,
    SecondaryGtf,
    Cvt,
}

/// Adds the modes of three-byte CVT codes.
pub(super) fn add_cvt_codes(edid: &Edid, modes: &mut Vec<Timing>) {
    if edid.revision() < 3 {
        return;
    }
    for d in edid.display_descriptors(TAG_CVT) {
        for code in d[6..18].as_chunks::<3>().0 {
            if *code == [0; 3] {
                continue;
            }
            let lines = u32::from(code[0]) + (u32::from(code[1] & 0xf0) << 4) + 1;
            let height = lines * 2;
            let width = match code[1] >> 2 & 3 {
                0 => height * 4 / 3,
                1 => height * 16 / 9,
                2 => height * 16 / 10,
                _ => height * 15 / 9,
            };
            for (bit, rate) in [(1, 85), (2, 75), (3, 60), (4, 50)] {
                if code[2] & 1 << bit != 0 {
                    modes.extend(formulas::cvt(width, height, rate, false));
                }
            }
        }
    }
}

/// Adds the eight standard timings of the base block and those of descriptors.
pub(super) fn add_standard(edid: &Edid, modes: &mut Vec<Timing>) {
    let formula = formula(edid);
    let add = |codes: &[u8], modes: &mut Vec<Timing>| {
        for code in codes.as_chunks::<2>().0 {
            if let Some(timing) = standard(edid, formula, *code, modes) {
                modes.push(timing);
            }
        }
    };
    add(&edid.base()[38..54], modes);
    if edid.revision() >= 1 {
        for d in edid.display_descriptors(TAG_STANDARD) {
            add(&d[5..17], modes);
        }
    }
}

/// Adds what the bits of the established timings stand for.
pub(super) fn add_established(edid: &Edid, modes: &mut Vec<Timing>) {
    let base = edid.base();
    let bits = u32::from(base[35]) | u32::from(base[36]) << 8 | u32::from(base[37] & 0x80) << 9;
    let set = |(bit, _): &(usize, &Timing)| bits >> bit & 1 != 0;
    let timings = ESTABLISHED.iter().enumerate().filter(set);
    modes.extend(timings.map(|(_, timing)| *timing));
    if edid.revision() < 1 {
        return;
    }
    for d in edid.display_descriptors(TAG_ESTABLISHED) {
        for (i, &(width, height, rate, reduced)) in ESTABLISHED_III.iter().enumerate() {
            if d[6 + i / 8] & 0x80 >> (i % 8) != 0 {
                modes.extend(find_dmt(width, height, rate, reduced));
            }
        }
    }
}

/// The DMT mode of a size and rate.
fn find_dmt(width: u16, height: u16, rate: u32, reduced: bool) -> Option<Timing> {
    let wanted = |timing: &&Timing| {
        timing.is_size(width, height) && timing.rate() == rate && timing.is_reduced() == reduced
    };
    DMT.iter().find(wanted).copied()
}

/// A two-byte standard timing. `None`: unused, impossible, or there is such a mode already.
fn standard(edid: &Edid, formula: Formula, code: [u8; 2], modes: &[Timing]) -> Option<Timing> {
    if matches!(code, [0, 0] | [1, 1] | [0x20, 0x20]) {
        return None;
    }
    let mut width = u16::from(code[0]) * 8 + 248;
    let rate = u32::from(code[1] & 0x3f) + 60;
    let mut height = match code[1] >> 6 {
        0 if edid.revision() < 3 => width,
        0 => width * 10 / 16,
        1 => width * 3 / 4,
        2 => width * 4 / 5,
        _ => width * 9 / 16,
    };
    // Widths are multiples of eight: panels of 1366 pixels write one of these.
    if rate == 60 && matches!((width, height), (1360, 765) | (1368, 769)) {
        (width, height) = (1366, 768);
    }
    if modes
        .iter()
        .any(|m| m.is_size(width, height) && m.rate() == rate)
    {
        return None;
    }
    if (width, height, rate) == (1366, 768, 60) {
        let mut timing = formulas::cvt(1366, 768, 60, false)?;
        timing.h[0] = 1366;
        timing.h[1] -= 1;
        timing.h[2] -= 1;
        return Some(timing);
    }
    let reduced = supports_reduced_blanking(edid)
        .then(|| find_dmt(width, height, rate, true))
        .flatten();
    let (w, h) = (u32::from(width), u32::from(height));
    reduced
        .or_else(|| find_dmt(width, height, rate, false))
        .or_else(|| match formula {
            Formula::None => None,
            Formula::Gtf => formulas::gtf(w, h, rate, DEFAULT_CURVE),
            Formula::SecondaryGtf => secondary_gtf(edid, w, h, rate),
            Formula::Cvt => formulas::cvt(w, h, rate, false),
        })
}

fn formula(edid: &Edid) -> Formula {
    match edid.revision() {
        4.. => {
            let mut formula = Formula::Cvt;
            for d in edid.display_descriptors(TAG_RANGE) {
                match d[10] {
                    support::DEFAULT_GTF => formula = Formula::Gtf,
                    support::SECONDARY_GTF => formula = Formula::SecondaryGtf,
                    support::CVT => formula = Formula::Cvt,
                    _ => {}
                }
            }
            formula
        }
        3 if secondary_curve(edid).is_some_and(|(from, _)| from > 0) => Formula::SecondaryGtf,
        2.. => Formula::Gtf,
        _ => Formula::None,
    }
}

/// The monitor's own GTF curve and the line rate in kHz above which it applies.
fn secondary_curve(edid: &Edid) -> Option<(u32, Curve)> {
    let own = |d: &[u8; 18]| d[10] == support::SECONDARY_GTF;
    let d = edid.display_descriptors(TAG_RANGE).filter(own).last()?;
    let curve = Curve {
        c2: i64::from(d[13]),
        m: i64::from(u16::from_le_bytes([d[14], d[15]])),
        k: i64::from(d[16]),
        j2: i64::from(d[17]),
    };
    Some((u32::from(d[12]) * 2, curve))
}

/// A GTF mode by the curve that applies at its line rate.
pub(super) fn secondary_gtf(edid: &Edid, width: u32, height: u32, rate: u32) -> Option<Timing> {
    let timing = formulas::gtf(width, height, rate, DEFAULT_CURVE)?;
    match secondary_curve(edid) {
        Some((from, curve)) if timing.line_rate() > from => {
            formulas::gtf(width, height, rate, curve)
        }
        _ => Some(timing),
    }
}

/// The monitor takes reduced blanking: by a bit from 1.4 on, before that if it is digital.
pub(super) fn supports_reduced_blanking(edid: &Edid) -> bool {
    if edid.revision() < 4 {
        return edid.is_digital();
    }
    edid.display_descriptors(TAG_RANGE)
        .any(|d| d[10] == support::CVT && d[15] & 0x10 != 0)
}
