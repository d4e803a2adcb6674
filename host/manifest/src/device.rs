// SPDX-License-Identifier: MIT
//! What a PCI function says about itself in its configuration space.

use std::fmt;

use serde::Serialize;

use driver_sys::{PciAddress, PciIds};

/// A function and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Device {
    /// Where it is.
    pub address: PciAddress,
    /// What it is.
    pub ids: PciIds,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PciIds {
            vendor,
            device,
            subvendor,
            subdevice,
            class,
            revision,
        } = self.ids;
        write!(
            f,
            "{} ({vendor:04x}:{device:04x} subsystem {subvendor:04x}:{subdevice:04x} \
             class {class:06x} revision {revision:02x})",
            self.address
        )
    }
}
