// SPDX-License-Identifier: MIT
//! The bridge to QEMU: QEMU's emulated PCI devices as functions behind vfio-user.
//!
//! QEMU is only the hardware here: it runs no guest, its processor sits in a halt loop, and the
//! bridge reaches its buses through the qtest protocol and its monitor through QMP. Every device
//! of a machine has a QEMU process of its own, behind a root port of its own, so that pulling,
//! plugging and power-cycling one leaves the others alone; all of them share one RAM file.
//!
//! Reading order: [`config`] (what a machine file says), [`machine`] (a running machine and its
//! sockets), [`function`] (one device as a [`crate::function::PciFunction`]), `live` (it, while it
//! has power), then what they stand on: [`process`], [`qtest`] and [`access`], [`qmp`],
//! [`topology`], [`shadow`], [`vram`], [`ram`], [`reset`], [`messages`], [`doorbell`]; [`control`]
//! answers its owner.
//!
//! What it does not do, and says so when asked: INTx (a function has no vectors of it; MSI and
//! MSI-X arrive), DMA to a client's own files (see [`ram`] for what there is instead), several
//! functions in one slot, and transfers from one device to another's BARs.

pub mod access;
pub mod config;
pub mod control;
pub mod doorbell;
pub mod error;
pub mod function;
mod lines;
mod live;
pub mod machine;
pub mod messages;
pub mod process;
pub mod qmp;
pub mod qtest;
pub mod ram;
pub mod reset;
pub mod screen;
pub mod shadow;
pub mod topology;
pub mod vram;

pub use config::{QemuConfig, QemuDevice};
pub use error::BridgeError;
pub use machine::QemuMachine;

#[cfg(test)]
mod tests;
