// SPDX-License-Identifier: MIT
//! The front on Linux. Read in this order:
//! * [`front`]: the listener and the one thread that waits for sockets;
//! * [`connection`]: asks over connections; [`open`]: opening, and rings for processes;
//! * [`ring`]: the threads that serve a ring; [`call`]: one ioctl; [`forward`]: to the worker,
//!   over any number of workers; [`wait`]: calls that wait long; [`descriptors`]: descriptors in calls;
//! * [`device`]: a device through all its workers; [`upcalls`]: what workers ask;
//!   [`objects`]: buffers; [`fences`]: fences and events;
//! * [`file`], [`close`]: open files and their end; [`pair`]: event sockets;
//! * [`shared`], [`poller`], [`pool`], [`peer`]: tables, waiting, threads, who asks;
//! * [`describe`], [`screenshot`]: for the commands.

mod call;
mod close;
mod connection;
mod connectors;
mod describe;
mod descriptors;
mod device;
mod fences;
mod file;
mod forward;
mod front;
mod objects;
mod open;
mod pair;
mod peer;
mod poller;
mod pool;
mod reap;
mod ring;
mod screenshot;
mod shared;
mod upcalls;
mod wait;

pub use connectors::ConnectorState;
pub use describe::{DeviceState, FileState, NodeState};
pub use device::{Device, DeviceConfig};
pub use front::{Front, StartError};
pub use screenshot::{Picture, PictureError};
