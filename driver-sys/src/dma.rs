// SPDX-License-Identifier: MIT
//! Memory that a device can reach.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::mapping::Mapping;

/// Memory shared by a driver and its device.
///
/// Promises no more than (file, offset, IOVA): the file may hold other things too, the memory may
/// or may not be contiguous elsewhere, and an IOVA is an address for this device alone.
/// Ends with [`crate::PciDevice::dma_unmap`] or with the device's connection, not on drop: a
/// device must never write to memory that has become something else.
#[derive(Debug)]
pub struct DmaBuffer {
    /// The file that holds the memory; `None` in a plugin, whose host keeps the file.
    pub file: Option<Arc<OwnedFd>>,
    /// The host's id of the memory in a plugin, for its `buffer_open` and `mmap`; 0 elsewhere.
    pub buffer: u64,
    /// Where in the file it starts, in bytes.
    pub offset: u64,
    /// Where the device sees it.
    pub iova: u64,
    /// Where the driver sees it; its length is the buffer's.
    pub mapping: Mapping,
}
