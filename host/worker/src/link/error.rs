// SPDX-License-Identifier: MIT
//! Why a worker could not be started, loaded or bound.

use super::exit::Exit;
use drvhost_abi::Errno;
use std::path::PathBuf;

/// Why a worker could not be started, loaded or bound.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The executable can't be started.
    #[error("can't start a worker from {exe}: {source}", exe = .exe.display())]
    Spawn {
        /// The executable.
        exe: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The system refused memory, sockets or threads.
    #[error("can't set a worker up ({what}): {source}")]
    Setup {
        /// What was tried.
        what: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The plugin can't be loaded. The worker is of no more use.
    #[error("{name}: {reason}")]
    Load {
        /// The plugin's file.
        name: String,
        /// Why.
        reason: String,
    },
    /// The driver refused the device. The worker is of no more use.
    #[error("the driver refused {address}: {errno}")]
    Probe {
        /// The device.
        address: String,
        /// The driver's reason.
        errno: Errno,
    },
    /// The worker ended meanwhile.
    #[error("the worker ended while it {doing}: {exit}{}", last_line(.last))]
    Died {
        /// What it did.
        doing: &'static str,
        /// How it ended.
        exit: Box<Exit>,
        /// Its last log line.
        last: Option<String>,
    },
    /// Load once, then bind once.
    #[error("a worker is loaded once and then bound once")]
    Order,
}

impl LinkError {
    pub(super) fn setup(what: &'static str) -> impl Fn(rustix::io::Errno) -> LinkError {
        move |errno| LinkError::Setup {
            what,
            source: errno.into(),
        }
    }
}

fn last_line(last: &Option<String>) -> String {
    last.as_ref()
        .map_or_else(String::new, |line| format!("; it last said: {line}"))
}
