// SPDX-License-Identifier: MIT
//! What can go wrong with a device, said so that a person can act on it.

use std::io;

/// Result of every hardware access.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a hardware access failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The device was unplugged, or the server behind it went away.
    #[error("{what}: the device is gone")]
    Gone {
        /// What was tried.
        what: String,
    },
    /// The device's side said no.
    #[error("{what}: refused with errno {errno}")]
    Refused {
        /// What was tried.
        what: String,
        /// Linux's number, positive.
        errno: i32,
    },
    /// No answer in time; the device is to be treated as hung and reset by another connection.
    #[error("{what}: no answer in {millis} ms; reset the device")]
    TimedOut {
        /// What was tried.
        what: String,
        /// How long it waited.
        millis: u64,
    },
    /// The other side broke the protocol; the connection can't be used any more.
    #[error("{what}: protocol violation: {why}; reconnect")]
    Protocol {
        /// What was tried.
        what: String,
        /// What was wrong with the answer.
        why: String,
    },
    /// Outside of the BAR, mapping or configuration space, or not aligned to its width.
    #[error("{what}: offset {offset:#x} with {len} bytes is outside of {size:#x} or misaligned")]
    OutOfRange {
        /// What was accessed.
        what: &'static str,
        /// Offset in bytes.
        offset: u64,
        /// Length in bytes.
        len: u64,
        /// Size of what was accessed, in bytes.
        size: u64,
    },
    /// This device or this backend has no such thing.
    #[error("{what}: not available: {why}")]
    Unsupported {
        /// What was tried.
        what: String,
        /// What is missing.
        why: String,
    },
    /// A parameter makes no sense.
    #[error("{what}: {why}")]
    Invalid {
        /// What was tried.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// A system call failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, on what.
        what: String,
        /// The system's reason.
        source: io::Error,
    },
}

impl Error {
    /// Wraps a failed system call.
    pub fn io(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Io {
            what: what.into(),
            source: source.into(),
        }
    }

    /// The errno (positive, Linux's numbers) that says this best to a caller who can only take one.
    pub fn errno(&self) -> i32 {
        match self {
            Self::Gone { .. } => 19,
            Self::Refused { errno, .. } => *errno,
            Self::TimedOut { .. } => 110,
            Self::Protocol { .. } => 71,
            Self::OutOfRange { .. } | Self::Invalid { .. } => 22,
            Self::Unsupported { .. } => 95,
            Self::Io { source, .. } => source.raw_os_error().unwrap_or(5),
        }
    }
}
