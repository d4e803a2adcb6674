// SPDX-License-Identifier: MIT
//! The registers in BAR2: DISPI at 0x500, QEMU's extension at 0x600.
//!
//! Odd accesses behave as in QEMU 7.2: DISPI registers are 16 bits wide whatever the width of the
//! access (a byte read gives the low byte at both addresses, a byte write sets all of the
//! register); the extension answers to 32 bits only.

use std::ops::Range;

/// DISPI register indexes; their offset in BAR2 is [`DISPI`]` + 2 * index`.
pub mod index {
    /// Identification, read only.
    pub const ID: usize = 0;
    /// Visible width.
    pub const XRES: usize = 1;
    /// Visible height.
    pub const YRES: usize = 2;
    /// Bits per pixel.
    pub const BPP: usize = 3;
    /// Bit 0 shows a picture.
    pub const ENABLE: usize = 4;
    /// Bank; without meaning here.
    pub const BANK: usize = 5;
    /// Width of a line in video memory, in pixels.
    pub const VIRT_WIDTH: usize = 6;
    /// Height of the virtual screen.
    pub const VIRT_HEIGHT: usize = 7;
    /// Left edge of the visible part.
    pub const X_OFFSET: usize = 8;
    /// Upper edge of the visible part.
    pub const Y_OFFSET: usize = 9;
    /// Video memory in units of 64 KiB, read only.
    pub const VIDEO_MEMORY_64K: usize = 10;
}

/// Where the DISPI registers start in BAR2.
pub const DISPI: u64 = 0x500;
/// Where QEMU's extension starts in BAR2: its size, then the byte order.
pub const EXTENDED: u64 = 0x600;
/// Value of the identification register: DISPI version 5.
pub const ID5: u16 = 0xb0c5;
/// Value of the byte order register: little-endian, after power-on.
pub const LITTLE_ENDIAN: u32 = 0x1e1e_1e1e;
/// Value of the byte order register: big-endian.
pub const BIG_ENDIAN: u32 = 0xbebe_bebe;
const COUNT: usize = 11;
const EXTENDED_SIZE: u32 = 8;

/// The registers' content.
#[derive(Debug, Clone)]
pub struct Registers {
    dispi: [u16; COUNT],
    big_endian: bool,
}

/// Splits an access into naturally aligned ones of 4 bytes at most: offset, and range of the data.
pub(super) fn split(offset: u64, len: usize) -> impl Iterator<Item = (u64, Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let width = [4, 2, 1]
            .into_iter()
            .find(|width| at.is_multiple_of(*width as u64) && done + width <= len)?;
        done += width;
        Some((at, done - width..done))
    })
}

impl Registers {
    /// The state after power-on.
    pub fn new(vram_size: u64) -> Self {
        let mut dispi = [0; COUNT];
        dispi[index::ID] = ID5;
        dispi[index::VIDEO_MEMORY_64K] = u16::try_from(vram_size >> 16).unwrap_or(u16::MAX);
        Self {
            dispi,
            big_endian: false,
        }
    }

    /// The content of a DISPI register, by [`index`].
    pub fn dispi(&self, index: usize) -> u16 {
        self.dispi.get(index).copied().unwrap_or(0xffff)
    }

    /// Whether pixels are big-endian.
    pub fn big_endian(&self) -> bool {
        self.big_endian
    }

    /// Reads `width` (1, 2 or 4) bytes at `offset` of BAR2, aligned.
    pub(super) fn read(&self, offset: u64, width: usize) -> u32 {
        const DISPI_END: u64 = DISPI + 2 * COUNT as u64;
        match offset {
            DISPI..DISPI_END if width == 4 => self.read(offset, 2) | self.read(offset + 2, 2) << 16,
            DISPI..DISPI_END => self.dispi[((offset - DISPI) / 2) as usize].into(),
            0x600..0x608 if width < 4 => 0,
            0x600 => EXTENDED_SIZE,
            0x604 if self.big_endian => BIG_ENDIAN,
            0x604 => LITTLE_ENDIAN,
            _ => u32::MAX,
        }
    }

    /// Writes `width` (1, 2 or 4) bytes at `offset` of BAR2, aligned.
    pub(super) fn write(&mut self, offset: u64, width: usize, value: u32) {
        const FIRST: u64 = DISPI + 2 * index::XRES as u64;
        const LAST: u64 = DISPI + 2 * index::Y_OFFSET as u64 + 1;
        match (offset, value) {
            (DISPI..=LAST, _) if width == 4 => {
                self.write(offset, 2, value & 0xffff);
                self.write(offset + 2, 2, value >> 16);
            }
            (FIRST..=LAST, _) => {
                self.dispi[((offset - DISPI) / 2) as usize] = value as u16;
            }
            (0x604, LITTLE_ENDIAN) if width == 4 => self.big_endian = false,
            (0x604, BIG_ENDIAN) if width == 4 => self.big_endian = true,
            _ => {}
        }
    }
}
