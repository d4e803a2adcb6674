// SPDX-License-Identifier: MIT
//! What the end-to-end tests stand on: a machine with drvhost on it, and real clients.
//!
//! The programs are those of the same build: `cargo build --release --workspace` comes first.
//! Each machine has directories of its own and ends with its value.

mod client;
mod machine;
mod picture;
mod process;

pub use client::Client;
pub use machine::{Machine, Options, programs};
pub use picture::Picture;
pub use process::{Guard, until};
