// SPDX-License-Identifier: MIT
//! What the tests share: a running machine, and a toy device with DMA and an interrupt.

#![allow(dead_code)] // each test binary uses a part

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use drvhost_sim::function::{
    DmaProt, IRQ_MSI, PciFunction, REGION_CONFIG, REGION_COUNT, REGION_RAM, Refused, RegionInfo,
    RegionMmap,
};
use drvhost_sim::machine::Machine;
use drvhost_sim::running::Running;

/// Where the machines' display is.
pub const DISPLAY: &str = "0000:00:02.0";

/// Starts a machine with two displays.
pub fn machine(dir: &Path) -> Running {
    let text = "(devices: [(address: \"0000:00:02.0\", model: BochsDisplay()), \
                (address: \"0000:00:03.0\", model: BochsDisplay(vram_mib: 1))])";
    Running::start(&Machine::parse(text, Path::new("test")).unwrap(), dir).unwrap()
}

/// Bytes of the toy's own memory.
pub const RAM_SIZE: u64 = 4 << 20;

/// The same in every run (xorshift).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn bytes(&mut self, most: u64) -> Vec<u8> {
        (0..self.below(most + 1))
            .map(|_| self.next() as u8)
            .collect()
    }
}

/// How many descriptors this process has open.
pub fn open_fds() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// What the toy tells a test.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    Unmapped(u64, u64),
    IrqsOff,
}

/// A device whose BAR 0 has: 0x00, written: copies 8 bytes from that IOVA to the next 8 and
/// fires vector 0; 0x10: refuses reads with EIO; 0x18: never answers.
pub struct Toy {
    pub events: Sender<Event>,
    pub mappings: BTreeMap<u64, (u64, OwnedFd, u64)>,
    pub irqs: Vec<Option<OwnedFd>>,
    /// Memory of the machine's own, as behind the bridge; its first 2 MiB are somebody else's.
    pub ram: Option<Arc<OwnedFd>>,
}

impl Toy {
    pub fn new(events: Sender<Event>) -> Self {
        Self {
            events,
            mappings: BTreeMap::new(),
            irqs: (0..20).map(|_| None).collect(),
            ram: None,
        }
    }

    fn copy(&self, iova: u64) -> Result<(), Refused> {
        let found = self.mappings.range(..=iova).next_back();
        let (start, (size, file, offset)) = found.ok_or(Refused::IO)?;
        if iova + 16 > start + size {
            return Err(Refused::IO);
        }
        let mut bytes = [0; 8];
        let at = offset + (iova - start);
        rustix::io::pread(file, &mut bytes, at).map_err(|_| Refused::IO)?;
        rustix::io::pwrite(file, &bytes, at + 8).map_err(|_| Refused::IO)?;
        if let Some(eventfd) = &self.irqs[0] {
            rustix::io::write(eventfd, &1u64.to_ne_bytes()).map_err(|_| Refused::IO)?;
        }
        Ok(())
    }
}

impl PciFunction for Toy {
    fn config_read(&mut self, _offset: usize, data: &mut [u8]) -> Result<(), Refused> {
        data.fill(0);
        Ok(())
    }

    fn config_write(&mut self, _offset: usize, _data: &[u8]) -> Result<(), Refused> {
        Ok(())
    }

    fn region_count(&self) -> u32 {
        if self.ram.is_some() {
            REGION_RAM + 1
        } else {
            REGION_COUNT
        }
    }

    fn region(&self, index: u32) -> RegionInfo {
        if let (REGION_RAM, Some(file)) = (index, &self.ram) {
            let mmap = Some(RegionMmap {
                file: file.clone(),
                offset: 0,
                sparse: Vec::new(),
            });
            return RegionInfo {
                size: RAM_SIZE,
                read: false,
                write: false,
                mmap,
            };
        }
        let size = match index {
            0 => 0x20,
            REGION_CONFIG => 256,
            _ => 0,
        };
        RegionInfo {
            size,
            read: true,
            write: true,
            mmap: None,
        }
    }

    fn region_read(&mut self, _: u32, offset: u64, data: &mut [u8]) -> Result<(), Refused> {
        match offset {
            0x10 => Err(Refused::IO),
            0x18 => Err(Refused::NoAnswer),
            _ => {
                data.fill(0x5a);
                Ok(())
            }
        }
    }

    fn region_write(&mut self, _: u32, offset: u64, data: &[u8]) -> Result<(), Refused> {
        match <[u8; 8]>::try_from(data) {
            Ok(bytes) if offset == 0 => self.copy(u64::from_le_bytes(bytes)),
            _ => Err(Refused::INVALID),
        }
    }

    fn irq_count(&self, index: u32) -> u32 {
        if index == IRQ_MSI {
            self.irqs.len() as u32
        } else {
            0
        }
    }

    fn set_irqs(
        &mut self,
        _index: u32,
        start: u32,
        fds: Vec<Option<OwnedFd>>,
    ) -> Result<(), Refused> {
        for (slot, fd) in self.irqs[start as usize..].iter_mut().zip(fds) {
            *slot = fd;
        }
        if self.irqs.iter().all(Option::is_none) {
            let _ = self.events.send(Event::IrqsOff);
        }
        Ok(())
    }

    fn dma_map(
        &mut self,
        iova: u64,
        size: u64,
        _prot: DmaProt,
        file: Option<(OwnedFd, u64)>,
    ) -> Result<(), Refused> {
        let (file, offset) = file.ok_or(Refused::UNSUPPORTED)?;
        if self.ram.is_some() && iova < 2 << 20 {
            return Err(Refused::Errno(17));
        }
        self.mappings.insert(iova, (size, file, offset));
        Ok(())
    }

    fn dma_unmap(&mut self, iova: u64, size: u64) -> Result<(), Refused> {
        self.mappings.remove(&iova).ok_or(Refused::INVALID)?;
        let _ = self.events.send(Event::Unmapped(iova, size));
        Ok(())
    }

    fn reset(&mut self) -> Result<(), Refused> {
        Ok(())
    }
}
