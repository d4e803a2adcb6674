// SPDX-License-Identifier: MIT
//! DRM for drivers in Rust: the uAPI and its wire codec, and the KMS and GEM core.
//!
//! Read in this order:
//! * [`uapi`]: the structs, numbers and names that programs know;
//! * [`wire`]: how a call travels: the table of all core ioctls, and both ends of the codec;
//! * [`edid`]: what a monitor says of itself, and the modes that follow.
//!
//! Then the core, for drivers in Rust:
//! * [`gpu`]: what a driver implements; [`plugin`]: how it becomes a plugin;
//! * [`device`], [`file`], [`master`]: what files share, what belongs to one, who may set modes;
//! * [`ioctl`]: the ioctls, over [`call`];
//! * [`kms`]: mode setting; [`connector`], [`mode`], [`rect`]: its terms; [`clock`]: its timer;
//! * [`gem`]: buffers; [`sync`]: fences and syncobjs; [`ids`]: how things are numbered;
//! * [`testing`]: a host for tests.

pub mod call;
pub mod clock;
pub mod connector;
pub mod device;
pub mod edid;
pub mod file;
pub mod gem;
pub mod gpu;
pub mod ids;
pub mod ioctl;
pub mod kms;
pub mod master;
pub mod mode;
pub mod plugin;
pub mod rect;
pub mod sync;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod uapi;
pub mod wire;
