// SPDX-License-Identifier: MIT
//! The seam between the vfio-user server and what it serves: one PCI function.
//!
//! A model (`dispi`) or the bridge to QEMU implements [`PciFunction`]; [`crate::server::serve`]
//! offers it on a socket. The server has checked offsets and sizes against [`RegionInfo`] before
//! it calls, so an implementation need not fear them; it still may refuse anything.

use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Region indexes, as VFIO's for PCI: 0 to 5 are the BARs.
pub const REGION_ROM: u32 = 6;
/// Configuration space.
pub const REGION_CONFIG: u32 = 7;
/// Legacy VGA ranges.
pub const REGION_VGA: u32 = 8;
/// How many regions a PCI function has.
pub const REGION_COUNT: u32 = 9;
/// A region after those of PCI: the file that holds all memory the function reaches by DMA, to be
/// mapped; byte N of it is at IOVA N. Only functions that can't reach a client's own files have it.
pub const REGION_RAM: u32 = driver_sys::vfio_user::proto::REGION_RAM;

/// Interrupt indexes, as VFIO's for PCI.
pub const IRQ_INTX: u32 = 0;
/// Message-signalled interrupts.
pub const IRQ_MSI: u32 = 1;
/// Extended message-signalled interrupts.
pub const IRQ_MSIX: u32 = 2;
/// Error interrupt.
pub const IRQ_ERR: u32 = 3;
/// Request to let the device go.
pub const IRQ_REQ: u32 = 4;
/// How many interrupt indexes a PCI function has.
pub const IRQ_COUNT: u32 = 5;

/// Why an access was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The client gets an error reply with this errno (positive, Linux's numbers).
    Errno(i32),
    /// The client gets no reply at all: the hardware hangs.
    NoAnswer,
}

impl Refused {
    /// EINVAL: the request makes no sense for this function.
    pub const INVALID: Refused = Refused::Errno(22);
    /// EOPNOTSUPP: this function has no such thing.
    pub const UNSUPPORTED: Refused = Refused::Errno(95);
    /// EIO: the device behind did not do it.
    pub const IO: Refused = Refused::Errno(5);
}

/// A part of a region that may be mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SparseArea {
    /// Bytes from the start of the region.
    pub offset: u64,
    /// Length in bytes.
    pub size: u64,
}

/// The file behind a region that clients may map.
#[derive(Debug, Clone)]
pub struct RegionMmap {
    /// The file; clients get a duplicate.
    pub file: Arc<OwnedFd>,
    /// Where the region starts in the file, in bytes.
    pub offset: u64,
    /// Which parts may be mapped; empty means all of it.
    pub sparse: Vec<SparseArea>,
}

/// One region: a BAR, the ROM, configuration space.
#[derive(Debug, Clone, Default)]
pub struct RegionInfo {
    /// Size in bytes; 0 when the function has no such region.
    pub size: u64,
    /// Reads are possible.
    pub read: bool,
    /// Writes are possible.
    pub write: bool,
    /// Set when it can be mapped.
    pub mmap: Option<RegionMmap>,
}

/// What a client lets the device do with a piece of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DmaProt {
    /// The device may read it.
    pub read: bool,
    /// The device may write it.
    pub write: bool,
}

/// One PCI function, as hardware: it keeps its state when clients come and go.
pub trait PciFunction: Send {
    /// Reads configuration space; `offset + data.len()` is within region 7.
    fn config_read(&mut self, offset: usize, data: &mut [u8]) -> Result<(), Refused>;

    /// Writes configuration space; `offset + data.len()` is within region 7.
    fn config_write(&mut self, offset: usize, data: &[u8]) -> Result<(), Refused>;

    /// How many regions there are: more than PCI's when there is a [`REGION_RAM`].
    fn region_count(&self) -> u32 {
        REGION_COUNT
    }

    /// What region `index` is. Configuration space is 256 or 4096 bytes.
    fn region(&self, index: u32) -> RegionInfo;

    /// Reads a region other than configuration space, within its size.
    fn region_read(&mut self, index: u32, offset: u64, data: &mut [u8]) -> Result<(), Refused>;

    /// Writes a region other than configuration space, within its size.
    fn region_write(&mut self, index: u32, offset: u64, data: &[u8]) -> Result<(), Refused>;

    /// How many vectors interrupt `index` (0 to 4) has; 0 when there is none.
    fn irq_count(&self, _index: u32) -> u32 {
        0
    }

    /// Sets the eventfds of vectors `start..start + fds.len()`; `None` takes one away.
    /// The range is within [`Self::irq_count`].
    fn set_irqs(
        &mut self,
        _index: u32,
        _start: u32,
        _fds: Vec<Option<OwnedFd>>,
    ) -> Result<(), Refused> {
        Err(Refused::UNSUPPORTED)
    }

    /// Masks or unmasks vectors; INTx masks itself when it fires and waits for this.
    fn mask_irqs(
        &mut self,
        _index: u32,
        _start: u32,
        _count: u32,
        _masked: bool,
    ) -> Result<(), Refused> {
        Err(Refused::UNSUPPORTED)
    }

    /// Lets the device reach `size` bytes at `iova`. Without a file the client expects messages
    /// instead of shared memory, which a function may refuse. The server refuses overlaps.
    fn dma_map(
        &mut self,
        iova: u64,
        size: u64,
        prot: DmaProt,
        file: Option<(OwnedFd, u64)>,
    ) -> Result<(), Refused>;

    /// Ends a mapping made by [`Self::dma_map`], with the same `iova` and `size`.
    fn dma_unmap(&mut self, iova: u64, size: u64) -> Result<(), Refused>;

    /// Bus reset: everything as after power-on, but for the contents of video memory.
    fn reset(&mut self) -> Result<(), Refused>;
}
