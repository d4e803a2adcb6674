// SPDX-License-Identifier: MIT
//! Hostile monitors. `FUZZ_ITERATIONS` and `FUZZ_SEED` set how many and which.

use super::{QEMU, seal};
use crate::edid::{Edid, Limits};

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => default,
    }
}

/// splitmix64
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// QEMU's EDID with changed bytes, changed revision, another length; or noise behind a header.
fn hostile(state: &mut u64) -> Vec<u8> {
    let mut bytes = QEMU.to_vec();
    bytes.resize(128 * (1 + next(state) as usize % 4), 0);
    if next(state).is_multiple_of(4) {
        for byte in &mut bytes[8..] {
            *byte = next(state) as u8;
        }
        bytes[18] = 1;
    }
    for _ in 0..next(state) % 40 {
        // One time in sixteen anywhere, else past the header and the version.
        let from = if next(state).is_multiple_of(16) {
            0
        } else {
            20
        };
        let at = from + next(state) as usize % (bytes.len() - from);
        bytes[at] = next(state) as u8;
    }
    bytes[19] = next(state) as u8 % 6;
    bytes[126] = next(state) as u8 % 5;
    // Descriptors of every known kind in turn.
    for at in [54, 72, 90, 108] {
        if next(state).is_multiple_of(2) {
            let tag = [0xf7, 0xf8, 0xfa, 0xfc, 0xfd, 0xff][next(state) as usize % 6];
            bytes[at..at + 4].copy_from_slice(&[0, 0, 0, tag]);
            bytes[at + 10] = next(state) as u8 % 6;
        }
    }
    for block in bytes.chunks_mut(128).skip(1) {
        block[0] = [2, 2, 0x10, 0x70][next(state) as usize % 4];
        block[1] = next(state) as u8 % 5;
    }
    if !next(state).is_multiple_of(8) {
        bytes.chunks_mut(128).for_each(seal);
    }
    if next(state).is_multiple_of(8) {
        bytes.truncate(next(state) as usize % (bytes.len() + 1));
    }
    bytes
}

#[test]
fn no_monitor_breaks_the_parser() {
    let mut state = setting("FUZZ_SEED", 0x5eed);
    let (mut parsed, mut shown) = (0, 0);
    let iterations = setting("FUZZ_ITERATIONS", 5_000).min(2_000_000);
    for _ in 0..iterations {
        let bytes = hostile(&mut state);
        let Ok(edid) = Edid::parse(&bytes) else {
            continue;
        };
        parsed += 1;
        let limits = Limits {
            interlace: next(&mut state).is_multiple_of(2),
            ..Limits::default()
        };
        let modes = edid.modes(&limits, |_| true);
        // Bounded by what the blocks can name: alternate clocks at most double it.
        assert!(modes.len() < 1500);
        for mode in &modes {
            assert!(mode.clock > 0 && mode.hdisplay > 0 && mode.vdisplay > 0);
            assert!(mode.hdisplay <= mode.hsync_start && mode.hsync_start <= mode.hsync_end);
            assert!(mode.hsync_end <= mode.htotal && mode.vsync_end <= mode.vtotal);
            assert_eq!(mode.name[31], 0);
        }
        let first_plain = modes.iter().position(|m| m.type_ & 8 == 0);
        assert!(
            modes
                .iter()
                .skip(first_plain.unwrap_or(0))
                .all(|m| { m.type_ & 8 == 0 || first_plain.is_none() })
        );
        shown += modes.len();
        let name = edid.name().unwrap_or_default();
        assert!(name.len() <= 13 && name.bytes().all(|b| (0x20..=0x7e).contains(&b)));
        let _ = (
            edid.range_limits(),
            edid.size_mm(),
            edid.product(),
            edid.serial(),
        );
    }
    assert!(parsed * 2 > iterations, "too few were EDIDs: {parsed}");
    assert!(shown > 0);
}
