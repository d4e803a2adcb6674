// SPDX-License-Identifier: MIT
//! What the host says when it starts a worker, loads a plugin and binds a device.

use crate::wire::clock::Clock;
use crate::wire::message::{Kind, Limits};
use drvhost_abi::Errno;
use drvhost_plugin::{PluginKind, Verified};
use drvhost_port::Upcalls;
use std::ffi::OsString;
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

/// The name of the Linux kernel API's library.
const KPI: &str = "libkpi.so";

/// A log line of a worker.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LogLine {
    /// How bad: 1 error to 5 trace.
    pub level: u8,
    /// Who wrote it (a module path; `stderr` for what the worker printed).
    pub target: String,
    /// What. One line; control characters were taken out.
    pub text: String,
}

impl LogLine {
    /// The level as the `log` crate has it.
    pub fn level(&self) -> log::Level {
        match self.level {
            0 | 1 => log::Level::Error,
            2 => log::Level::Warn,
            3 => log::Level::Info,
            4 => log::Level::Debug,
            _ => log::Level::Trace,
        }
    }
}

/// Takes a worker's log lines, on the link's thread.
pub type Sink = Arc<dyn Fn(&LogLine) + Send + Sync>;

/// How workers are started.
#[derive(Clone)]
pub struct Config {
    /// The executable; `None` for the one that runs now.
    pub exe: Option<PathBuf>,
    /// Its arguments; they must lead to [`crate::run`].
    pub args: Vec<OsString>,
    /// The clock that workers follow.
    pub clock: Arc<Clock>,
    /// What each may use.
    pub limits: Limits,
    /// Which log lines are wanted.
    pub log_level: log::LevelFilter,
    /// Where they go.
    pub sink: Sink,
    /// Told that something is expected of a worker after a quiet time ([`super::Link::rest`]).
    pub busy: Arc<dyn Fn() + Send + Sync>,
}

impl Config {
    /// This executable's `worker` command, default limits, lines to the `log` crate.
    pub fn new(clock: Arc<Clock>) -> Config {
        Config {
            exe: None,
            args: vec!["worker".into()],
            clock,
            limits: Limits::default(),
            log_level: log::max_level(),
            busy: Arc::new(|| {}),
            sink: Arc::new(
                |line| log::log!(target: "worker", line.level(), "{}: {}", line.target, line.text),
            ),
        }
    }
}

impl Config {
    /// The file that workers are made of.
    pub(super) fn executable(&self) -> PathBuf {
        // Names the running executable even after its file was replaced.
        self.exe.clone().unwrap_or_else(|| "/proc/self/exe".into())
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("exe", &self.exe)
            .field("args", &self.args)
            .field("limits", &self.limits)
            .field("log_level", &self.log_level)
            .finish_non_exhaustive()
    }
}

/// A plugin that was found good: sealed copies of its files.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// The file it came from, for messages.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The driver: a memfd sealed against every change.
    pub driver: Arc<OwnedFd>,
    /// The libkpi.so that it needs, likewise sealed.
    pub kpi: Option<Arc<OwnedFd>>,
    /// System libraries that it needs (`libm.so.6`); the worker loads them before it locks
    /// itself in. Only what the host trusts belongs here.
    pub preload: Vec<String>,
}

impl Plugin {
    /// Takes what the checks before loading found good.
    pub fn new(verified: Verified, kpi: Option<Arc<OwnedFd>>) -> Plugin {
        Plugin {
            name: verified.path.display().to_string(),
            kind: match verified.kind {
                PluginKind::Rust => Kind::Rust,
                PluginKind::C => Kind::C,
            },
            driver: Arc::new(verified.sealed.into_fd()),
            kpi,
            // libkpi.so comes as a descriptor; all else was checked to be the system's.
            preload: verified
                .needed
                .into_iter()
                .filter(|name| name != KPI)
                .collect(),
        }
    }
}

/// Gives a driver's firmware files: a sealed memfd and its length in bytes, or `ENOENT`.
pub type Firmware = Arc<dyn Fn(&str) -> Result<(OwnedFd, u64), Errno> + Send + Sync>;

/// A device for a loaded worker.
pub struct Binding {
    /// A connected, negotiated vfio-user socket that nobody else uses.
    pub device: OwnedFd,
    /// Where the device is.
    pub address: driver_sys::PciAddress,
    /// What it is.
    pub ids: driver_sys::PciIds,
    /// The driver's parameters.
    pub params: Vec<(String, String)>,
    /// The first sequence number that a vblank counter may show.
    pub vblank_base: u64,
    /// What the driver asks goes here.
    pub upcalls: Arc<dyn Upcalls>,
    /// Where its firmware comes from.
    pub firmware: Firmware,
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Binding")
            .field("address", &self.address)
            .field("ids", &self.ids)
            .field("params", &self.params)
            .field("vblank_base", &self.vblank_base)
            .finish_non_exhaustive()
    }
}

/// What a loaded plugin says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The driver's name.
    pub driver: String,
    /// Its line about itself.
    pub description: String,
    /// What is missing of the worker's confinement, in words; empty when all is in force.
    pub unconfined: Vec<String>,
}
