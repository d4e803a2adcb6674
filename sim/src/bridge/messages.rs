// SPDX-License-Identifier: MIT
//! The MSI and MSI-X capabilities: a client sees registers of its own, the device's point at the
//! doorbell. Sources of the layouts: PCI Local Bus 3.0 §6.8.1 (MSI) and §6.8.2 (MSI-X).

use super::doorbell::{Doorbell, USABLE};
use super::error::BridgeError;
use super::qtest::{Qtest, Space, Width};
use super::shadow::Shadow;
use super::topology::{self, Bar, Function};

const CAP_MSI: u8 = 0x05;
const CAP_MSIX: u8 = 0x11;
const MSIX_ENTRY: u64 = 16;

/// A function's MSI capability.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Msi {
    at: usize,
    wide: bool,
    /// log2 of the vectors.
    log: u8,
}

/// A function's MSI-X capability.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Msix {
    at: usize,
    vectors: usize,
    bar: usize,
    offset: u64,
}

/// What a function can signal by messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Messages {
    msi: Option<Msi>,
    msix: Option<Msix>,
}

impl Messages {
    /// Finds the capabilities in the first 256 bytes of configuration space.
    #[must_use]
    pub fn find(config: &[u8; 256], capabilities: &[(u8, usize)]) -> Self {
        let mut found = Messages::default();
        for &(id, at) in capabilities {
            let word = |at: usize| {
                let bytes = config.get(at..at + 2)?;
                Some(u16::from_le_bytes([bytes[0], bytes[1]]))
            };
            let Some(control) = word(at + 2) else {
                continue;
            };
            match id {
                CAP_MSI => {
                    found.msi = Some(Msi {
                        at,
                        wide: control & 0x80 != 0,
                        #[allow(clippy::cast_possible_truncation, reason = "three bits")]
                        log: (((control >> 1) & 7) as u8).min(USABLE.ilog2() as u8),
                    });
                }
                CAP_MSIX => {
                    let (Some(low), Some(high)) = (word(at + 4), word(at + 6)) else {
                        continue;
                    };
                    let table = u32::from(low) | u32::from(high) << 16;
                    found.msix = Some(Msix {
                        at,
                        vectors: usize::from(control & 0x7ff) + 1,
                        bar: (table & 7) as usize,
                        offset: u64::from(table & !7),
                    });
                }
                _ => {}
            }
        }
        found
    }

    /// How many MSI vectors a client can have.
    #[must_use]
    pub fn msi_count(&self) -> usize {
        self.msi.as_ref().map_or(0, |msi| 1 << msi.log)
    }

    /// How many MSI-X vectors a client can have.
    #[must_use]
    pub fn msix_count(&self) -> usize {
        self.msix
            .as_ref()
            .map_or(0, |msix| msix.vectors.min(USABLE))
    }

    /// Whether any of a BAR's bytes is the MSI-X table, which is the bridge's.
    #[must_use]
    pub fn owns(&self, bar: u32, offset: u64, length: usize) -> bool {
        self.msix.as_ref().is_some_and(|msix| {
            msix.bar == bar as usize
                && offset < msix.offset + MSIX_ENTRY * msix.vectors as u64
                && msix.offset < offset + length as u64
        })
    }

    /// Gives a client registers of its own in place of the device's.
    pub fn shade(&self, config: &[u8; 256], shadow: &mut Shadow) {
        if let Some(msi) = &self.msi {
            // Enable, and how many messages; then address and data.
            let control = config[msi.at + 2] & !0x0e | msi.log << 1;
            shadow.take(msi.at + 2, &[control], &[0x71]);
            let length = if msi.wide { 10 } else { 6 };
            shadow.take(msi.at + 4, &[0; 10][..length], &[0xff; 10][..length]);
        }
        if let Some(msix) = &self.msix {
            // Enable and function mask.
            shadow.take(msix.at + 3, &[config[msix.at + 3]], &[0xc0]);
        }
    }

    /// Points the device's MSI at the doorbell, or switches it off.
    ///
    /// # Errors
    /// When QEMU does not answer.
    pub fn set_msi(&self, qtest: &mut Qtest, on: bool) -> Result<(), BridgeError> {
        let Some(msi) = &self.msi else {
            return Ok(());
        };
        let write = |qtest: &mut Qtest, at, data: &[u8]| {
            topology::config_write(qtest, Function::Device, msi.at + at, data)
        };
        write(qtest, 2, &[0])?;
        if on {
            let address = Doorbell::ADDRESS.to_le_bytes();
            let length = if msi.wide { 8 } else { 4 };
            write(qtest, 4, &address[..length])?;
            write(qtest, 4 + length, &[0, 0])?;
            write(qtest, 2, &[1 | msi.log << 4])?;
        }
        Ok(())
    }

    /// Points the device's MSI-X vectors at the doorbell, those of `masks` that are false, and
    /// masks all others; with `on` false, switches MSI-X off.
    ///
    /// # Errors
    /// When QEMU does not answer.
    pub fn set_msix(
        &self,
        qtest: &mut Qtest,
        bars: &[Bar],
        on: bool,
        mut wanted: impl FnMut(usize) -> bool,
    ) -> Result<(), BridgeError> {
        let Some(msix) = &self.msix else {
            return Ok(());
        };
        let Some(bar) = bars.iter().find(|bar| bar.index == msix.bar) else {
            return Ok(());
        };
        if on {
            for vector in 0..msix.vectors {
                let mut entry = [0; 16];
                entry[..8].copy_from_slice(&Doorbell::ADDRESS.to_le_bytes());
                entry[8..10].copy_from_slice(&(vector as u16).to_le_bytes());
                entry[12] = u8::from(vector >= USABLE || !wanted(vector));
                let at = bar.address + msix.offset + MSIX_ENTRY * vector as u64;
                qtest.write(Space::Memory, at, &entry, Width::Long)?;
            }
        }
        let control = if on { 0x80 } else { 0 };
        topology::config_write(qtest, Function::Device, msix.at + 3, &[control])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities() {
        let mut config = [0; 256];
        // MSI, 64-bit, 8 vectors at 0x50; MSI-X, 40 vectors, table in BAR 1 at 0x2000 at 0x70.
        config[0x50..0x54].copy_from_slice(&[5, 0, 0x86, 0]);
        config[0x70..0x78].copy_from_slice(&[0x11, 0, 39, 0, 1, 0x20, 0, 0]);
        let found = Messages::find(&config, &[(5, 0x50), (0x11, 0x70), (9, 0x40)]);
        assert_eq!((found.msi_count(), found.msix_count()), (8, USABLE));
        let table = [
            (1, 0x1fff, 1, false),
            (1, 0x1fff, 2, true),
            (1, 0x227f, 1, true),
        ];
        for (bar, offset, length, owned) in table {
            assert_eq!(found.owns(bar, offset, length), owned, "{offset:#x}");
        }
        assert!(!found.owns(1, 0x2280, 8) && !found.owns(0, 0x2000, 8));
        // At the end of configuration space nothing is read past it.
        let found = Messages::find(&config, &[(5, 0xfc), (0x11, 0xfc)]);
        assert_eq!(found.msix_count(), 0);
        let mut shadow = Shadow::new(256);
        found.shade(&config, &mut shadow);
    }
}
