// SPDX-License-Identifier: MIT
//! What host and worker share: messages, and the layouts of their shared memory.
//!
//! * [`message`]: the control messages, over a seqpacket socket;
//! * [`ops`]: the operations of the call ring;
//! * [`clock`]: monotonic time, real or stepped by tests;
//! * [`progress`]: what each thread of a worker is doing;
//! * [`recorder`]: the flight recorder, read after a crash.

pub mod clock;
pub mod message;
pub mod ops;
pub mod progress;
pub mod recorder;
