// SPDX-License-Identifier: MIT
//! Television formats: the video data blocks of CTA-861 extensions, HDMI's formats, and the pairs
//! of rates (60 and 59.94 Hz) that Linux makes of each.

use super::blocks::Edid;
use super::tables::cta::{HDMI, VIC_1, VIC_193};
use super::timing::{Timing, same_clock};

/// Tag of a data block with video formats.
const VIDEO: u8 = 2;
/// Tag of a data block that a vendor defines.
const VENDOR: u8 = 3;
/// HDMI's vendor number, as its block spells it.
const HDMI_OUI: [u8; 3] = [0x03, 0x0c, 0x00];

/// Adds the formats that the monitor lists.
pub(super) fn add_formats(edid: &Edid, modes: &mut Vec<Timing>) {
    for (tag, payload) in data_blocks(edid) {
        if tag == VIDEO {
            modes.extend(payload.iter().filter_map(|code| format(vic(*code))));
        }
    }
    for (tag, payload) in data_blocks(edid) {
        if tag == VENDOR && payload.len() >= 5 && payload.starts_with(&HDMI_OUI) {
            let known = |code: &u8| HDMI.get(usize::from(*code).checked_sub(1)?);
            modes.extend(hdmi_codes(payload).iter().filter_map(known));
        }
    }
}

/// For each mode that is a television format adds it at its other clock.
pub(super) fn add_alternate_clocks(edid: &Edid, modes: &mut Vec<Timing>) {
    if edid.cta().next().is_none() {
        return;
    }
    let other = |mode: &Timing| {
        let format = find(mode, same_clock)?;
        let clocks = [format.clock, alternate_clock(&format)];
        if clocks[0] == clocks[1] || !clocks.contains(&mode.clock) {
            return None;
        }
        let clock = clocks[usize::from(mode.clock == clocks[0])];
        Some(Timing { clock, ..format })
    };
    let others: Vec<Timing> = modes.iter().filter_map(other).collect();
    modes.extend(others);
}

/// Detailed timings count clocks in 10 kHz: one that is a television format but for that gets the
/// format's clock.
pub(super) fn adjust_clock(mode: &mut Timing) {
    let near = |a: u32, b: u32| a.abs_diff(b) <= 5;
    let Some(format) = find(mode, near) else {
        return;
    };
    let (clock, alternate) = (format.clock, alternate_clock(&format));
    mode.clock = if mode.clock.abs_diff(clock) < mode.clock.abs_diff(alternate) {
        clock
    } else {
        alternate
    };
}

/// The format of a mode, by one of its clocks: CTA's first, then HDMI's.
fn find(mode: &Timing, is_clock: impl Fn(u32, u32) -> bool) -> Option<Timing> {
    let matches = |format: &Timing| {
        is_clock(mode.clock, format.clock) || is_clock(mode.clock, alternate_clock(format))
    };
    let numbered = (1u8..).zip(VIC_1).chain((193u8..).zip(VIC_193));
    let listed = numbered
        .filter(|(_, format)| matches(format))
        .find(|(vic, format)| variants(*vic, **format).any(|variant| mode.matches(&variant)))
        .map(|(_, format)| format);
    listed
        .or_else(|| HDMI.iter().find(|f| matches(f) && mode.matches(f)))
        .copied()
}

/// A format and those with a line or two more per field that share its number.
fn variants(vic: u8, format: Timing) -> impl Iterator<Item = Timing> {
    let lines = match vic {
        8 | 9 | 12 | 13 => 263,
        23 | 24 | 27 | 28 => 314,
        _ => 0,
    };
    core::iter::successors(Some(format), move |last| {
        let [active, start, end, total] = last.v;
        (total < lines).then_some(Timing {
            v: [active, start + 1, end + 1, total + 1],
            ..*last
        })
    })
}

/// A format's other clock: by 1000/1001 for rates that are multiples of six.
fn alternate_clock(format: &Timing) -> u32 {
    if !format.rate().is_multiple_of(6) {
        return format.clock;
    }
    // The old formats are listed at 59.94 Hz, the others at 60 Hz.
    let (times, over) = match format.v[0] {
        240 | 480 => (1001, 1000),
        _ => (1000, 1001),
    };
    let clock = (u64::from(format.clock) * times + over / 2) / over;
    u32::try_from(clock).unwrap_or(format.clock)
}

/// The format's number; up to 64 the top bit marks a native format.
fn vic(code: u8) -> u8 {
    match code {
        129..=192 => code & 0x7f,
        _ => code,
    }
}

/// The format with a number.
fn format(vic: u8) -> Option<Timing> {
    let vic = usize::from(vic);
    let listed = VIC_1.get(vic.checked_sub(1)?);
    listed
        .or_else(|| VIC_193.get(vic.checked_sub(193)?))
        .copied()
}

/// Every data block of CTA extensions from revision 3 on: tag and payload.
fn data_blocks(edid: &Edid) -> impl Iterator<Item = (u8, &[u8])> {
    let usable = |block: &&[u8; 128]| block[1] >= 3 && (4..=127).contains(&block[2]);
    edid.cta().filter(usable).flat_map(|block| {
        let mut rest = &block[4..usize::from(block[2])];
        core::iter::from_fn(move || {
            let (head, tail) = rest.split_first()?;
            let (payload, tail) = tail.split_at_checked(usize::from(head & 0x1f))?;
            rest = tail;
            Some((head >> 5, payload))
        })
    })
}

/// The format numbers in HDMI's vendor block.
fn hdmi_codes(payload: &[u8]) -> &[u8] {
    let codes = || {
        let present = *payload.get(7)?;
        if present & 0x20 == 0 {
            return None;
        }
        // Latencies come first, of progressive and of interlaced formats.
        let latencies = match (present & 0x80 != 0, present & 0x40 != 0) {
            (true, true) => 4,
            (true, false) => 2,
            _ => 0,
        };
        let count = usize::from(*payload.get(9 + latencies)? >> 5);
        let codes = payload.get(10 + latencies..)?;
        codes.get(..count.min(codes.len()))
    };
    codes().unwrap_or(&[])
}
