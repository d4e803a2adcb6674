// SPDX-License-Identifier: MIT
//! What the daemon tells about devices: the answers' shapes, also of `--json`.

use crate::supervisor::State;
use serde::{Deserialize, Serialize};

/// One device, for `list` and `show`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeviceReport {
    /// PCI address.
    pub address: String,
    /// `vendor:device`, hexadecimal.
    pub id: String,
    /// Subsystem `vendor:device`, hexadecimal.
    pub subsystem: String,
    /// Class code, hexadecimal.
    pub class: String,
    /// The state's word.
    pub state: String,
    /// Why, where there is something to say.
    pub reason: String,
    /// The driver, if one was chosen.
    pub driver: Option<String>,
    /// Its library.
    pub library: Option<String>,
    /// Names of its nodes.
    pub nodes: Vec<String>,
    /// Process id of the worker.
    pub worker: Option<u32>,
    /// Process id of the spare worker.
    pub spare: Option<u32>,
    /// Workers started after the first.
    pub restarts: u64,
    /// What the last recovery could not put back.
    pub lost: Vec<String>,
    /// Numbers of its crash reports.
    pub crashes: Vec<u64>,
    /// Open files, buffers and more, for `show`.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub front: serde_json::Value,
}

impl DeviceReport {
    /// Sets what a state says.
    pub fn set_state(&mut self, state: &State) {
        self.state = state.word().into();
        self.reason = state.reason().into();
    }
}

/// Why a device has the driver it has, or none, for `doctor`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The device.
    pub device: DeviceReport,
    /// The explanation, rule by rule.
    pub text: String,
    /// Files that could not be used.
    pub problems: Vec<String>,
}

/// A crash report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CrashReport {
    /// Its number, counted from the daemon's start.
    pub id: u64,
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// PCI address.
    pub device: String,
    /// Driver.
    pub driver: String,
    /// Process id of the worker.
    pub worker: u32,
    /// How it ended: a signal, an exit code, a hang, a protocol violation.
    pub cause: String,
    /// Whether a client was served since the worker was bound.
    pub progress: bool,
    /// What was done about it.
    pub verdict: String,
    /// Registers, where the system tells.
    pub registers: Vec<String>,
    /// Frames, innermost first.
    pub backtrace: Vec<String>,
    /// The last ioctls, oldest first.
    pub ioctls: Vec<String>,
    /// The last register accesses, oldest first.
    pub accesses: Vec<String>,
    /// The worker's last log lines.
    pub log: Vec<String>,
}
