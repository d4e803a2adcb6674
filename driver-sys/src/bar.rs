// SPDX-License-Identifier: MIT
//! Base address registers: what a device's register and memory windows look like.

/// What a BAR answers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BarKind {
    /// Not implemented.
    None,
    /// Port I/O.
    Port,
    /// Memory.
    Memory {
        /// Reads have no side effects and writes may be merged.
        prefetchable: bool,
        /// Takes two BAR registers.
        wide: bool,
    },
}

/// One BAR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BarInfo {
    /// What it answers to.
    pub kind: BarKind,
    /// Size in bytes, 0 when not implemented.
    pub size: u64,
    /// All of it can be mapped; if not, it is read and written through
    /// [`crate::PciDevice::bar_read`] and [`crate::PciDevice::bar_write`].
    pub mappable: bool,
}

/// How many bytes a register access moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Width {
    /// 1 byte.
    U8,
    /// 2 bytes.
    U16,
    /// 4 bytes.
    U32,
    /// 8 bytes.
    U64,
}

impl Width {
    /// The width of 1, 2, 4 or 8 bytes; `None` for other numbers.
    pub fn from_bytes(bytes: usize) -> Option<Self> {
        match bytes {
            1 => Some(Self::U8),
            2 => Some(Self::U16),
            4 => Some(Self::U32),
            8 => Some(Self::U64),
            _ => None,
        }
    }

    /// Number of bytes.
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 => 2,
            Self::U32 => 4,
            Self::U64 => 8,
        }
    }
}
