// SPDX-License-Identifier: MIT
//! The nodes that programs open, and the record of what must survive a crash.
//!
//! Read in this order:
//! * [`access`], [`limits`], [`quota`]: who may open what, and how much one user may hold;
//! * [`shadow`]: the record of what clients made, and how it gets into a fresh driver;
//! * [`gate`], [`claims`]: callers wait while there is no driver, and do not overtake each other;
//! * `linux`: sockets, rings and descriptors; [`Front`] and [`Device`] are what the host uses.

pub mod access;
pub mod claims;
pub mod gate;
pub mod limits;
#[cfg(target_os = "linux")]
mod linux;
pub mod quota;
pub mod shadow;

pub use access::{Access, Credentials};
pub use limits::Limits;
#[cfg(target_os = "linux")]
pub use linux::{
    ConnectorState, Device, DeviceConfig, DeviceState, FileState, Front, NodeState, Picture,
    PictureError, StartError,
};
