// SPDX-License-Identifier: MIT
//! What is left of a dead worker: its end, its registers and backtrace, its last lines, ioctls
//! and register accesses.

use super::config::{LogLine, Plugin};
use super::exit::{Exit, signal_name};
use super::shared::Shared;
use super::symbols::Symbols;
use crate::wire::progress::Thread;
use crate::wire::recorder::{AccessRecord, CallRecord, Module, REGISTER_NAMES};
use std::sync::PoisonError;

/// A crash report. Serialises to what `drvhost crashes --json` shows.
#[derive(Clone, Debug, serde::Serialize)]
pub struct CrashReport {
    /// The plugin's file, if one was loaded.
    pub plugin: Option<String>,
    /// The device, if one was bound.
    pub device: Option<String>,
    /// The worker's process id.
    pub pid: u32,
    /// How it ended; `None` while it lives.
    pub exit: Option<Exit>,
    /// The signal that its handler saw, as `SIGSEGV at 0x10`.
    pub signal: Option<String>,
    /// Registers at the fault, by name.
    pub registers: Vec<(&'static str, u64)>,
    /// The stack at the fault, innermost first.
    pub backtrace: Vec<Frame>,
    /// What its threads did last.
    pub threads: Vec<Thread>,
    /// Its last log lines, oldest first.
    pub log: Vec<LogLine>,
    /// Its last ioctls, oldest first.
    pub calls: Vec<CallRecord>,
    /// Its last register accesses, oldest first.
    pub accesses: Vec<AccessRecord>,
}

/// One frame of a backtrace.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Frame {
    /// Address in the worker.
    pub address: u64,
    /// Which module it lies in, if known.
    pub module: Option<Module>,
    /// Address within the module's file.
    pub offset: u64,
    /// The function's name and the distance from its start.
    pub symbol: Option<(String, u64)>,
}

pub(super) fn report(shared: &Shared, plugin: Option<&Plugin>) -> CrashReport {
    let recorder = &shared.recorder;
    let crash = recorder.crash();
    let modules = recorder.modules();
    let mut symbols = Symbols::new(plugin, shared.config.executable());
    let frame = |address: &u64| {
        let module = modules
            .iter()
            .find(|module| (module.base..module.end).contains(address));
        let offset = module.map_or(*address, |module| address - module.base);
        Frame {
            address: *address,
            module: module.map(|module| module.module),
            offset,
            symbol: module.and_then(|module| symbols.find(module.module, offset)),
        }
    };
    let backtrace = crash
        .iter()
        .flat_map(|crash| &crash.frames)
        .map(frame)
        .collect();
    CrashReport {
        plugin: plugin.map(|plugin| plugin.name.clone()),
        device: shared.binding.get().map(|bound| bound.address.clone()),
        pid: shared.pid,
        exit: shared.state().exit.clone(),
        signal: crash
            .as_ref()
            .map(|crash| format!("{} at {:#x}", signal_name(crash.signal), crash.address)),
        registers: crash
            .iter()
            .flat_map(|crash| REGISTER_NAMES.into_iter().zip(crash.registers))
            .collect(),
        backtrace,
        threads: shared.progress.threads(),
        log: shared
            .log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect(),
        calls: recorder.calls(),
        accesses: recorder.accesses(),
    }
}
