// SPDX-License-Identifier: MIT
//! The bytes of configuration space that a client sees but does not reach.
//!
//! As VFIO does it: a client may write addresses into the BARs and size them, and may fill in
//! the message-signalled interrupt registers, but the real ones stay where the bridge put them.

use super::topology::{Bar, Kind, ROM};

/// Bytes that belong to the bridge, over those of the device.
#[derive(Debug, Clone)]
pub struct Shadow {
    owned: Vec<bool>,
    value: Vec<u8>,
    writable: Vec<u8>,
}

impl Shadow {
    /// Configuration space of `size` bytes that is all the device's.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Shadow {
            owned: vec![false; size],
            value: vec![0; size],
            writable: vec![0; size],
        }
    }

    /// Takes over bytes at `offset`: what they read as, and which of their bits can be written.
    /// What lies outside configuration space is ignored.
    pub fn take(&mut self, offset: usize, value: &[u8], writable: &[u8]) {
        for (i, (&value, &writable)) in value.iter().zip(writable).enumerate() {
            if let Some(owned) = self.owned.get_mut(offset + i) {
                *owned = true;
                self.value[offset + i] = value;
                self.writable[offset + i] = writable;
            }
        }
    }

    /// Takes over all BAR registers.
    pub fn take_bars(&mut self, bars: &[Bar]) {
        self.take(0x10, &[0; 24], &[0; 24]);
        self.take(0x30, &[0; 4], &[0; 4]);
        for bar in bars {
            let value = (bar.address | u64::from(bar.flags)).to_le_bytes();
            let mut writable = !(bar.size - 1);
            if bar.index == ROM {
                // The enable bit.
                writable |= 1;
            }
            let length = if bar.kind == Kind::Memory64 { 8 } else { 4 };
            let writable = writable.to_le_bytes();
            self.take(bar.register(), &value[..length], &writable[..length]);
        }
    }

    /// Whether the byte at `offset` is the bridge's.
    #[must_use]
    pub fn owns(&self, offset: usize) -> bool {
        self.owned.get(offset).copied().unwrap_or(false)
    }

    /// What the bridge's byte at `offset` reads as.
    #[must_use]
    pub fn value(&self, offset: usize) -> u8 {
        self.value.get(offset).copied().unwrap_or(0)
    }

    /// Puts the bridge's bytes over what the device returned.
    pub fn overlay(&self, offset: usize, data: &mut [u8]) {
        for (i, byte) in data.iter_mut().enumerate() {
            if self.owns(offset + i) {
                *byte = self.value[offset + i];
            }
        }
    }

    /// Keeps what of a write is the bridge's and returns the ranges of `data` that are the
    /// device's.
    pub fn absorb(&mut self, offset: usize, data: &[u8]) -> Vec<std::ops::Range<usize>> {
        let mut rest: Vec<std::ops::Range<usize>> = Vec::new();
        for (i, &byte) in data.iter().enumerate() {
            let at = offset + i;
            if self.owns(at) {
                let mask = self.writable[at];
                self.value[at] = self.value[at] & !mask | byte & mask;
            } else if let Some(last) = rest.last_mut().filter(|last| last.end == i) {
                last.end = i + 1;
            } else {
                rest.push(i..i + 1);
            }
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bochs() -> Shadow {
        let mut shadow = Shadow::new(256);
        shadow.take_bars(&[Bar {
            index: 0,
            kind: Kind::Memory32,
            flags: 8,
            size: 0x100_0000,
            address: 0xc000_0000,
        }]);
        shadow
    }

    fn bar0(shadow: &Shadow) -> u32 {
        let mut data = [0xaa; 4];
        shadow.overlay(0x10, &mut data);
        u32::from_le_bytes(data)
    }

    #[test]
    fn a_bar_can_be_sized_and_moved_without_reaching_the_device() {
        let mut shadow = bochs();
        assert_eq!(bar0(&shadow), 0xc000_0008);
        assert!(shadow.absorb(0x10, &[0xff; 4]).is_empty());
        assert_eq!(bar0(&shadow), 0xff00_0008);
        assert!(shadow.absorb(0x13, &[0x12]).is_empty());
        assert_eq!(bar0(&shadow), 0x1200_0008);
        let mut absent = [0xaa; 4];
        shadow.overlay(0x14, &mut absent);
        assert_eq!(absent, [0; 4]);
    }

    #[test]
    fn a_write_is_split_where_the_owner_changes() {
        let mut shadow = bochs();
        assert_eq!(shadow.absorb(0x0e, &[0; 4]), vec![0..2]);
        assert_eq!(shadow.absorb(0x26, &[0; 16]), vec![2..10, 14..16]);
        assert_eq!(shadow.absorb(0x40, &[0; 4]), vec![0..4]);
    }
}
