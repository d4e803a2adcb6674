// SPDX-License-Identifier: MIT
//! What a PCI function says it is: the ids that drivers are matched by.

use crate::config;
use crate::device::PciDevice;
use crate::error::Result;

/// The identifying registers of a PCI function (PCI Local Bus 3.0, section 6.2.1).
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct PciIds {
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Subsystem vendor id; 0 for bridges.
    pub subvendor: u16,
    /// Subsystem id; 0 for bridges.
    pub subdevice: u16,
    /// Class code, 24 bits: base class, subclass, programming interface.
    pub class: u32,
    /// Revision id.
    pub revision: u8,
}

impl PciIds {
    /// Takes the ids out of the first 64 bytes of configuration space.
    /// `None` when no function answers there (vendor 0xffff).
    pub fn from_header(header: &[u8; 64]) -> Option<Self> {
        let u16_at = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let vendor = u16_at(config::VENDOR);
        if vendor == 0xffff {
            return None;
        }
        // Only type 0 headers have the subsystem ids at this place.
        let endpoint = header[config::HEADER_TYPE] & 0x7f == 0;
        let class = config::CLASS;
        Some(Self {
            vendor,
            device: u16_at(config::DEVICE),
            subvendor: if endpoint {
                u16_at(config::SUBSYSTEM_VENDOR)
            } else {
                0
            },
            subdevice: if endpoint {
                u16_at(config::SUBSYSTEM)
            } else {
                0
            },
            class: u32::from_le_bytes([header[class], header[class + 1], header[class + 2], 0]),
            revision: header[config::REVISION],
        })
    }

    /// Reads the ids from a device.
    ///
    /// # Errors
    /// Those of [`PciDevice::config_read`]; `Gone` when the configuration space reads as all ones.
    pub fn read(device: &dyn PciDevice) -> Result<Self> {
        let mut header = [0; 64];
        device.config_read(0, &mut header)?;
        Self::from_header(&header).ok_or_else(|| crate::Error::Gone {
            what: format!("{}: read ids", device.address()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bochs_display_header() {
        let mut header = [0; 64];
        header[..12].copy_from_slice(&[0x34, 0x12, 0x11, 0x11, 0, 0, 0x10, 0, 2, 0, 0x80, 3]);
        header[0x2c..0x30].copy_from_slice(&[0xf4, 0x1a, 0, 0x11]);
        let want = PciIds {
            vendor: 0x1234,
            device: 0x1111,
            subvendor: 0x1af4,
            subdevice: 0x1100,
            class: 0x03_8000,
            revision: 2,
        };
        assert_eq!(PciIds::from_header(&header), Some(want));
        header[config::HEADER_TYPE] = 0x81;
        assert_eq!(PciIds::from_header(&header).unwrap().subvendor, 0);
        assert_eq!(PciIds::from_header(&[0xff; 64]), None);
    }
}
