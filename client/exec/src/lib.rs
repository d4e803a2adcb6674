// SPDX-License-Identifier: MIT
//! Runs a Linux program with drvhost's devices: what `drvhost exec` does.
//!
//! The program gets the preload library, and a view of `/dev/dri`, `/sys` and `/run/udev` of its
//! own in which the devices are: private mounts, seen by it and its children alone. It takes the
//! place of the caller: same process, directory, arguments and descriptors. Read in this order:
//! * [`device`]: what the daemon tells about a device;
//! * [`exec`]: the steps, and what can go wrong;
//! * [`program`]: which programs can be run;
//! * [`namespace`]: the private view's mount namespace;
//! * [`tree`]: adding entries to directories like sysfs's, which take none;
//! * [`dev`], [`sysfs`], [`udev`]: the entries.

pub mod device;
#[cfg(target_os = "linux")]
pub mod exec;

#[cfg(target_os = "linux")]
mod dev;
#[cfg(target_os = "linux")]
mod namespace;
#[cfg(target_os = "linux")]
mod program;
#[cfg(target_os = "linux")]
mod sysfs;
#[cfg(target_os = "linux")]
mod tree;
#[cfg(target_os = "linux")]
mod udev;

pub use device::{Connector, DeviceEntry, Node, Resource};
#[cfg(target_os = "linux")]
pub use exec::{ExecError, exec};
