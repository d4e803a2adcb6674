// SPDX-License-Identifier: MIT
//! Simulated PCI devices, and QEMU's, served over vfio-user.
//!
//! Read in this order: [`function`] (what a PCI function is to us), [`server`] (who offers it;
//! `session`, `regions` and `irqs` are its parts), [`dispi`] (the one model so far), [`edid`]
//! (monitors), [`machine`] (the description of a machine), [`running`] (a machine that runs),
//! [`control`] (its control socket), [`clock`]; [`bridge`] (QEMU's devices).

#[cfg(target_os = "linux")]
pub mod bridge;
pub mod clock;
pub mod control;
pub mod dispi;
pub mod edid;
pub mod function;
mod irqs;
pub mod machine;
mod regions;
pub mod running;
pub mod server;
mod session;
