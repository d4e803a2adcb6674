// SPDX-License-Identifier: MIT
//! How a DRM call travels between processes: one wire format everywhere.
//!
//! A call is `(cmd, payload)`; the payload is the argument's **fixed part**, then its **arrays**:
//! * the fixed part is the uAPI struct without its pointers, in C layout;
//! * the arrays follow in the order of their pointers, with nothing between them, each as many
//!   elements as its count field says.
//!
//! The answer is a payload of the same length and a result (zero or more, or a negative error
//! number). This is the rule that Redox's libc follows, so its bytes and ours are the same; numbers
//! it does not know follow the same rule. `MODE_ATOMIC` carries one field more: the length of its
//! property arrays, which is a sum. A number without a descriptor (driver-private ones) travels
//! as its struct's bytes.
//!
//! Read in this order:
//! * [`descriptor`]: what is known about an ioctl;
//! * [`table`]: that, for every core ioctl;
//! * [`client`]: the program's end: from its memory to a payload and back;
//! * [`message`]: the server's end: a payload as a struct and arrays.

pub mod client;
pub mod descriptor;
pub mod message;
pub mod table;
#[cfg(test)]
mod tests;

pub use client::{Call, ClientMemory, EncodeError, encode, finish};
pub use descriptor::{Array, Count, Descriptor, DescriptorPassing, Fill, Flow, Permissions};
pub use message::Message;
pub use table::{TABLE, describe, describe_number};

/// No payload is longer, in bytes.
pub const MAX_PAYLOAD: usize = 1 << 20;

/// No argument has more arrays.
pub const MAX_ARRAYS: usize = 4;

/// No argument with pointers is longer, in bytes (`drm_mode_crtc`).
pub const MAX_ARGUMENT: usize = 104;
