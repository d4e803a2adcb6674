// SPDX-License-Identifier: MIT
//! The stable plugin ABI.
//!
//! A plugin is a shared object that drives devices of one kind. Whether it is written in Rust or
//! in C, it offers the same table ([`tables::DriverV1`]) and is given the same two tables: what
//! the host does for it ([`tables::HostV1`]) and its device ([`tables::DeviceV1`]).
//! `include/drvhost_driver.h` spells the same tables in C.
//!
//! Read in this order:
//! * [`tables`]: the tables, as both languages see them;
//! * [`errno`]: how results are written;
//! * [`root`]: how a Rust plugin is found in its file (the only place that knows `abi_stable`);
//! * [`plugin`]: what a driver in Rust implements; [`export_driver!`] makes its table;
//! * [`services`]: the host's table as a Rust value.

pub mod errno;
pub mod plugin;
pub mod root;
pub mod services;
pub mod tables;

pub use errno::Errno;
pub use plugin::{Call, Driver, Instance, Mapped, NodeFile, Opened};
pub use root::{PluginRoot, PluginRootRef};
pub use services::{Buffer, Host};
pub use tables::ABI_VERSION;

#[doc(hidden)]
pub use abi_stable;
