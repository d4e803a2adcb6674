// SPDX-License-Identifier: MIT
//! The preload library that gives Linux programs drvhost's devices.
//!
//! A program's descriptor of a node is the event socket itself, so `poll`, `dup`, `fork`, passing
//! and `exec` need nothing from us; what a socket can't do is done here. Read in this order:
//! * [`exports`]: the functions of libc that programs reach us through;
//! * [`trap`]: the same for programs that make system calls by themselves;
//! * [`node`], [`files`], [`table`]: what a path or a descriptor stands for, and its ring;
//! * [`front`]: asking the host, over short-lived connections;
//! * [`open`], [`call`], [`passing`], [`map`], [`events`], [`disguise`]: open, ioctl, ioctl with
//!   descriptors, mmap, read, stat;
//! * [`raw`], [`memory`], [`frames`], [`next`]: system calls, the program's memory, the part of it
//!   that is known to be good, libc's own functions.
//!
//! Rules that hold everywhere: no panic leaves the library; `errno` changes only on failure; the
//! common path allocates nothing and takes no lock, because it may run in a signal handler.

#![cfg(target_os = "linux")]
// In its own tests the library must not take libc's place, so nobody calls its functions.
#![cfg_attr(test, allow(dead_code))]

mod call;
mod disguise;
mod events;
mod exports;
mod files;
mod frames;
mod front;
mod map;
mod memory;
mod next;
mod node;
mod open;
mod passing;
mod raw;
mod start;
mod table;
mod trap;
