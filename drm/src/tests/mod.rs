// SPDX-License-Identifier: MIT
//! The core over a fake host and a fake GPU: [`gpu`] is the device, [`client`] a program.

mod atomic;
mod basic;
mod client;
mod fuzz;
mod gpu;
mod lease;
mod modeset;
mod sync;
mod vblank;
