// SPDX-License-Identifier: MIT
//! The adapter's registers in BAR2: EDID at 0, VGA's at 0x400, DISPI's at 0x500.
//!
//! Sources: Bochs' VBE DISPI interface, QEMU's `docs/specs/standard-vga`.

use driver_sys::bar::Width;
use driver_sys::{BarKind, PciDevice};

/// The BAR with the registers.
pub const MMIO_BAR: u8 = 2;
/// The BAR with the video memory.
pub const VRAM_BAR: u8 = 0;

/// DISPI registers by index; each is 16 bits wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Index {
    /// Version of the interface.
    Id = 0,
    /// Visible width.
    XRes = 1,
    /// Visible height.
    YRes = 2,
    /// Bits per pixel.
    Bpp = 3,
    /// See [`ENABLED`] and its like.
    Enable = 4,
    /// Bank of the old window.
    Bank = 5,
    /// Pixels per line in video memory.
    VirtWidth = 6,
    /// Left edge of the visible part.
    XOffset = 8,
    /// Upper edge of the visible part.
    YOffset = 9,
    /// Video memory in units of 64 KiB.
    VideoMemory = 10,
}

/// `Enable`: DISPI drives the screen.
pub const ENABLED: u16 = 0x01;
/// `Enable`: linear video memory.
pub const LINEAR: u16 = 0x40;
/// `Enable`: video memory keeps its contents.
pub const KEEP_MEMORY: u16 = 0x80;

/// Versions of the interface that are known.
const KNOWN: core::ops::RangeInclusive<u16> = 0xb0c0..=0xb0c5;
/// The oldest version that tells how much video memory there is.
const TELLS_MEMORY: u16 = 0xb0c4;

const VGA: u64 = 0x400;
const DISPI: u64 = 0x500;
/// VGA ports are at their distance from this one.
const FIRST_PORT: u64 = 0x3c0;
/// Most that the EDID's window holds.
const EDID_MAX: usize = 0x400;
const EDID_BLOCK: usize = 128;

/// Why an adapter can't be driven.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// There are no registers within reach.
    #[error(
        "BAR{MMIO_BAR} holds no DISPI registers ({0:?}); adapters that have them at ports 0x1ce and \
         0x1cf only can't be driven, use one with registers in memory (QEMU 1.3 and later)"
    )]
    NoRegisters(BarKind),
    /// There is no video memory.
    #[error("BAR{VRAM_BAR} is no video memory ({0:?})")]
    NoMemory(BarKind),
    /// Something else answers.
    #[error(
        "the DISPI version register reads {0:#06x}, not 0xb0c0 to 0xb0c5: no such adapter, or it hangs"
    )]
    WrongId(u16),
    /// The device did not answer.
    #[error(transparent)]
    Device(#[from] driver_sys::Error),
}

/// The registers of one adapter.
#[derive(Debug)]
pub struct Registers<D> {
    device: D,
    version: u16,
    vga: bool,
}

impl<D: PciDevice> Registers<D> {
    /// Finds the registers and checks that they are DISPI's. `vga`: the adapter is a VGA too.
    pub fn new(device: D, vga: bool) -> Result<Self, ProbeError> {
        let info = device.bar_info(MMIO_BAR)?;
        if !matches!(info.kind, BarKind::Memory { .. }) || info.size < 0x600 {
            return Err(ProbeError::NoRegisters(info.kind));
        }
        let mut registers = Registers {
            device,
            version: 0,
            vga,
        };
        let id = registers.read(Index::Id)?;
        if !KNOWN.contains(&id) {
            return Err(ProbeError::WrongId(id));
        }
        registers.version = id;
        Ok(registers)
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// It is a VGA too, with the habits of one.
    pub fn is_vga(&self) -> bool {
        self.vga
    }

    /// Version of the interface, `0xb0c0` to `0xb0c5`.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// Reads a register.
    pub fn read(&self, index: Index) -> driver_sys::Result<u16> {
        let at = DISPI + 2 * index as u64;
        let value = self.device.bar_read(MMIO_BAR, at, Width::U16)?;
        Ok(u16::try_from(value & 0xffff).unwrap_or(0))
    }

    /// Writes a register.
    pub fn write(&self, index: Index, value: u16) -> driver_sys::Result<()> {
        let at = DISPI + 2 * index as u64;
        self.device
            .bar_write(MMIO_BAR, at, Width::U16, value.into())
    }

    /// Bytes of video memory: what the adapter tells, within the BAR.
    pub fn video_memory(&self) -> Result<u64, ProbeError> {
        let info = self.device.bar_info(VRAM_BAR)?;
        if !matches!(info.kind, BarKind::Memory { .. }) || info.size == 0 {
            return Err(ProbeError::NoMemory(info.kind));
        }
        if self.version < TELLS_MEMORY {
            return Ok(info.size);
        }
        match self.read(Index::VideoMemory)? {
            0 | u16::MAX => Ok(info.size),
            units => Ok(info.size.min(u64::from(units) << 16)),
        }
    }

    fn vga_write(&self, port: u64, value: u8) -> driver_sys::Result<()> {
        let at = VGA + port - FIRST_PORT;
        self.device.bar_write(MMIO_BAR, at, Width::U8, value.into())
    }

    /// Lets a VGA's picture out, or not. Nothing to do for an adapter that is none.
    pub fn show(&self, shown: bool) -> driver_sys::Result<()> {
        if !self.vga {
            return Ok(());
        }
        // Ports at their addresses for colour, then the attribute controller's latch reset.
        self.vga_write(0x3c2, 1)?;
        self.device
            .bar_read(MMIO_BAR, VGA + 0x3da - FIRST_PORT, Width::U8)?;
        self.vga_write(0x3c0, if shown { 0x20 } else { 0 })
    }

    /// The monitor's EDID as it lies there; empty where there is none.
    pub fn edid(&self) -> driver_sys::Result<Vec<u8>> {
        const HEADER: [u8; 8] = [0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0];
        let mut edid = vec![0; EDID_BLOCK];
        self.device.bar_read_bytes(MMIO_BAR, 0, &mut edid)?;
        if !edid.starts_with(&HEADER) {
            return Ok(Vec::new());
        }
        let blocks = 1 + usize::from(edid[EDID_BLOCK - 2]);
        edid.resize((blocks * EDID_BLOCK).min(EDID_MAX), 0);
        let (first, rest) = (EDID_BLOCK as u64, &mut edid[EDID_BLOCK..]);
        self.device.bar_read_bytes(MMIO_BAR, first, rest)?;
        Ok(edid)
    }
}
