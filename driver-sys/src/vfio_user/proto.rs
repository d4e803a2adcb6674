// SPDX-License-Identifier: MIT
//! The messages of vfio-user: numbers and structs, in the byte order of the machine.
//!
//! Source: the vfio-user protocol specification (versions 0.0 and 0.1), whose structs follow
//! `linux/vfio.h`. Every struct is plain data; nothing in it has been checked.

// The derives make helper types of their own, without Debug; our structs all have it.
#![allow(missing_debug_implementations)]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Protocol version that must match.
pub const MAJOR: u16 = 0;
/// Protocol version that we offer; a peer may answer with less.
pub const MINOR: u16 = 1;

/// Agrees on version and limits.
pub const VERSION: u16 = 1;
/// Lets the device reach memory.
pub const DMA_MAP: u16 = 2;
/// Ends that.
pub const DMA_UNMAP: u16 = 3;
/// Asks how many regions and interrupts there are.
pub const DEVICE_GET_INFO: u16 = 4;
/// Asks about a region.
pub const DEVICE_GET_REGION_INFO: u16 = 5;
/// Asks about an interrupt index.
pub const DEVICE_GET_IRQ_INFO: u16 = 7;
/// Sets eventfds, masks, unmasks.
pub const DEVICE_SET_IRQS: u16 = 8;
/// Reads a region.
pub const REGION_READ: u16 = 9;
/// Writes a region.
pub const REGION_WRITE: u16 = 10;
/// Resets the device.
pub const DEVICE_RESET: u16 = 13;

/// Header flag: message type, the lower four bits.
pub const TYPE_MASK: u32 = 0xf;
/// Message type of a request.
pub const TYPE_COMMAND: u32 = 0;
/// Message type of an answer.
pub const TYPE_REPLY: u32 = 1;
/// Header flag of a request: no answer wanted.
pub const NO_REPLY: u32 = 1 << 4;
/// Header flag of an answer: `error` holds an errno.
pub const ERROR: u32 = 1 << 5;

/// What is moved by one message when nothing else was agreed (specification: 1 MiB).
pub const DEFAULT_MAX_TRANSFER: u32 = 1 << 20;
/// How many descriptors one message carries when nothing else was agreed.
pub const DEFAULT_MAX_FDS: u32 = 1;
/// How many descriptors one message carries with us.
pub const MAX_FDS: usize = 16;
/// No message is longer than this, header included.
pub const MAX_MESSAGE: u32 = DEFAULT_MAX_TRANSFER + 4096;

/// Device flag: can be reset.
pub const DEVICE_FLAGS_RESET: u32 = 1 << 0;
/// Device flag: is a PCI function.
pub const DEVICE_FLAGS_PCI: u32 = 1 << 1;

/// A region after those of PCI, of ours: the file that holds all memory the device reaches by
/// DMA; byte N is at IOVA N. A client claims parts of it with DMA_MAP; EEXIST: try elsewhere.
pub const REGION_RAM: u32 = 9;

/// Region flag: can be read.
pub const REGION_FLAG_READ: u32 = 1 << 0;
/// Region flag: can be written.
pub const REGION_FLAG_WRITE: u32 = 1 << 1;
/// Region flag: can be mapped.
pub const REGION_FLAG_MMAP: u32 = 1 << 2;
/// Region flag: capabilities follow.
pub const REGION_FLAG_CAPS: u32 = 1 << 3;
/// Region capability: only parts can be mapped.
pub const REGION_CAP_SPARSE_MMAP: u16 = 1;

/// IRQ info flag: works with eventfds.
pub const IRQ_INFO_EVENTFD: u32 = 1 << 0;
/// IRQ info flag: can be masked.
pub const IRQ_INFO_MASKABLE: u32 = 1 << 1;
/// IRQ info flag: masks itself when it fires.
pub const IRQ_INFO_AUTOMASKED: u32 = 1 << 2;

/// SET_IRQS flag: no data, all of the range.
pub const IRQ_SET_DATA_NONE: u32 = 1 << 0;
/// SET_IRQS flag: one byte each says whether.
pub const IRQ_SET_DATA_BOOL: u32 = 1 << 1;
/// SET_IRQS flag: a descriptor each.
pub const IRQ_SET_DATA_EVENTFD: u32 = 1 << 2;
/// SET_IRQS flag: mask.
pub const IRQ_SET_MASK: u32 = 1 << 3;
/// SET_IRQS flag: unmask.
pub const IRQ_SET_UNMASK: u32 = 1 << 4;
/// SET_IRQS flag: set up or fire.
pub const IRQ_SET_TRIGGER: u32 = 1 << 5;

/// DMA_MAP flag: the device may read.
pub const DMA_READ: u32 = 1 << 0;
/// DMA_MAP flag: the device may write.
pub const DMA_WRITE: u32 = 1 << 1;

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable,
            KnownLayout,
        )]
        #[repr(C)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
    )*};
}

messages! {
    /// Starts every message.
    Header {
        /// Chosen by the sender of the request, repeated in the answer.
        id: u16,
        /// One of the commands above.
        command: u16,
        /// Bytes of the whole message, header included.
        size: u32,
        /// Type and flags.
        flags: u32,
        /// Errno of an answer with [`ERROR`].
        error: u32,
    }
    /// Starts a VERSION message; JSON with a final zero byte follows.
    Version {
        /// Must match.
        major: u16,
        /// The lower of the two holds.
        minor: u16,
    }
    /// DMA_MAP; the descriptor travels beside it.
    DmaMap {
        /// Size of this struct.
        argsz: u32,
        /// Access rights.
        flags: u32,
        /// Where in the file, in bytes.
        offset: u64,
        /// IOVA.
        address: u64,
        /// Bytes.
        size: u64,
    }
    /// DMA_UNMAP.
    DmaUnmap {
        /// Size of this struct.
        argsz: u32,
        /// None defined that we use.
        flags: u32,
        /// IOVA.
        address: u64,
        /// Bytes, as mapped.
        size: u64,
    }
    /// DEVICE_GET_INFO.
    DeviceInfo {
        /// Size of this struct.
        argsz: u32,
        /// Device flags.
        flags: u32,
        /// How many region indexes.
        num_regions: u32,
        /// How many interrupt indexes.
        num_irqs: u32,
    }
    /// DEVICE_GET_REGION_INFO; capabilities may follow.
    RegionInfo {
        /// Bytes there is room for; in the answer, bytes there are.
        argsz: u32,
        /// Region flags.
        flags: u32,
        /// Which region.
        index: u32,
        /// Where the first capability starts, from the start of this struct.
        cap_offset: u32,
        /// Bytes of the region.
        size: u64,
        /// Where in the file the region starts.
        offset: u64,
    }
    /// Starts a region capability.
    CapHeader {
        /// Which.
        id: u16,
        /// Of what version.
        version: u16,
        /// Where the next one starts, from the start of the region info; 0 for none.
        next: u32,
    }
    /// Follows the header of a sparse mmap capability; the areas follow.
    SparseMmap {
        /// How many areas.
        nr_areas: u32,
        /// Zero.
        reserved: u32,
    }
    /// One area of a sparse mmap capability.
    SparseArea {
        /// Bytes from the start of the region.
        offset: u64,
        /// Bytes.
        size: u64,
    }
    /// DEVICE_GET_IRQ_INFO.
    IrqInfo {
        /// Size of this struct.
        argsz: u32,
        /// IRQ info flags.
        flags: u32,
        /// Which interrupt index.
        index: u32,
        /// How many vectors.
        count: u32,
    }
    /// DEVICE_SET_IRQS; data may follow, descriptors travel beside it.
    IrqSet {
        /// Size of this struct and the data.
        argsz: u32,
        /// IRQ set flags.
        flags: u32,
        /// Which interrupt index.
        index: u32,
        /// First vector.
        start: u32,
        /// How many vectors.
        count: u32,
    }
    /// REGION_READ and REGION_WRITE; data follows the answer of the one, the request of the other.
    RegionAccess {
        /// Bytes from the start of the region.
        offset: u64,
        /// Which region.
        region: u32,
        /// Bytes.
        count: u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vfio_bindings::bindings::vfio as linux;

    #[test]
    fn structs_and_numbers_are_linuxs() {
        assert_eq!(size_of::<Header>(), 16);
        assert_eq!(size_of::<RegionAccess>(), 16);
        assert_eq!(
            size_of::<RegionInfo>(),
            size_of::<linux::vfio_region_info>()
        );
        assert_eq!(size_of::<IrqInfo>(), size_of::<linux::vfio_irq_info>());
        assert_eq!(size_of::<IrqSet>(), size_of::<linux::vfio_irq_set>());
        assert_eq!(
            size_of::<CapHeader>(),
            size_of::<linux::vfio_info_cap_header>()
        );
        assert_eq!(
            size_of::<SparseArea>(),
            size_of::<linux::vfio_region_sparse_mmap_area>()
        );
        for (ours, theirs) in [
            (DEVICE_FLAGS_RESET, linux::VFIO_DEVICE_FLAGS_RESET),
            (DEVICE_FLAGS_PCI, linux::VFIO_DEVICE_FLAGS_PCI),
            (REGION_FLAG_READ, linux::VFIO_REGION_INFO_FLAG_READ),
            (REGION_FLAG_WRITE, linux::VFIO_REGION_INFO_FLAG_WRITE),
            (REGION_FLAG_MMAP, linux::VFIO_REGION_INFO_FLAG_MMAP),
            (REGION_FLAG_CAPS, linux::VFIO_REGION_INFO_FLAG_CAPS),
            (
                REGION_CAP_SPARSE_MMAP.into(),
                linux::VFIO_REGION_INFO_CAP_SPARSE_MMAP,
            ),
            (IRQ_INFO_EVENTFD, linux::VFIO_IRQ_INFO_EVENTFD),
            (IRQ_INFO_MASKABLE, linux::VFIO_IRQ_INFO_MASKABLE),
            (IRQ_INFO_AUTOMASKED, linux::VFIO_IRQ_INFO_AUTOMASKED),
            (IRQ_SET_DATA_NONE, linux::VFIO_IRQ_SET_DATA_NONE),
            (IRQ_SET_DATA_BOOL, linux::VFIO_IRQ_SET_DATA_BOOL),
            (IRQ_SET_DATA_EVENTFD, linux::VFIO_IRQ_SET_DATA_EVENTFD),
            (IRQ_SET_MASK, linux::VFIO_IRQ_SET_ACTION_MASK),
            (IRQ_SET_UNMASK, linux::VFIO_IRQ_SET_ACTION_UNMASK),
            (IRQ_SET_TRIGGER, linux::VFIO_IRQ_SET_ACTION_TRIGGER),
            (DMA_READ, linux::VFIO_DMA_MAP_FLAG_READ),
            (DMA_WRITE, linux::VFIO_DMA_MAP_FLAG_WRITE),
        ] {
            assert_eq!(ours, theirs);
        }
    }
}
