// SPDX-License-Identifier: MIT
//! The offsets at which programs map buffers: the front's own, so they outlive a worker.

use std::collections::{BTreeMap, HashMap};

/// As in Linux, below this no offset means a buffer.
const FIRST: u64 = 1 << 32;
const PAGE: u64 = 4096;

/// The offsets of one device.
#[derive(Clone, Debug, Default)]
pub struct Offsets {
    by_buffer: HashMap<u64, u64>,
    /// Buffer and size in bytes, by first offset.
    by_offset: BTreeMap<u64, (u64, u64)>,
    end: u64,
}

impl Offsets {
    /// The offset of a buffer of `size` bytes, the same each time.
    pub fn of(&mut self, buffer: u64, size: u64) -> u64 {
        if let Some(offset) = self.by_buffer.get(&buffer) {
            return *offset;
        }
        let offset = self.end.max(FIRST);
        // A page between two buffers that belongs to neither.
        self.end = offset + size.next_multiple_of(PAGE) + PAGE;
        self.by_buffer.insert(buffer, offset);
        self.by_offset.insert(offset, (buffer, size));
        offset
    }

    /// The buffer at an offset, and the place in it. `None`: the range is in no buffer.
    pub fn find(&self, offset: u64, length: u64) -> Option<(u64, u64)> {
        let (start, (buffer, size)) = self.by_offset.range(..=offset).next_back()?;
        let place = offset - start;
        let end = place.checked_add(length)?;
        (end <= *size).then_some((*buffer, place))
    }

    /// Forgets buffers that are gone.
    pub fn retain(&mut self, kept: impl Fn(u64) -> bool) {
        self.by_buffer.retain(|buffer, _| kept(*buffer));
        self.by_offset.retain(|_, (buffer, _)| kept(*buffer));
    }

    /// A buffer is gone.
    pub fn forget(&mut self, buffer: u64) {
        if let Some(offset) = self.by_buffer.remove(&buffer) {
            self.by_offset.remove(&offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_stay_inside_one_buffer() {
        let mut offsets = Offsets::default();
        let a = offsets.of(1, 8192);
        let b = offsets.of(2, 4096);
        assert_eq!(offsets.of(1, 8192), a);
        assert_eq!(offsets.find(a, 8192), Some((1, 0)));
        assert_eq!(offsets.find(a + 4096, 4096), Some((1, 4096)));
        for (offset, length) in [
            (a, 8193),
            (a + 8192, 1),
            (a - 1, 1),
            (b, 4097),
            (b, u64::MAX),
        ] {
            assert_eq!(offsets.find(offset, length), None, "{offset:x} {length}");
        }
        offsets.forget(1);
        assert_eq!(offsets.find(a, 1), None);
        assert!(offsets.of(3, 1) > b);
    }
}
