// SPDX-License-Identifier: MIT
//! IOVAs for a vfio-user device: who lives where in its address space.

use std::collections::BTreeMap;

/// IOVAs are handed out from here: address 0 stays free, it hides bugs.
const FIRST: u64 = 0x10_0000;
/// x86 turns writes from here to 4 GiB into interrupts.
const HOLE: std::ops::Range<u64> = 0xfee0_0000..0x1_0000_0000;
/// The narrowest IOMMUs in use translate 39 bits.
const END: u64 = 1 << 39;
/// IOVAs and sizes are multiples of this.
pub(super) const PAGE: u64 = 4096;

/// The IOVA ranges of one connection. First fit, so that devices with few address bits do well.
#[derive(Debug, Default)]
pub(super) struct IovaSpace {
    used: BTreeMap<u64, u64>,
}

impl IovaSpace {
    /// Takes `size` bytes (a multiple of the page) at a multiple of `align` (a power of two).
    pub(super) fn take(&mut self, size: u64, align: u64) -> Option<u64> {
        let align = align.max(PAGE);
        let hole = (HOLE.start, HOLE.end - HOLE.start);
        let mut taken: Vec<(u64, u64)> = self.used.iter().map(|(&at, &size)| (at, size)).collect();
        taken.push(hole);
        taken.sort_unstable();
        let mut at = FIRST.checked_next_multiple_of(align)?;
        for (start, length) in taken {
            if at.checked_add(size)? <= start {
                break;
            }
            at = at.max(start + length).checked_next_multiple_of(align)?;
        }
        (size > 0 && at.checked_add(size)? <= END).then(|| {
            self.used.insert(at, size);
            at
        })
    }

    /// The size of what starts at `iova`.
    pub(super) fn size(&self, iova: u64) -> Option<u64> {
        self.used.get(&iova).copied()
    }

    /// Frees what starts at `iova`.
    pub(super) fn free(&mut self, iova: u64) {
        self.used.remove(&iova);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn first_fit_and_reuse() {
        let mut space = IovaSpace::default();
        assert_eq!(space.take(PAGE, 1), Some(FIRST));
        assert_eq!(space.take(PAGE, PAGE), Some(FIRST + PAGE));
        space.free(FIRST);
        assert_eq!(space.take(2 * PAGE, 1), Some(FIRST + 2 * PAGE));
        assert_eq!(space.take(PAGE, 1), Some(FIRST));
        assert_eq!(space.take(0xff00_0000, 1), Some(HOLE.end));
        assert_eq!(space.take(END, 1), None);
        assert_eq!(space.take(u64::MAX - PAGE + 1, 1), None);
        assert_eq!(space.take(PAGE, 1 << 63), None);
        assert_eq!(space.take(0, 1), None);
    }

    proptest! {
        #[test]
        fn never_overlaps(requests in proptest::collection::vec((1u64..300, 12u32..24, any::<bool>()), 1..60)) {
            let mut space = IovaSpace::default();
            for (pages, align, free) in requests {
                let at = space.take(pages * PAGE, 1 << align).unwrap();
                prop_assert_eq!(at % (1 << align), 0);
                let mut end = 0;
                for (&start, &size) in &space.used {
                    prop_assert!(start >= end);
                    end = start + size;
                }
                if free {
                    space.free(at);
                }
            }
        }
    }
}
