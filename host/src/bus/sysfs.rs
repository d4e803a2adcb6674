// SPDX-License-Identifier: MIT
//! This machine's own devices: they are listed, and cannot be driven yet.

use super::{Bus, Found};
use driver_sys::{PciAddress, PciDevice, sysfs};
use std::os::fd::OwnedFd;
use std::path::Path;

/// The devices of `/sys/bus/pci/devices`.
#[derive(Debug)]
pub struct Sysfs;

impl Bus for Sysfs {
    fn scan(&self) -> Vec<Found> {
        match sysfs::enumerate(Path::new(sysfs::ROOT)) {
            Ok(list) => list
                .iter()
                .filter_map(|device| super::vfio_user::describe(device.address(), device))
                .collect(),
            Err(error) => {
                log::warn!("cannot list this machine's PCI devices: {error}");
                Vec::new()
            }
        }
    }

    fn open(&self, address: PciAddress) -> Result<OwnedFd, String> {
        Err(format!(
            "{address} is real hardware, which drvhost on Linux can only list; \
             give it simulated devices with --bus DIR"
        ))
    }

    fn watch(&self, _changed: Box<dyn Fn() + Send>) -> std::io::Result<()> {
        Ok(())
    }
}
