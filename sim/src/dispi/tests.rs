// SPDX-License-Identifier: MIT
//! The model against what QEMU 7.2's `bochs-display` answered through qtest.

use proptest::prelude::*;

use super::registers::index;
use super::*;

const VRAM: u64 = 16 << 20;

fn display() -> Display {
    Display::new(
        VRAM,
        Some(&crate::edid::Edid::default().generate().unwrap()),
    )
    .unwrap()
}

fn read(display: &mut Display, offset: u64, width: usize) -> u64 {
    let mut bytes = [0; 8];
    display
        .region_read(MMIO_BAR, offset, &mut bytes[..width])
        .unwrap();
    u64::from_le_bytes(bytes)
}

fn write(display: &mut Display, offset: u64, width: usize, value: u64) {
    display
        .region_write(MMIO_BAR, offset, &value.to_le_bytes()[..width])
        .unwrap();
}

fn set(display: &mut Display, registers: &[(usize, u16)]) {
    for &(index, value) in registers {
        write(
            display,
            registers::DISPI + 2 * index as u64,
            2,
            value.into(),
        );
    }
}

fn config(display: &mut Display, offset: usize) -> u32 {
    let mut bytes = [0; 4];
    display.config_read(offset, &mut bytes).unwrap();
    u32::from_le_bytes(bytes)
}

#[test]
fn configuration_space_after_power_on() {
    let mut display = display();
    let qemu = [
        (0x00, 0x1111_1234),
        (0x04, 0x0010_0000),
        (0x08, 0x0380_0002),
        (0x10, 0x0000_0008),
        (0x2c, 0x1100_1af4),
        (0x34, 0x0000_0080),
        (0x80, 0x0092_0010),
        (0x84, 0x0000_8000),
        (0x8c, 0x0000_0411),
        (0x90, 0x0011_0000),
        (0xa4, 0x0030_0000),
    ];
    for offset in (0..SIZE_OF_HEADERS).step_by(4) {
        let want = qemu
            .iter()
            .find(|(at, _)| *at == offset)
            .map_or(0, |(_, value)| *value);
        assert_eq!(config(&mut display, offset), want, "{offset:#x}");
    }
}

const SIZE_OF_HEADERS: usize = 0x100;

#[test]
fn configuration_space_written_with_ones() {
    let mut display = display();
    // Offsets that take bits, from QEMU; 0x40..0x80 and 0xbc..0x100 take all.
    let qemu = [
        (0x04, 0x0010_0507),
        (0x0c, 0x0000_00ff),
        (0x10, 0xff00_0008),
        (0x18, 0xffff_f000),
        (0x3c, 0x0000_00ff),
        (0xa8, 0x0000_8000),
    ];
    for offset in (0..SIZE_OF_HEADERS).step_by(4) {
        let before = config(&mut display, offset);
        display.config_write(offset, &[0xff; 4]).unwrap();
        let open = (0x40..0x80).contains(&offset) || offset >= 0xbc;
        let want = qemu
            .iter()
            .find(|(at, _)| *at == offset)
            .map(|(_, value)| *value);
        let want = want.unwrap_or(if open { u32::MAX } else { before });
        assert_eq!(config(&mut display, offset), want, "{offset:#x}");
        display.config_write(offset, &[0; 4]).unwrap();
        assert_eq!(
            config(&mut display, offset),
            if open { 0 } else { before },
            "{offset:#x}"
        );
    }
}

#[test]
fn registers_after_power_on() {
    let mut display = display();
    for (offset, width, want) in [
        (0x500, 2, 0xb0c5),
        (0x502, 2, 0),
        (0x514, 2, 0x100),
        (0x516, 2, 0xffff),
        (0x500, 1, 0xc5),
        (0x501, 1, 0xc5),
        (0x500, 4, 0xb0c5),
        (0x500, 8, 0xb0c5),
        (0x600, 4, 8),
        (0x604, 4, 0x1e1e_1e1e),
        (0x608, 4, 0xffff_ffff),
        (0x600, 2, 0),
        (0x600, 1, 0),
        (0x400, 4, 0xffff_ffff),
        (0xffc, 4, 0xffff_ffff),
        (0x000, 4, 0xffff_ff00),
        (0x0ff, 1, 0x2f),
        (0x100, 1, 0xff),
    ] {
        assert_eq!(
            read(&mut display, offset, width),
            want,
            "{offset:#x} {width}"
        );
    }
}

#[test]
fn registers_keep_what_qemus_keep() {
    let mut display = display();
    for register in 0..12u64 {
        let at = 0x500 + 2 * register;
        for value in [0xffff, 0x1234, 0] {
            let fixed = match register {
                0 => Some(0xb0c5),
                10 => Some(0x100),
                11 => Some(0xffff),
                _ => None,
            };
            write(&mut display, at, 2, value);
            assert_eq!(
                read(&mut display, at, 2),
                fixed.unwrap_or(value),
                "{register}"
            );
        }
    }
    write(&mut display, 0x502, 4, 0x0300_0400);
    assert_eq!(read(&mut display, 0x502, 2), 0x400);
    assert_eq!(read(&mut display, 0x504, 2), 0x300);
    for (at, value) in [(0x502, 0x11), (0x503, 0x22)] {
        write(&mut display, at, 1, value);
        assert_eq!(read(&mut display, 0x502, 2), value);
    }
    assert_eq!(read(&mut display, 0x501, 2), 0x22c5);
    for (value, want) in [
        (0xbebe_bebe, 0xbebe_bebe),
        (0, 0xbebe_bebe),
        (1, 0xbebe_bebe),
        (0x1e1e_1e1e, 0x1e1e_1e1e),
    ] {
        write(&mut display, 0x604, 4, value);
        assert_eq!(read(&mut display, 0x604, 4), want);
    }
    write(&mut display, 0x604, 2, 0xbebe);
    write(&mut display, 0x600, 4, 5);
    write(&mut display, 0x000, 4, 0);
    assert_eq!(read(&mut display, 0x604, 4), 0x1e1e_1e1e);
    assert_eq!(read(&mut display, 0x600, 4), 8);
    assert_eq!(read(&mut display, 0x000, 4), 0xffff_ff00);
}

const ON: [(usize, u16); 4] = [
    (index::XRES, 128),
    (index::YRES, 64),
    (index::BPP, 32),
    (index::ENABLE, 0x41),
];

#[test]
fn modes() {
    let mode = |registers: &[(usize, u16)]| {
        let mut display = display();
        set(&mut display, &ON);
        set(&mut display, registers);
        display.mode().map(|mode| (mode.stride, mode.offset))
    };
    assert_eq!(mode(&[]), Some((512, 0)));
    assert_eq!(mode(&[(index::BPP, 16)]), Some((256, 0)));
    assert_eq!(mode(&[(index::VIRT_WIDTH, 200)]), Some((800, 0)));
    assert_eq!(mode(&[(index::VIRT_WIDTH, 100)]), Some((512, 0)));
    let scrolled = [
        (index::VIRT_WIDTH, 200),
        (index::X_OFFSET, 3),
        (index::Y_OFFSET, 2),
    ];
    assert_eq!(mode(&scrolled), Some((800, 1612)));
    // The last line that fits, and the first that does not.
    assert_eq!(
        mode(&[(index::Y_OFFSET, 32704)]).map(|mode| mode.1),
        Some(32704 * 512)
    );
    assert_eq!(mode(&[(index::Y_OFFSET, 32705)]), None);
    for off in [
        (index::ENABLE, 0x40),
        (index::BPP, 24),
        (index::BPP, 8),
        (index::XRES, 63),
        (index::YRES, 63),
    ] {
        assert_eq!(mode(&[off]), None, "{off:?}");
    }
    let large = [
        (index::XRES, 65535),
        (index::YRES, 65535),
        (index::VIRT_WIDTH, 65535),
    ];
    assert_eq!(mode(&large), None);
}

#[test]
fn pixels() {
    let mut display = display();
    assert_eq!(
        (display.picture().width, display.picture().height),
        (640, 480)
    );
    set(&mut display, &ON);
    display
        .vram()
        .write_slice(0, &[0x11, 0x22, 0x33, 0x44])
        .unwrap();
    assert_eq!(display.picture().rgb[..6], [0x33, 0x22, 0x11, 0, 0, 0]);
    write(
        &mut display,
        registers::EXTENDED + 4,
        4,
        registers::BIG_ENDIAN.into(),
    );
    assert_eq!(display.picture().rgb[..3], [0x22, 0x33, 0x44]);
    write(
        &mut display,
        registers::EXTENDED + 4,
        4,
        registers::LITTLE_ENDIAN.into(),
    );
    set(&mut display, &[(index::BPP, 16), (index::X_OFFSET, 1)]);
    display.vram().write_u16(2, 0b1111_1000_0011_0000).unwrap();
    let picture = display.picture();
    assert_eq!(picture.rgb[..3], [0xff, 0x04, 0x84]);
    assert_eq!(picture.rgb.len(), 128 * 64 * 3);

    let mut png = Vec::new();
    picture.write_png(&mut png).unwrap();
    let mut reader = png::Decoder::new(std::io::Cursor::new(png))
        .read_info()
        .unwrap();
    let mut back = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut back).unwrap();
    assert_eq!(back, picture.rgb);
}

#[test]
fn faults_last_until_a_reset() {
    for fault in [Fault::Stuck, Fault::Hang, Fault::Noise] {
        let mut display = display();
        set(&mut display, &ON);
        display.vram().write_u8(5, 7).unwrap();
        display.config_write(0x10, &[0, 0, 0, 0xe0]).unwrap();
        display.break_down(fault);
        let mut bytes = [0; 2];
        let result = display.region_read(MMIO_BAR, 0x500, &mut bytes);
        match fault {
            Fault::Stuck => assert_eq!((result, bytes), (Ok(()), [0xff; 2])),
            Fault::Hang => assert_eq!(result, Err(Refused::NoAnswer)),
            Fault::Noise => assert_ne!(u16::from_le_bytes(bytes), registers::ID5),
        }
        let _ = display.region_write(MMIO_BAR, 0x508, &[0, 0]);
        assert!(display.mode().is_some(), "the write did nothing");
        assert_eq!(read(&mut display, 1, 1), 0xff, "the EDID is there");
        assert_eq!(display.fault(), Some(fault));

        display.reset().unwrap();
        assert_eq!(read(&mut display, 0x500, 2), 0xb0c5);
        assert_eq!((display.mode(), display.fault()), (None, None));
        assert_eq!(config(&mut display, 0x10), 8);
        assert_eq!(
            display.vram().read_u8(5).unwrap(),
            7,
            "video memory survives"
        );
    }
}

#[test]
fn monitors_come_and_go() {
    let mut display = display();
    display.set_edid(None).unwrap();
    assert_eq!(read(&mut display, 0, 4), 0xffff_ffff);
    display.set_edid(Some(&[1, 2, 3])).unwrap();
    assert_eq!(read(&mut display, 0, 4), 0x0003_0201);
    assert_eq!(read(&mut display, 0x100, 4), 0xffff_ffff);
    display.set_edid(Some(&[9; EDID_MAX])).unwrap();
    assert_eq!(read(&mut display, 0x3fc, 4), 0x0909_0909);
    assert!(display.set_edid(Some(&[9; EDID_MAX + 1])).is_err());
    display.set_edid(Some(&[5; 0x101])).unwrap();
    assert_eq!(read(&mut display, 0x100, 4), 0xffff_ff05);
}

#[test]
fn power_on_clears_video_memory() {
    let mut display = display();
    display.vram().write_u64(4096, u64::MAX).unwrap();
    display.break_down(Fault::Stuck);
    display.power_on();
    assert_eq!(display.vram().read_u64(4096).unwrap(), 0);
    assert_eq!(display.fault(), None);
}

#[test]
fn sizes_of_video_memory() {
    for size in [0, 1 << 19, (16 << 20) + 1, 24 << 20, 512 << 20] {
        assert!(Display::new(size, None).is_err(), "{size}");
    }
    assert!(Display::new(1 << 20, None).is_ok());
}

proptest! {
    #[test]
    fn any_accesses_are_survived(
        accesses in proptest::collection::vec((any::<bool>(), 0u64..0x1000, 0usize..16, any::<u64>()), 1..200),
        fault in proptest::option::of(prop_oneof![Just(Fault::Stuck), Just(Fault::Noise)]),
    ) {
        let mut display = Display::new(1 << 20, Some(&[0; 300])).unwrap();
        if let Some(fault) = fault {
            display.break_down(fault);
        }
        for (is_write, offset, len, value) in accesses {
            let mut data = value.to_le_bytes().repeat(2);
            data.truncate(len.min((0x1000 - offset) as usize));
            if is_write {
                display.region_write(MMIO_BAR, offset, &data).unwrap();
                display.config_write(offset as usize, &data).unwrap();
            } else {
                display.region_read(MMIO_BAR, offset, &mut data).unwrap();
                display.config_read(offset as usize, &mut data).unwrap();
            }
            if let Some(mode) = display.mode() {
                let end = mode.offset + u64::from(mode.stride) * u64::from(mode.height);
                prop_assert!(end <= 1 << 20);
            }
        }
        prop_assert_eq!(config(&mut display, 0), 0x1111_1234);
        let _ = display.picture();
    }
}
