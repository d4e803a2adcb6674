// SPDX-License-Identifier: MIT
//! Simulated PCI devices, and QEMU's, served over vfio-user.

pub mod function;
pub mod server;
