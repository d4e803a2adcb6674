// SPDX-License-Identifier: MIT
//! Checks on a driver's shared object before it is loaded.
//!
//! Once `dlopen` runs it is too late to say what is wrong: a truncated file is a SIGBUS, on Redox
//! an undefined symbol aborts the process, and a file that is overwritten while it is mapped takes
//! its worker down. So the file is read once, checked as the loader will read it (from the program
//! headers, not from the sections, which the loader never looks at), and loaded from a sealed copy
//! of what was checked.
//!
//! These checks give errors that name the file and the reason. They are no protection from a
//! driver that means harm: its code runs in a confined worker.
//!
//! Read in this order:
//!
//! | module | subject |
//! |---|---|
//! | [`checker`] | [`Checker::verify`]: all of it in order |
//! | [`error`] | everything that can be wrong |
//! | [`providers`] | which symbols the system's libraries have |
//! | [`sealed`] | the copy that is loaded |
//! | `file`, `image`, `dynamic`, `symbols`, `versions`, `relocations` | reading the file, from outside in |
//! | `entry` | which ABI the plugin declares |

pub mod checker;
mod dynamic;
mod entry;
pub mod error;
mod file;
mod image;
pub mod providers;
mod relocations;
pub mod sealed;
mod symbols;
mod versions;

pub use checker::{Checker, PluginKind, SYSTEM_LIBRARIES, Verified};
pub use error::{PluginError, Reason};
pub use providers::Providers;
pub use sealed::Sealed;
