// SPDX-License-Identifier: MIT
//! Each source of modes, and each check of the blocks.

use super::{QEMU, seal};
use crate::edid::{Edid, EdidError, Limits, RangeLimits};
use crate::uapi::*;

/// An EDID 1.`revision` that names nothing; `features` is byte 24.
fn blank(revision: u8, features: u8) -> Vec<u8> {
    let mut bytes = QEMU[..128].to_vec();
    bytes[19] = revision;
    bytes[24] = features;
    bytes[35..38].fill(0);
    bytes[38..54].fill(1);
    for at in [54, 72, 90, 108] {
        bytes[at..at + 18].fill(0);
        bytes[at + 3] = 0x10;
    }
    bytes[126] = 0;
    bytes
}

fn parse(mut bytes: Vec<u8>) -> Edid {
    bytes.chunks_mut(128).for_each(seal);
    Edid::parse(&bytes).unwrap()
}

/// Sizes and clocks.
fn modes(bytes: Vec<u8>) -> Vec<(u16, u16, u32)> {
    let limits = Limits {
        interlace: true,
        ..Limits::default()
    };
    let modes = parse(bytes).modes(&limits, |_| true);
    modes
        .iter()
        .map(|m| (m.hdisplay, m.vdisplay, m.clock))
        .collect()
}

#[test]
fn the_monitor_tells_who_it_is() {
    let edid = Edid::parse(&QEMU).unwrap();
    assert_eq!(edid.name().as_deref(), Some("QEMU Monitor"));
    assert_eq!(edid.product(), ("RHT".to_owned(), 0x1234));
    assert_eq!(edid.size_mm(), (320, 200));
    assert!(edid.is_digital());
    assert_eq!(edid.serial(), None);
    let limits = RangeLimits {
        vertical_hz: (50, 125),
        horizontal_khz: (30, 160),
        max_clock_khz: 0,
    };
    assert_eq!(edid.range_limits(), Some(limits));
}

#[test]
fn damage_is_told_or_repaired() {
    assert_eq!(Edid::parse(&[]), Err(EdidError::Short(0)));
    assert_eq!(Edid::parse(&QEMU[..127]), Err(EdidError::Short(127)));
    let mut bytes = QEMU;
    bytes[3] = 0;
    bytes[4] = 1;
    assert_eq!(
        Edid::parse(&bytes),
        Edid::parse(&QEMU),
        "two wrong header bytes"
    );
    bytes[5] = 1;
    assert_eq!(Edid::parse(&bytes), Err(EdidError::Header(5)));
    let mut bytes = QEMU;
    bytes[20] ^= 1;
    assert!(matches!(Edid::parse(&bytes), Err(EdidError::Checksum(_))));
    let mut bytes = QEMU;
    bytes[18] = 2;
    seal(&mut bytes[..128]);
    assert_eq!(Edid::parse(&bytes), Err(EdidError::Version(2)));
    // A second block that is named but not there is no error.
    assert!(Edid::parse(&QEMU[..128]).is_ok());
}

#[test]
fn an_extension_with_a_wrong_sum_counts_only_if_it_is_television() {
    let all = Limits::default();
    let count = |bytes: &[u8]| Edid::parse(bytes).unwrap().modes(&all, |_| true).len();
    let mut bytes = QEMU;
    bytes[255] ^= 1;
    assert_eq!(count(&bytes), count(&QEMU));
    bytes[128] = 0x10;
    assert_eq!(count(&bytes), count(&QEMU[..128]));
}

#[test]
fn standard_timings_come_from_dmt_or_the_formula_of_the_revision() {
    let with = |revision: u8, code: [u8; 2]| {
        let mut bytes = blank(revision, 0);
        bytes[38..40].copy_from_slice(&code);
        modes(bytes)
    };
    // 1280 × 1024 at 75 Hz is in DMT.
    assert_eq!(with(3, [129, 0x80 | 15]), [(1280, 1024, 135_000)]);
    // 1280 × 1280 before 1.3: a square ratio; and no formula before 1.2.
    assert_eq!(with(1, [129, 0]), []);
    assert_eq!(with(2, [129, 0])[0].1, 1280);
    // 1600 × 900 at 75 Hz: GTF to 1.3, CVT from 1.4 on.
    assert_eq!(with(3, [169, 0xc0 | 15]), [(1600, 900, 152_280)]);
    assert_eq!(with(4, [169, 0xc0 | 15]), [(1600, 900, 151_455)]);
    // A panel of 1366 pixels.
    assert_eq!(with(4, [139, 0xc0])[0].0, 1366);
}

#[test]
fn cvt_codes_and_ranges_make_modes() {
    let mut bytes = blank(4, 0);
    // 1920 × 1200 at 60 Hz: 600 lines twice, 16:10.
    bytes[54..60].copy_from_slice(&[0, 0, 0, 0xf8, 0, 1]);
    bytes[60..63].copy_from_slice(&[0x57, 0x28, 0x08]);
    assert_eq!(modes(bytes), [(1920, 1200, 193_476)]);

    let mut bytes = blank(4, 1);
    // A timing of its own, and a range that allows what is smaller: 56 to 61 Hz, 30 to 80 kHz.
    bytes[54..72].copy_from_slice(&QEMU[54..72]);
    bytes[72..76].copy_from_slice(&[0, 0, 0, 0xfd]);
    bytes[76..83].copy_from_slice(&[0, 56, 61, 30, 80, 17, 1]);
    let listed = modes(bytes.clone());
    assert_eq!(listed[0], (1280, 800, 107_300));
    assert!(listed.contains(&(1024, 768, 65_000)));
    assert!(
        !listed.contains(&(1280, 1024, 108_000)),
        "higher than its own"
    );
    assert!(
        !listed.contains(&(1280, 768, 68_250)),
        "reduced blanking is not promised"
    );
    // With CVT and reduced blanking, the formula's sizes too.
    bytes[82..88].copy_from_slice(&[4, 0x11, 0, 0, 0, 0x10]);
    let listed = modes(bytes);
    assert!(listed.contains(&(1280, 768, 68_250)));
    assert!(listed.iter().any(|m| (m.0, m.1) == (1024, 576)));
}

#[test]
fn detailed_television_modes_get_their_clock_and_their_other_rate() {
    // 1920 × 1080 at about 60 Hz, with a clock in steps of 10 kHz.
    let detailed = |clock: u16| {
        let mut bytes = blank(3, 2);
        bytes.extend_from_slice(&[0; 128]);
        bytes[126] = 1;
        bytes[128..132].copy_from_slice(&[2, 3, 4, 0]);
        bytes[54..72].copy_from_slice(&[
            0, 0, 0x80, 0x18, 0x71, 0x38, 0x2d, 0x40, 0x58, 0x2c, 0x45, 0, 0, 0, 0, 0, 0, 0x1e,
        ]);
        bytes[54..56].copy_from_slice(&clock.to_le_bytes());
        modes(bytes)
    };
    let pair = [(1920, 1080, 148_500), (1920, 1080, 148_352)];
    assert_eq!(detailed(14850), pair);
    // 148.35 MHz is 148.352 MHz written in steps of 10 kHz.
    let preferred_slower = [(1920, 1080, 148_352), (1920, 1080, 148_500)];
    assert_eq!(detailed(14835), preferred_slower);
    assert_eq!(detailed(14000), [(1920, 1080, 140_000)]);
}

#[test]
fn impossible_detailed_timings_are_left_out() {
    for (at, value) in [(56, 0), (62, 0), (71, 0x38)] {
        let mut bytes = blank(4, 0);
        bytes[54..72].copy_from_slice(&QEMU[54..72]);
        bytes[at] = value;
        if at == 56 {
            // Fewer than 64 pixels.
            bytes[58] &= 0x0f;
        }
        if at == 62 {
            // No sync: its ten bits.
            bytes[63] = 0;
            bytes[65] &= !0x30;
        }
        assert_eq!(modes(bytes), [], "byte {at}");
    }
}

#[test]
fn interlaced_modes_are_only_for_those_who_can() {
    let mut bytes = QEMU.to_vec();
    // VIC 5: 1920 × 1080 interlaced.
    bytes[133] = 5;
    let edid = parse(bytes);
    let interlaced = |m: &drm_mode_modeinfo| m.flags & DRM_MODE_FLAG_INTERLACE != 0;
    let count = |interlace| {
        let limits = Limits {
            interlace,
            ..Limits::default()
        };
        let modes = edid.modes(&limits, |_| true);
        modes.iter().filter(|m| interlaced(m)).count()
    };
    assert_eq!((count(false), count(true)), (0, 2));
}

#[test]
fn hdmis_own_formats_are_found() {
    let mut bytes = blank(3, 0);
    bytes.extend_from_slice(&[0; 128]);
    bytes[126] = 1;
    let payload = [0x03, 0x0c, 0, 0x10, 0, 0, 0, 0x20, 0, 0x20, 1];
    bytes[128..133].copy_from_slice(&[2, 3, 16, 0, 0x60 | payload.len() as u8]);
    bytes[133..133 + payload.len()].copy_from_slice(&payload);
    let expected = [(3840, 2160, 297_000), (3840, 2160, 296_703)];
    assert_eq!(modes(bytes), expected);
}
