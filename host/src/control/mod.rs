// SPDX-License-Identifier: MIT
//! The control socket: what the commands say to the daemon.

pub mod client;
pub mod protocol;
pub mod report;
pub mod server;
