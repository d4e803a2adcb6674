// SPDX-License-Identifier: MIT
//! The one API that drivers, the host and the worker use for a PCI function.

use std::fmt::Debug;
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::address::PciAddress;
use crate::bar::{BarInfo, Width};
use crate::dma::DmaBuffer;
use crate::error::{Error, Result};
use crate::irq::{IrqInfo, IrqKind};
use crate::mapping::Mapping;

/// One PCI function. Any number of threads may use it at once.
///
/// After the device was unplugged every call fails with [`Error::Gone`]; mappings stay readable.
pub trait PciDevice: Send + Sync + Debug {
    /// Where the function is.
    fn address(&self) -> PciAddress;

    /// Reads configuration space: up to 256 bytes from `offset`, or 4096 with PCI Express.
    ///
    /// # Errors
    /// `OutOfRange`, or what the backend met with.
    fn config_read(&self, offset: usize, data: &mut [u8]) -> Result<()>;

    /// Writes configuration space.
    ///
    /// # Errors
    /// As [`Self::config_read`].
    fn config_write(&self, offset: usize, data: &[u8]) -> Result<()>;

    /// What BAR `bar` (0 to 5) is; kind `None` when it is not implemented.
    ///
    /// # Errors
    /// `Invalid` for a number above 5, or what the backend met with.
    fn bar_info(&self, bar: u8) -> Result<BarInfo>;

    /// Maps all of a BAR. The mapping lives until dropped, also past the device's end.
    ///
    /// # Errors
    /// `Unsupported` when the BAR can't be mapped; then use [`Self::bar_read`].
    fn bar_map(&self, bar: u8) -> Result<Mapping>;

    /// Reads one register of a BAR that can't be mapped, or a port.
    ///
    /// # Errors
    /// `OutOfRange`, `TimedOut` when the hardware hangs, or what the backend met with.
    fn bar_read(&self, bar: u8, offset: u64, width: Width) -> Result<u64>;

    /// Reads bytes of a BAR that lie there as in a file (an EDID block, a table): in accesses of
    /// any width, and at once where the backend can, for each may be a round trip.
    ///
    /// # Errors
    /// As [`Self::bar_read`].
    fn bar_read_bytes(&self, bar: u8, offset: u64, data: &mut [u8]) -> Result<()> {
        let mut at = offset;
        while let Some(left) = data.get_mut((at - offset) as usize..)
            && !left.is_empty()
        {
            let word = left.len() >= 4 && at.is_multiple_of(4);
            let width = if word { Width::U32 } else { Width::U8 };
            let value = self.bar_read(bar, at, width)?.to_le_bytes();
            left[..width.bytes()].copy_from_slice(&value[..width.bytes()]);
            at += width.bytes() as u64;
        }
        Ok(())
    }

    /// Writes one register of a BAR that can't be mapped, or a port; higher bytes are ignored.
    ///
    /// # Errors
    /// As [`Self::bar_read`].
    fn bar_write(&self, bar: u8, offset: u64, width: Width, value: u64) -> Result<()>;

    /// How many interrupts of a kind there are.
    ///
    /// # Errors
    /// What the backend met with; a kind that the device lacks is a count of 0, no error.
    fn irq_info(&self, kind: IrqKind) -> Result<IrqInfo>;

    /// Turns on vectors `0..count` and returns a descriptor for each, readable (8 bytes, a native
    /// `u64` count) when it has fired.
    ///
    /// # Errors
    /// `Invalid` when there are not as many vectors.
    fn irq_enable(&self, kind: IrqKind, count: u32) -> Result<Vec<OwnedFd>>;

    /// Turns off all vectors of a kind.
    ///
    /// # Errors
    /// What the backend met with.
    fn irq_disable(&self, kind: IrqKind) -> Result<()>;

    /// Lets a vector that masked itself fire again.
    ///
    /// # Errors
    /// What the backend met with.
    fn irq_unmask(&self, kind: IrqKind, vector: u32) -> Result<()>;

    /// Makes zeroed memory of at least `size` bytes, with an IOVA that is a multiple of `align`
    /// (a power of two; at least a page is used).
    ///
    /// # Errors
    /// `Invalid` for 0 bytes or a bad alignment, or what the backend met with.
    fn dma_alloc(&self, size: usize, align: usize) -> Result<DmaBuffer>;

    /// Lets the device reach memory of a file that somebody else made; returns the IOVA.
    /// `offset` and `size` are multiples of the page size.
    ///
    /// # Errors
    /// `Invalid` for parameters, `Unsupported` where only [`Self::dma_alloc`]'s memory can be
    /// reached.
    fn dma_map(&self, file: BorrowedFd<'_>, offset: u64, size: u64) -> Result<u64>;

    /// Ends what [`Self::dma_alloc`] or [`Self::dma_map`] began, by its IOVA. Drop the buffer's
    /// mapping first: in a plugin it goes with the memory.
    ///
    /// # Errors
    /// `Invalid` when nothing starts at that IOVA, or its mapping is still held in a plugin.
    fn dma_unmap(&self, iova: u64) -> Result<()>;

    /// Resets the function (FLR or bus reset). Configuration space is as after power-on then.
    ///
    /// # Errors
    /// `Unsupported` when there is no way to reset it.
    fn reset(&self) -> Result<()>;

    /// A descriptor to hand over to another process, which rebuilds the device from it
    /// (for vfio-user: `Client::from_connected`). The two must not use it at once.
    ///
    /// # Errors
    /// `Unsupported` for a backend that can't be handed over.
    fn handover(&self) -> Result<OwnedFd> {
        Err(Error::Unsupported {
            what: format!("{}: hand over", self.address()),
            why: "this backend has no descriptor of its own".into(),
        })
    }
}
