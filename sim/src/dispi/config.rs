// SPDX-License-Identifier: MIT
//! The adapter's configuration space: content after power-on and which bits can be written,
//! as read from QEMU 7.2's `bochs-display` on a q35 root bus (without its option ROM).

use driver_sys::config as reg;

/// PCI Express: 4096 bytes.
pub const SIZE: usize = 4096;

/// Configuration space with its write masks.
#[derive(Debug, Clone)]
pub struct ConfigSpace {
    bytes: Vec<u8>,
    writable: Vec<u8>,
}

impl ConfigSpace {
    /// The state after power-on of an adapter with `vram_size` bytes of video memory.
    pub fn new(vram_size: u64) -> Self {
        let mut space = Self {
            bytes: vec![0; SIZE],
            writable: vec![0; SIZE],
        };
        space.fixed(reg::VENDOR, &[0x34, 0x12]);
        space.fixed(reg::DEVICE, &[0x11, 0x11]);
        space.fixed(reg::STATUS, &reg::STATUS_CAPABILITIES.to_le_bytes());
        space.fixed(reg::REVISION, &[0x02]);
        space.fixed(reg::CLASS, &[0x00, 0x80, 0x03]);
        space.fixed(reg::SUBSYSTEM_VENDOR, &[0xf4, 0x1a]);
        space.fixed(reg::SUBSYSTEM, &[0x00, 0x11]);
        space.fixed(reg::BAR0, &[0x08]); // prefetchable, 32 bits
        space.fixed(reg::CAPABILITIES, &[0x80]);
        // PCI Express: version 2, root complex integrated endpoint; no function-level reset.
        space.fixed(0x80, &0x0092_0010u32.to_le_bytes());
        space.fixed(0x84, &0x0000_8000u32.to_le_bytes());
        space.fixed(0x8c, &0x0000_0411u32.to_le_bytes());
        space.fixed(0x90, &0x0011_0000u32.to_le_bytes());
        space.fixed(0xa4, &0x0030_0000u32.to_le_bytes());

        space.open(reg::COMMAND, &[0x07, 0x05]);
        space.open(0x0c, &[0xff]); // cache line size
        let vram_mask = !(vram_size as u32).wrapping_sub(1) & !0xf;
        space.open(reg::BAR0, &vram_mask.to_le_bytes());
        space.open(reg::BAR0 + 8, &0xffff_f000u32.to_le_bytes());
        space.open(0x3c, &[0xff]); // interrupt line
        space.open(0xa9, &[0x80]); // device control 2
        // What no register claims is plain memory, as in QEMU.
        space.writable[0x40..0x80].fill(0xff);
        space.writable[0xbc..].fill(0xff);
        space
    }

    fn fixed(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn open(&mut self, at: usize, mask: &[u8]) {
        self.writable[at..at + mask.len()].copy_from_slice(mask);
    }

    /// Reads; what lies past the end reads as all ones.
    pub fn read(&self, offset: usize, data: &mut [u8]) {
        for (at, byte) in (offset..).zip(data) {
            *byte = self.bytes.get(at).copied().unwrap_or(0xff);
        }
    }

    /// Writes the bits that can be written.
    pub fn write(&mut self, offset: usize, data: &[u8]) {
        let cells = self.bytes.iter_mut().zip(&self.writable).skip(offset);
        for ((cell, mask), byte) in cells.zip(data) {
            *cell = (*cell & !mask) | (byte & mask);
        }
    }
}
