// SPDX-License-Identifier: MIT
//! The generator against QEMU's EDID and against the format's own rules.

use proptest::prelude::*;

use super::*;

/// What QEMU 7.2's `bochs-display` shows by default, read through qtest.
const QEMU: &str = "00ffffffffffff0049143412000000002a180104a520147806ee91a3544c99260f5054210800\
    e1c0d1c0d100a940b300950081808140ea2900c051201c304026444045cb10000018000000f7000a00408200282000\
    0000000000000000fd00327d1ea0ff010a202020202020000000fc0051454d55204d6f6e69746f720a013a02030b00\
    467d6560591f6100000010000000000000000000000000000000000010000000000000000000000000000000000010\
    000000000000000000000000000000000010000000000000000000000000000000000010000000000000000000000000\
    000000000010000000000000000000000000000000000000000000002f";

fn sums_to_zero(edid: &[u8]) -> bool {
    edid.chunks(BLOCK)
        .all(|block| block.iter().fold(0u8, |sum, b| sum.wrapping_add(*b)) == 0)
}

#[test]
fn the_default_is_qemus() {
    let edid = Edid::default().generate().unwrap();
    let hex: String = edid.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, QEMU);
    assert!(sums_to_zero(&edid));
}

#[test]
fn words_are_where_they_belong() {
    let edid = Edid {
        vendor: "ACM".into(),
        product: 0xbeef,
        serial: 0x0102_0304,
        serial_text: "S-1".into(),
        name: "Thirteen char".into(),
        size_mm: Some((600, 340)),
        ..Edid::default()
    };
    let bytes = edid.generate().unwrap();
    assert_eq!(bytes[8..16], [0x04, 0x6d, 0xef, 0xbe, 4, 3, 2, 1]);
    assert_eq!(bytes[21..23], [60, 34]);
    assert_eq!(&bytes[108..126], b"\0\0\0\xfc\0Thirteen char");
    // The base block is full: the serial number is the first piece of the extension.
    let start = BLOCK + usize::from(bytes[BLOCK + 2]);
    assert_eq!(&bytes[start..start + 9], b"\0\0\0\xff\0S-1\n");
    assert!(sums_to_zero(&bytes));
}

#[test]
fn what_does_not_fit_is_refused() {
    let edid = Edid::default;
    for (bad, want) in [
        (
            Edid {
                vendor: "ab".into(),
                ..edid()
            },
            "vendor",
        ),
        (
            Edid {
                vendor: "ABc".into(),
                ..edid()
            },
            "vendor",
        ),
        (
            Edid {
                name: "a name that is too long".into(),
                ..edid()
            },
            "name",
        ),
        (
            Edid {
                name: "line\nfeed".into(),
                ..edid()
            },
            "name",
        ),
        (
            Edid {
                serial_text: "é".into(),
                ..edid()
            },
            "serial",
        ),
        (
            Edid {
                preferred: (4096, 800),
                ..edid()
            },
            "4096 x 800",
        ),
        (
            Edid {
                preferred: (0, 0),
                ..edid()
            },
            "0 x 0",
        ),
        (
            Edid {
                preferred: (3840, 2160),
                refresh: 75,
                ..edid()
            },
            "3840 x 2160 at 75",
        ),
        (
            Edid {
                refresh: 0,
                ..edid()
            },
            "at 0 Hz",
        ),
        (
            Edid {
                size_mm: Some((5000, 1)),
                ..edid()
            },
            "5000",
        ),
        (
            Edid {
                modes: vec![(333, 222)],
                ..edid()
            },
            "333 x 222",
        ),
        (
            Edid {
                video_codes: vec![0],
                ..edid()
            },
            "video codes",
        ),
        (
            Edid {
                video_codes: vec![1; 32],
                ..edid()
            },
            "video codes",
        ),
    ] {
        let message = bad.generate().unwrap_err().to_string();
        assert!(message.contains(want), "{message}");
    }
}

proptest! {
    #[test]
    fn any_words_make_a_sound_edid_or_an_error(
        vendor in "[A-Z]{3}|.{0,4}",
        name in "[ -~]{0,14}",
        serial_text in "[ -~]{0,14}",
        preferred: (u16, u16),
        small in (64u16..2000, 64u16..1300),
        use_small: bool,
        refresh in 0u16..200,
        size_mm: Option<(u16, u16)>,
        video_codes in proptest::collection::vec(0u8..140, 0..34),
    ) {
        let preferred = if use_small { small } else { preferred };
        let edid = Edid {
            vendor, name, serial_text, preferred, refresh, size_mm, video_codes,
            ..Edid::default()
        };
        if let Ok(bytes) = edid.generate() {
            prop_assert!(sums_to_zero(&bytes));
            // The preferred mode can be read back out of its detailed timing.
            let timing = &bytes[54..72];
            let width = u16::from(timing[2]) | u16::from(timing[4] >> 4) << 8;
            let height = u16::from(timing[5]) | u16::from(timing[7] >> 4) << 8;
            prop_assert_eq!((width, height), preferred);
            prop_assert!(timing[..2] != [0, 0]);
        }
    }
}
