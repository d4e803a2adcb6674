// SPDX-License-Identifier: MIT
//! vfio-user: a PCI function offered by another process over a UNIX socket.
//!
//! Protocol 0.1 as libvfio-user speaks it. Read [`proto`] (the messages), [`wire`] (how they
//! travel; shared with the simulator's server), `connection` (one request, one answer), then
//! [`Client`] (the backend) and [`enumerate`] (the bus: a directory of sockets).

mod bus;
mod client;
mod connection;
mod dma;
mod info;
mod irq;
mod memory;
mod negotiate;
pub mod proto;
mod state;
pub mod wire;

pub use bus::{SOCKET_SUFFIX, enumerate, socket_address, socket_path};
pub use client::Client;
