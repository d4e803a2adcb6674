// SPDX-License-Identifier: MIT
//! DRM for drivers in Rust: the uAPI and its wire codec, and the KMS and GEM core.
//!
//! Read in this order:
//! * [`uapi`]: the structs, numbers and names that programs know;
//! * [`wire`]: how a call travels: the table of all core ioctls, and both ends of the codec;
//! * [`edid`]: what a monitor says of itself, and the modes that follow.

pub mod edid;
pub mod uapi;
pub mod wire;
