// SPDX-License-Identifier: MIT
//! What a PCI function says about itself in its configuration space.

use std::fmt;

use serde::Serialize;

use crate::address::Address;

/// The id registers of a type 0 configuration header (PCI Local Bus 3.0, section 6.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
pub struct DeviceIds {
    /// Vendor id, offset 0x00.
    pub vendor: u16,
    /// Device id, offset 0x02.
    pub device: u16,
    /// Subsystem vendor id, offset 0x2c.
    pub subvendor: u16,
    /// Subsystem id, offset 0x2e.
    pub subdevice: u16,
    /// Class code, 24 bits: base class, subclass, programming interface; offsets 0x0b to 0x09.
    pub class: u32,
    /// Revision id, offset 0x08.
    pub revision: u8,
}

/// A function and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Device {
    /// Where it is.
    pub address: Address,
    /// What it is.
    pub ids: DeviceIds,
}

impl fmt::Display for DeviceIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:04x}:{:04x} subsystem {:04x}:{:04x} class {:06x} revision {:02x}",
            self.vendor, self.device, self.subvendor, self.subdevice, self.class, self.revision
        )
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.address, self.ids)
    }
}
