// SPDX-License-Identifier: MIT
//! Kernel mode setting: the objects programs see and the state they are in.
//!
//! Read in this order:
//! * [`property`]: the standard properties;
//! * [`objects`]: planes, CRTCs, encoders, connectors, with their ids and properties;
//! * [`blob`], [`framebuffer`], [`registry`]: what programs make, and its ids;
//! * [`format`]: pixel formats;
//! * [`state`]: what an atomic commit changes;
//! * [`transaction`]: a change being put together, [`set`]: its properties;
//! * [`check`]: whether it may be;
//! * [`damage`]: what has to be drawn again;
//! * [`commit`]: making it so, [`later`]: on another thread where nobody waits;
//! * [`vblank`]: counting vertical blanks; [`event`]: telling programs.

pub mod blob;
pub mod check;
pub mod commit;
pub mod damage;
pub mod event;
pub mod format;
pub mod framebuffer;
pub mod later;
pub mod objects;
pub mod property;
pub mod registry;
pub mod set;
pub mod state;
pub mod transaction;
pub mod vblank;
