// SPDX-License-Identifier: MIT
//! The DRM uAPI as programs know it.
//!
//! Structs and constants are `drm-sys`'s (generated from `drm.h` and `drm_mode.h`), formats and
//! modifiers are `drm-fourcc`'s; both are re-exported here. What they lack is defined beside:
//! * [`pod`]: reading and writing the structs as bytes;
//! * [`ioctl`]: the ioctl numbers, computed from number, struct size and direction;
//! * [`values`]: constants of the headers that `drm-sys` lacks, or has as `u32` where a `u64` is used;
//! * [`names`]: the names that the kernel gives connector and encoder types, and so on.

pub mod ioctl;
pub mod names;
pub mod pod;
pub mod values;

pub use drm_fourcc::{DrmFormat, DrmFourcc, DrmModifier};
pub use drm_sys::*;
pub use drvhost_abi::Errno;
pub use pod::Pod;
pub use values::*;

// Pointers and `size_t` are eight bytes in every size and offset here.
const _: () = assert!(
    size_of::<usize>() == 8,
    "the codec knows the layouts of 64-bit systems only"
);
