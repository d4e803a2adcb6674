// SPDX-License-Identifier: MIT
//! What is known about one ioctl: its argument's layout and the rules for calling it.

use super::{MAX_ARGUMENT, MAX_ARRAYS};
use crate::uapi::{Errno, ioctl};

/// One core ioctl.
#[derive(Clone, Copy, Debug)]
pub struct Descriptor {
    /// The name in `drm.h` without `DRM_IOCTL_`.
    pub name: &'static str,
    /// The full number, with our struct's size and Linux's direction.
    pub cmd: u32,
    /// The struct's pieces that make the fixed part, in order: offset and length in bytes.
    pub segments: &'static [(usize, usize)],
    /// The fixed part's length in bytes.
    pub fixed: usize,
    /// The arrays, in the order of their pointers.
    pub arrays: &'static [Array],
    /// Who may call it.
    pub permissions: Permissions,
    /// A call may wait for the hardware or for other programs, so a long one is no hang.
    pub may_block: bool,
    /// The file descriptor in the argument, which the transport carries.
    pub passing: Option<DescriptorPassing>,
}

/// An array that the argument points to.
#[derive(Clone, Copy, Debug)]
pub struct Array {
    /// Offset of the pointer in the struct.
    pub pointer: usize,
    /// How many elements there are.
    pub count: Count,
    /// An element's size in bytes.
    pub element: usize,
    /// Which way the elements travel.
    pub flow: Flow,
}

/// Where an array's length comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// A field of the struct: its offset and its width in bytes (4 or 8).
    Field {
        /// Offset in the struct.
        offset: usize,
        /// 4 or 8.
        width: usize,
    },
    /// The sum of an earlier array of `u32`: its index.
    Sum(usize),
}

/// Which way an array's elements travel.
#[derive(Clone, Copy, Debug)]
pub enum Flow {
    /// To the driver.
    In {
        /// Linux's error for a longer array; more than this many elements are refused unread.
        limit: u32,
        /// Linux's error for a longer array, or one that fits no payload.
        too_long: Errno,
        /// Linux's error for a null pointer with a count. `None`: it reads as zeros.
        null: Option<Errno>,
    },
    /// To the program.
    Out {
        /// What is written when there is more or less than the program has room for.
        fill: Fill,
        /// A null pointer with a count is not an error.
        nullable: bool,
    },
    /// Linux never looks at it: it travels with length zero, and its count comes back untouched.
    Unused,
}

/// What Linux writes to an output array when the real length differs from the program's room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// As many as fit.
    Partial,
    /// All, or none if they don't fit.
    AllOrNothing,
    /// All, or none if the program's count is not the real one.
    Exact,
}

impl Fill {
    /// How many of `real` elements are written where there is room for `room`.
    pub const fn written(self, room: usize, real: usize) -> usize {
        match self {
            Fill::Partial => {
                if real < room {
                    real
                } else {
                    room
                }
            }
            Fill::AllOrNothing if real <= room => real,
            Fill::Exact if real == room => real,
            Fill::AllOrNothing | Fill::Exact => 0,
        }
    }
}

/// Who may call an ioctl, as the kernel's table says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// On a card node, only the current master (`EACCES`).
    pub master: bool,
    /// On a card node, only authenticated files (`EACCES`).
    pub auth: bool,
    /// Also on render nodes; all others are `EACCES` there.
    pub render_allow: bool,
    /// Only with CAP_SYS_ADMIN (`EACCES`).
    pub root_only: bool,
}

/// A file descriptor inside the argument: an `i32` at an offset of the struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DescriptorPassing {
    /// The program hands one over.
    In(usize),
    /// The program gets one.
    Out(usize),
}

impl Descriptor {
    /// The function number.
    pub const fn nr(&self) -> u8 {
        ioctl::nr(self.cmd)
    }

    /// The struct's size in bytes.
    pub const fn size(&self) -> usize {
        ioctl::size(self.cmd)
    }

    /// The struct has no pointers: the payload is the struct.
    pub const fn is_plain(&self) -> bool {
        self.fixed == self.size()
    }

    /// Where a byte of the struct lies in the payload's fixed part. `None`: inside a pointer,
    /// padding, or past the end.
    pub const fn wire_offset(&self, offset: usize) -> Option<usize> {
        let mut at = 0;
        let mut i = 0;
        while i < self.segments.len() {
            let (start, len) = self.segments[i];
            if offset >= start && offset < start + len {
                return Some(at + offset - start);
            }
            at += len;
            i += 1;
        }
        None
    }

    /// Where the argument's file descriptor lies in the payload.
    pub const fn descriptor_wire_offset(&self) -> Option<usize> {
        match self.passing {
            Some(DescriptorPassing::In(offset) | DescriptorPassing::Out(offset)) => {
                self.wire_offset(offset)
            }
            None => None,
        }
    }

    /// The fixed part carries the sum of the counts as a field of its own, at this offset.
    pub(crate) const fn total_offset(&self) -> Option<usize> {
        let mut i = 0;
        while i < self.arrays.len() {
            if let Count::Sum(_) = self.arrays[i].count {
                return Some(self.fixed - 8);
            }
            i += 1;
        }
        None
    }

    /// Copies the fixed part out of a struct. The field for a sum is not the struct's: it stays.
    pub(crate) fn gather(&self, argument: &[u8], fixed: &mut [u8]) {
        let mut at = 0;
        for &(start, len) in self.segments {
            fixed[at..at + len].copy_from_slice(&argument[start..start + len]);
            at += len;
        }
    }

    /// Copies the fixed part into a struct; the pointers stay as they are.
    pub(crate) fn scatter(&self, fixed: &[u8], argument: &mut [u8]) {
        let mut at = 0;
        for &(start, len) in self.segments {
            argument[start..start + len].copy_from_slice(&fixed[at..at + len]);
            at += len;
        }
    }

    /// The count of an array that has a field for it.
    pub(crate) fn field_count(argument: &[u8], offset: usize, width: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes[..width].copy_from_slice(&argument[offset..offset + width]);
        u64::from_le_bytes(bytes)
    }

    /// Whether the descriptor makes sense; called at compile time for the whole table.
    pub(crate) const fn is_sound(&self) -> bool {
        let size = self.size();
        let mut end = 0;
        let mut fixed = 0usize;
        let mut i = 0;
        while i < self.segments.len() {
            let (start, len) = self.segments[i];
            // Ascending and apart; what is eight-byte aligned in the struct stays so, or C layout
            // would put padding where we put none.
            if start < end || len == 0 || start % 8 != fixed % 8 {
                return false;
            }
            end = start + len;
            fixed += len;
            i += 1;
        }
        if end > size
            || !self.is_plain() && size > MAX_ARGUMENT
            || self.is_plain() && !self.arrays.is_empty()
            || self.arrays.len() > MAX_ARRAYS
        {
            return false;
        }
        let mut last = 0;
        let mut summed = false;
        i = 0;
        while i < self.arrays.len() {
            let array = self.arrays[i];
            // In the order of the pointers, which are no part of the fixed part.
            if i > 0 && array.pointer <= last
                || array.pointer + 8 > size
                || self.wire_offset(array.pointer).is_some()
                || self.wire_offset(array.pointer + 7).is_some()
                || array.element == 0
            {
                return false;
            }
            last = array.pointer;
            match array.count {
                Count::Field { offset, width } => {
                    if width != 4 && width != 8 || self.wire_offset(offset).is_none() {
                        return false;
                    }
                }
                Count::Sum(of) => {
                    summed = true;
                    if of >= i || self.arrays[of].element != 4 {
                        return false;
                    }
                }
            }
            i += 1;
        }
        let own_field = if summed { 8 } else { 0 };
        fixed + own_field == self.fixed
    }
}
