// SPDX-License-Identifier: MIT
//! Supervision: one actor for each device, which starts its worker, watches it, and replaces it.
//!
//! Read in this order:
//! * [`state`]: the states and what leads from one to another;
//! * [`policy`]: when a dead worker is replaced;
//! * [`context`]: what all actors share;
//! * [`device`]: the actor: its commands and its loop;
//! * [`choice`]: which driver a device gets; [`access`]: who may open its nodes;
//! * [`images`]: drivers' files that were checked;
//! * [`start`]: how a worker is started, bound and given the recorded state;
//! * [`watchdog`]: finds workers that hang;
//! * [`firmware`]: what drivers ask for;
//! * [`crash`]: what is kept of a dead worker.

mod access;
mod choice;
mod context;
mod crash;
mod device;
mod firmware;
mod images;
mod policy;
mod start;
mod state;
mod watchdog;

pub use choice::manifest_device;
pub use context::{Context, Crashes};
pub use device::{Command, Device};
pub use images::Images;
pub use state::State;
pub use watchdog::Watchdog;
