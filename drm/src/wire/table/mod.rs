// SPDX-License-Identifier: MIT
//! The core ioctls: layouts from `drm.h` and `drm_mode.h`, permissions and error numbers as
//! Linux 6.12 has them.
//!
//! Sizes are asserted at compile time three ways: the number written in the table, the struct's,
//! and the one inside the ioctl number. So are the order of numbers and each layout's soundness.
//!
//! * [`builders`]: how an entry is written;
//! * [`files`], [`modes`], [`sync`]: the entries, by ranges of numbers.

mod builders;
mod files;
mod modes;
mod sync;

use super::descriptor::Descriptor;
use crate::uapi::ioctl;

/// Every core ioctl, by number.
pub static TABLE: &[Descriptor] = &ENTRIES;

const LEN: usize = files::ENTRIES.len() + modes::ENTRIES.len() + sync::ENTRIES.len();

/// The ranges, joined.
const ENTRIES: [Descriptor; LEN] = {
    let mut all = [files::ENTRIES[0]; LEN];
    let ranges = [files::ENTRIES, modes::ENTRIES, sync::ENTRIES];
    let mut at = 0;
    let mut range = 0;
    while range < ranges.len() {
        let mut i = 0;
        while i < ranges[range].len() {
            all[at] = ranges[range][i];
            at += 1;
            i += 1;
        }
        range += 1;
    }
    all
};

const _: () = assert!(ENTRIES.len() == ioctl::NAMES.len());

/// Index in the table by function number; 0xff is none.
const BY_NUMBER: [u8; 256] = {
    let mut index = [0xff; 256];
    let mut i = 0;
    while i < ENTRIES.len() {
        let entry = &ENTRIES[i];
        assert!(
            i == 0 || ENTRIES[i - 1].nr() < entry.nr(),
            "ascending, so no number twice"
        );
        assert!(entry.is_sound(), "the layout contradicts the struct");
        assert!(
            entry.passing.is_none() || entry.descriptor_wire_offset().is_some(),
            "the descriptor is in the fixed part"
        );
        index[entry.nr() as usize] = i as u8;
        i += 1;
    }
    index
};

/// What is known about an ioctl, whatever size and direction its caller knows it with. `None`:
/// not a core ioctl; it travels as its struct's bytes.
pub fn describe(cmd: u32) -> Option<&'static Descriptor> {
    if ioctl::type_of(cmd) != ioctl::TYPE {
        return None;
    }
    describe_number(ioctl::nr(cmd))
}

/// The same by function number, which is all that Redox's libc sends.
pub fn describe_number(nr: u8) -> Option<&'static Descriptor> {
    TABLE.get(usize::from(BY_NUMBER[usize::from(nr)]))
}
