// SPDX-License-Identifier: MIT
//! Simulated PCI devices, and QEMU's, served over vfio-user.

#[cfg(target_os = "linux")]
pub mod bridge;
pub mod function;
pub mod server;
