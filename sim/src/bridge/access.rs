// SPDX-License-Identifier: MIT
//! Accesses as a bus knows them: one, two, four or eight bytes, aligned.

/// How wide an access is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// One byte.
    Byte,
    /// Two bytes.
    Word,
    /// Four bytes.
    Long,
    /// Eight bytes; memory only.
    Quad,
}

impl Width {
    /// In bytes.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Width::Byte => 1,
            Width::Word => 2,
            Width::Long => 4,
            Width::Quad => 8,
        }
    }

    pub(super) fn letter(self) -> char {
        match self {
            Width::Byte => 'b',
            Width::Word => 'w',
            Width::Long => 'l',
            Width::Quad => 'q',
        }
    }

    /// The widest access at `address` that is aligned and no longer than `left` or `most`.
    #[must_use]
    pub fn widest(address: u64, left: usize, most: Width) -> Width {
        [Width::Quad, Width::Long, Width::Word]
            .into_iter()
            .find(|w| {
                let bytes = w.bytes();
                bytes <= most.bytes() && bytes <= left && address.is_multiple_of(bytes as u64)
            })
            .unwrap_or(Width::Byte)
    }
}

/// Which address space an access goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// Physical memory, MMIO included.
    Memory,
    /// x86 port I/O.
    Port,
}

/// One write of at most eight bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// Where to.
    pub space: Space,
    /// The address or port.
    pub address: u64,
    /// What.
    pub value: u64,
    /// How wide.
    pub width: Width,
}

/// The writes that put `data` at `address`, the widest aligned ones up to `most`.
#[must_use]
pub fn writes(space: Space, address: u64, data: &[u8], most: Width) -> Vec<Write> {
    let pieces = pieces(address, data.len(), most).into_iter();
    let write = |(at, width): (usize, Width)| {
        let mut value = [0; 8];
        value[..width.bytes()].copy_from_slice(&data[at..at + width.bytes()]);
        Write {
            space,
            address: address + at as u64,
            value: u64::from_le_bytes(value),
            width,
        }
    };
    pieces.map(write).collect()
}

/// Cuts a range into aligned accesses: (offset from its start, width).
pub(super) fn pieces(address: u64, length: usize, most: Width) -> Vec<(usize, Width)> {
    let mut pieces = Vec::with_capacity(length / most.bytes() + 4);
    let mut at = 0;
    while at < length {
        let width = Width::widest(address + at as u64, length - at, most);
        pieces.push((at, width));
        at += width.bytes();
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn pieces_cover_a_range_once_and_are_aligned(address in 0u64..4096, length in 0usize..300) {
            for most in [Width::Byte, Width::Word, Width::Long, Width::Quad] {
                let mut next = 0;
                for (at, width) in pieces(address, length, most) {
                    proptest::prop_assert_eq!(at, next);
                    proptest::prop_assert!((address + at as u64).is_multiple_of(width.bytes() as u64));
                    proptest::prop_assert!(width.bytes() <= most.bytes());
                    next += width.bytes();
                }
                proptest::prop_assert_eq!(next, length);
            }
        }
    }
}
