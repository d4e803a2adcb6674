// SPDX-License-Identifier: MIT
//! Where devices come from: which there are, and a way to each.
//!
//! * [`vfio_user`]: a directory of sockets, as the simulator and the QEMU bridge make it;
//! * [`sysfs`]: this machine's own devices, to look at only.

pub mod sysfs;
pub mod vfio_user;

use driver_sys::{BarInfo, PciAddress, PciIds};
use std::fmt::Debug;
use std::os::fd::OwnedFd;

/// A function that a bus has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub address: PciAddress,
    /// What it is.
    pub ids: PciIds,
    /// The first 64 bytes of its configuration space or more.
    pub config: Vec<u8>,
    /// Its BARs 0 to 5; those that could not be asked for are as if not implemented.
    pub bars: [BarInfo; 6],
}

/// A bus.
pub trait Bus: Send + Sync + Debug {
    /// The functions that are there now. One that cannot be read is logged and left out.
    fn scan(&self) -> Vec<Found>;

    /// Resets a function and opens it for a worker. The text says what was tried and went wrong.
    fn open(&self, address: PciAddress) -> Result<OwnedFd, String>;

    /// Calls `changed` whenever functions may have come or gone, from a thread of its own.
    fn watch(&self, changed: Box<dyn Fn() + Send>) -> std::io::Result<()>;
}
