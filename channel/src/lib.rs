// SPDX-License-Identifier: MIT
//! How programs, the host and workers talk on Linux.
//!
//! Calls go through a ring in a sealed memfd with futexes; what carries descriptors goes through
//! short-lived seqpacket connections. Read in this order:
//! * [`memory`]: sealed shared memory that neither side can pull away from the other;
//! * [`ring`]: the call ring, its layout, and what each end may trust;
//! * [`packet`]: one message with descriptors over a seqpacket socket;
//! * [`program`]: the messages between a program's preload library and the host's front;
//! * [`paths`]: where the sockets are.

#![cfg(target_os = "linux")]

pub mod memory;
pub mod packet;
pub mod paths;
pub mod program;
pub mod ring;
