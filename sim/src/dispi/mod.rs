// SPDX-License-Identifier: MIT
//! The Bochs DISPI display (1234:1111) as QEMU's `bochs-display` behaves.
//!
//! Linear video memory in BAR0, registers in BAR2 (`registers`), configuration space (`config`),
//! and the monitor at its output (`scanout`). It has no interrupt, no cursor and no DMA.
//! Register behaviour was observed on QEMU 7.2 through qtest, odd widths included.

pub mod config;
mod fault;
pub mod registers;
pub mod scanout;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use driver_sys::Mapping;
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};

pub use fault::Fault;
use fault::Noise;

use crate::function::{DmaProt, PciFunction, REGION_CONFIG, Refused, RegionInfo, RegionMmap};
use config::ConfigSpace;
use registers::Registers;
use scanout::{Mode, Picture};

/// Most of BAR2 that an EDID may take: the other registers start behind.
pub const EDID_MAX: usize = 0x400;
/// The window that an EDID is read through is this large even when the EDID is shorter.
const EDID_WINDOW: usize = 0x100;
/// Size of BAR2.
pub const MMIO_SIZE: u64 = 0x1000;
const VRAM_BAR: u32 = 0;
const MMIO_BAR: u32 = 2;

/// One display adapter with its monitor.
#[derive(Debug)]
pub struct Display {
    config: ConfigSpace,
    registers: Registers,
    vram_file: Arc<OwnedFd>,
    vram: Mapping,
    /// The window's content; `None` when no monitor is plugged in.
    edid: Option<Vec<u8>>,
    fault: Option<(Fault, Noise)>,
}

impl Display {
    /// Makes an adapter with `vram_size` bytes of video memory (a power of two from 1 MiB to
    /// 256 MiB), all zero, and a monitor that says `edid`.
    ///
    /// # Errors
    /// `InvalidInput` for sizes outside of the limits, or what the system says about memory.
    pub fn new(vram_size: u64, edid: Option<&[u8]>) -> io::Result<Self> {
        let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
        if !vram_size.is_power_of_two() || !(1 << 20..=256 << 20).contains(&vram_size) {
            return Err(invalid(format!(
                "video memory of {vram_size} bytes; use a power of two from 1 MiB to 256 MiB"
            )));
        }
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = rustix::fs::memfd_create("vram", flags)?;
        rustix::fs::ftruncate(&file, vram_size)?;
        // Clients get this file: none may take the memory away from the others.
        rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let vram = Mapping::new(file.as_fd(), 0, vram_size as usize)
            .map_err(|error| invalid(error.to_string()))?;
        let mut display = Self {
            config: ConfigSpace::new(vram_size),
            registers: Registers::new(vram_size),
            vram_file: Arc::new(file),
            vram,
            edid: None,
            fault: None,
        };
        display.set_edid(edid)?;
        Ok(display)
    }

    /// Plugs a monitor in, or another one, or none. This hardware does not tell the driver.
    ///
    /// # Errors
    /// `InvalidInput` for more than [`EDID_MAX`] bytes.
    pub fn set_edid(&mut self, edid: Option<&[u8]>) -> io::Result<()> {
        if edid.is_some_and(|bytes| bytes.len() > EDID_MAX) {
            let why = format!("an EDID has {EDID_MAX} bytes at most here");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        self.edid = edid.map(|bytes| {
            let mut window = bytes.to_vec();
            window.resize(window.len().max(EDID_WINDOW), 0);
            window
        });
        Ok(())
    }

    /// Whether a monitor is plugged in.
    pub fn has_monitor(&self) -> bool {
        self.edid.is_some()
    }

    /// Puts the device into a bad state that only a reset ends.
    pub fn break_down(&mut self, fault: Fault) {
        self.fault = Some((fault, Noise::default()));
    }

    /// The bad state it is in.
    pub fn fault(&self) -> Option<Fault> {
        self.fault.as_ref().map(|(fault, _)| *fault)
    }

    /// The mode that the registers describe; `None` when nothing is shown.
    pub fn mode(&self) -> Option<Mode> {
        scanout::mode(&self.registers, self.vram.len() as u64)
    }

    /// What the monitor shows: the visible part of video memory, or black.
    pub fn picture(&self) -> Picture {
        scanout::picture(self.mode(), &self.vram)
    }

    /// Registers, configuration space and video memory as after power-on; the monitor stays.
    pub fn power_on(&mut self) {
        self.restart();
        // Gives the pages back, which is quicker than writing zeros to all of them.
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let length = self.vram.len() as u64;
        if let Err(error) = rustix::fs::fallocate(&*self.vram_file, flags, 0, length) {
            log::warn!("clear video memory: {error}");
        }
    }

    fn restart(&mut self) {
        let vram_size = self.vram.len() as u64;
        self.config = ConfigSpace::new(vram_size);
        self.registers = Registers::new(vram_size);
        self.fault = None;
    }

    /// The video memory, for tests that paint without a client.
    pub fn vram(&self) -> &Mapping {
        &self.vram
    }

    fn mmio_read(&mut self, offset: u64, data: &mut [u8]) -> Result<(), Refused> {
        for (at, part) in registers::split(offset, data.len()) {
            let bytes = &mut data[part];
            let value = match (&mut self.fault, self.edid.as_deref()) {
                (_, Some(edid)) if (at as usize) < edid.len() => {
                    // Splits are aligned, so an access ends inside of the window or before it.
                    let from = at as usize;
                    let mut word = [0xff; 4];
                    let take = bytes.len().min(edid.len() - from);
                    word[..take].copy_from_slice(&edid[from..from + take]);
                    u32::from_le_bytes(word)
                }
                (Some((Fault::Stuck, _)), _) => u32::MAX,
                (Some((Fault::Noise, noise)), _) => noise.next(),
                (Some((Fault::Hang, _)), _) => return Err(Refused::NoAnswer),
                (None, _) => self.registers.read(at, bytes.len()),
            };
            bytes.copy_from_slice(&value.to_le_bytes()[..bytes.len()]);
        }
        Ok(())
    }

    fn mmio_write(&mut self, offset: u64, data: &[u8]) -> Result<(), Refused> {
        if let Some((fault, _)) = &self.fault {
            return if *fault == Fault::Hang {
                Err(Refused::NoAnswer)
            } else {
                Ok(())
            };
        }
        for (at, part) in registers::split(offset, data.len()) {
            let mut word = [0; 4];
            let bytes = &data[part];
            word[..bytes.len()].copy_from_slice(bytes);
            self.registers
                .write(at, bytes.len(), u32::from_le_bytes(word));
        }
        Ok(())
    }
}

impl PciFunction for Display {
    fn config_read(&mut self, offset: usize, data: &mut [u8]) -> Result<(), Refused> {
        self.config.read(offset, data);
        Ok(())
    }

    fn config_write(&mut self, offset: usize, data: &[u8]) -> Result<(), Refused> {
        self.config.write(offset, data);
        Ok(())
    }

    fn region(&self, index: u32) -> RegionInfo {
        let size = match index {
            VRAM_BAR => self.vram.len() as u64,
            MMIO_BAR => MMIO_SIZE,
            REGION_CONFIG => config::SIZE as u64,
            _ => return RegionInfo::default(),
        };
        let mmap = (index == VRAM_BAR).then(|| RegionMmap {
            file: self.vram_file.clone(),
            offset: 0,
            sparse: Vec::new(),
        });
        RegionInfo {
            size,
            read: true,
            write: true,
            mmap,
        }
    }

    fn region_read(&mut self, index: u32, offset: u64, data: &mut [u8]) -> Result<(), Refused> {
        match index {
            VRAM_BAR => self
                .vram
                .read_slice(offset as usize, data)
                .map_err(|_| Refused::INVALID),
            MMIO_BAR => self.mmio_read(offset, data),
            _ => Err(Refused::INVALID),
        }
    }

    fn region_write(&mut self, index: u32, offset: u64, data: &[u8]) -> Result<(), Refused> {
        match index {
            VRAM_BAR => self
                .vram
                .write_slice(offset as usize, data)
                .map_err(|_| Refused::INVALID),
            MMIO_BAR => self.mmio_write(offset, data),
            _ => Err(Refused::INVALID),
        }
    }

    /// The adapter starts no DMA; that memory is within its reach changes nothing.
    fn dma_map(
        &mut self,
        _iova: u64,
        _size: u64,
        _prot: DmaProt,
        _file: Option<(OwnedFd, u64)>,
    ) -> Result<(), Refused> {
        Ok(())
    }

    fn dma_unmap(&mut self, _iova: u64, _size: u64) -> Result<(), Refused> {
        Ok(())
    }

    fn reset(&mut self) -> Result<(), Refused> {
        self.restart();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
