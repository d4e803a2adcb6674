// SPDX-License-Identifier: MIT
//! The control socket: one JSON object a line, one JSON reply a line. README.md has the list.
//!
//! `command` says what can be asked, `server` listens, `client` asks.

mod client;
mod command;
mod server;

pub use client::{ask, request};
pub use command::{Command, run, written};
pub use server::{Control, SOCKET};
