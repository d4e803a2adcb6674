// SPDX-License-Identifier: MIT
//! How the supervisor treats a driver that crashes or hangs.

use serde::{Deserialize, Serialize};

/// What happens to a worker that died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Restart {
    /// The first crash restarts at once; crashes without progress in between back off.
    #[default]
    Immediate,
    /// Every crash waits for the back-off first, the first one too.
    BackOff,
    /// The first crash quarantines the driver.
    Never,
}

/// The knobs of supervision; what is left out has the value of [`Policy::default`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// What happens to a worker that died.
    pub restart: Restart,
    /// The first back-off, in milliseconds; each further crash without progress doubles it.
    pub backoff_first_ms: u32,
    /// The longest back-off, in milliseconds.
    pub backoff_limit_ms: u32,
    /// After this many crashes in a row without progress the driver is quarantined.
    pub quarantine_after: u32,
    /// A thread that runs, or holds a lock, this many milliseconds without reaching the runtime
    /// hangs.
    pub hang_limit_ms: u32,
    /// Keep a second worker started and loaded, so that a restart costs neither exec nor dlopen.
    pub spare: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            restart: Restart::Immediate,
            backoff_first_ms: 50,
            backoff_limit_ms: 10_000,
            quarantine_after: 5,
            hang_limit_ms: 2_000,
            spare: false,
        }
    }
}
