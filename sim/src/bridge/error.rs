// SPDX-License-Identifier: MIT
//! What can go wrong between the bridge and QEMU.

use std::io;
use std::path::PathBuf;

/// An error of the bridge: what was tried, on what, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// The QEMU program could not be started.
    #[error("cannot start {program}: {source}; install it (Debian: qemu-system-x86)")]
    Start {
        /// The program that was tried.
        program: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// QEMU ended, or closed one of its sockets.
    #[error("QEMU for {device} ended while {doing}: {stderr}")]
    Gone {
        /// The device it emulated.
        device: String,
        /// What the bridge was doing.
        doing: String,
        /// The end of what QEMU wrote to stderr.
        stderr: String,
    },
    /// A system call failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was tried.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
    /// QEMU did not answer in time.
    #[error("QEMU did not answer within {seconds} s while {doing}")]
    Timeout {
        /// What was asked.
        doing: String,
        /// How long the bridge waited.
        seconds: u64,
    },
    /// QEMU answered something that the protocol does not know.
    #[error("QEMU's answer to {doing} makes no sense: {answer:?}")]
    Protocol {
        /// What was asked.
        doing: String,
        /// The start of the answer.
        answer: String,
    },
    /// QEMU refused a command.
    #[error("QEMU refused {doing}: {reason}")]
    Refused {
        /// What was asked.
        doing: String,
        /// QEMU's words.
        reason: String,
    },
    /// A device wants more address space than the bridge hands out.
    #[error("the BARs of {device} need {wanted:#x} bytes of {space}, there are {available:#x}")]
    NoSpace {
        /// The device.
        device: String,
        /// "memory" or "port I/O".
        space: &'static str,
        /// What the BARs add up to, aligned.
        wanted: u64,
        /// What the window holds.
        available: u64,
    },
    /// Nothing answers where the device should be.
    #[error("no PCI function behind the root port: QEMU did not plug {device} there")]
    NoDevice {
        /// The device.
        device: String,
    },
    /// The machine file asks for something the bridge can't do.
    #[error("machine file: {0}")]
    Config(String),
}

impl BridgeError {
    /// An [`BridgeError::Io`] with what was tried.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> BridgeError {
        let doing = doing.into();
        move |source| BridgeError::Io { doing, source }
    }
}
