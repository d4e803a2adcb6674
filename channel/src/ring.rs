// SPDX-License-Identifier: MIT
//! The call ring: a number of slots in shared memory, each for one call at a time.
//!
//! Layout (little endian, all offsets in bytes): a header page, then the slots.
//!
//! | header | | slot | |
//! |---|---|---|---|
//! | 0 `doorbell` u32: goes up with every request | futex | 0 the call's head ([`Head`]) | |
//! | 64 `sleepers` u32: servers that sleep on the doorbell | | 128 objects ([`MAX_OBJECTS`] × 16) | |
//! | 128 `freed` u32: goes up when a slot is freed | futex | [`PAYLOAD_AT`] payload | |
//! | 192 `queue` u32: clients that sleep on `freed` | | | |
//! | 256 `closed` u32 | | | |
//! | 1024 and every 16: a slot's `state` u32 | futex | | |
//! | 4 bytes on: `server_cpu` u32; 8: `waiting` u32: the client sleeps on `state` | | | |
//!
//! A slot goes `FREE → CLAIMED → REQUEST → BUSY → DONE → FREE`; the client does the first two and
//! the last step, the server the others. Neither end trusts the other: sizes come from constants,
//! never from the memory; a request and an answer are copied out before they are looked at.
//! Memory that is not touched costs nothing, so slots are as large as the largest call.

mod client;
mod layout;
mod server;
#[cfg(test)]
mod tests;

pub use client::{CallError, RingClient};
pub use layout::{Head, MAX_OBJECTS, MAX_PAYLOAD, PAYLOAD_AT, Ring, Slots};
pub use server::{RingServer, Stopper, Taken};
