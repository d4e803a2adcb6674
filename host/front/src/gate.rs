// SPDX-License-Identifier: MIT
//! The gate between callers and a device's worker: callers wait here while there is none, and
//! recovery waits here until no call is under way.

use drvhost_abi::Errno;
use drvhost_port::Worker;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
enum Phase {
    /// No worker: callers wait.
    #[default]
    Closed,
    /// A worker is being brought up to date: callers wait.
    Resuming,
    /// Callers pass.
    Open(Arc<dyn Worker>),
    /// For good: callers get `ENODEV`.
    Removed,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    generation: u64,
    active: usize,
}

/// The gate of one device.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

/// A call under way. Recovery does not begin before it is dropped, so what the call did is in the
/// record before the record is read.
#[derive(Debug)]
pub struct Pass<'a> {
    gate: &'a Gate,
    generation: u64,
    worker: Option<Arc<dyn Worker>>,
}

impl Gate {
    /// Waits for a worker. `ENODEV` when the device is gone for good, or the caller's file is
    /// being closed (see [`Gate::look_again`]).
    pub fn enter(&self, closing: &AtomicBool) -> Result<Pass<'_>, Errno> {
        let mut state = self.lock();
        loop {
            match &state.phase {
                _ if closing.load(Ordering::Relaxed) => return Err(Errno::ENODEV),
                Phase::Open(worker) => {
                    let worker = Some(worker.clone());
                    return Ok(self.pass(&mut state, worker));
                }
                Phase::Removed => return Err(Errno::ENODEV),
                Phase::Closed | Phase::Resuming => state = self.wait(state),
            }
        }
    }

    /// A file is being closed: those who wait on its behalf must look.
    pub fn look_again(&self) {
        let _state = self.lock();
        self.changed.notify_all();
    }

    /// Goes in with or without a worker, only not during recovery: to close things.
    pub fn enter_anyway(&self) -> Pass<'_> {
        let mut state = self.lock();
        loop {
            match &state.phase {
                Phase::Open(worker) => {
                    let worker = Some(worker.clone());
                    return self.pass(&mut state, worker);
                }
                Phase::Closed | Phase::Removed => return self.pass(&mut state, None),
                Phase::Resuming => state = self.wait(state),
            }
        }
    }

    /// There is no worker any more: callers wait from now on.
    pub fn close(&self) {
        let mut state = self.lock();
        if !matches!(state.phase, Phase::Removed) {
            state.phase = Phase::Closed;
        }
        self.changed.notify_all();
    }

    /// Begins recovery: returns when no call is under way any more. `ENODEV` after `remove`.
    pub fn begin(&self) -> Result<(), Errno> {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Removed) {
            return Err(Errno::ENODEV);
        }
        state.phase = Phase::Resuming;
        while state.active > 0 {
            state = self.wait(state);
        }
        match state.phase {
            Phase::Removed => Err(Errno::ENODEV),
            _ => Ok(()),
        }
    }

    /// Ends recovery: callers pass.
    pub fn open(&self, worker: Arc<dyn Worker>) {
        let mut state = self.lock();
        if !matches!(state.phase, Phase::Removed) {
            state.generation += 1;
            state.phase = Phase::Open(worker);
        }
        self.changed.notify_all();
    }

    /// The device is gone for good.
    pub fn remove(&self) {
        self.lock().phase = Phase::Removed;
        self.changed.notify_all();
    }

    /// Whether the device is gone for good.
    pub fn is_removed(&self) -> bool {
        matches!(self.lock().phase, Phase::Removed)
    }

    /// Whether a worker serves calls now.
    pub fn is_open(&self) -> bool {
        matches!(self.lock().phase, Phase::Open(_))
    }

    fn pass(&self, state: &mut State, worker: Option<Arc<dyn Worker>>) -> Pass<'_> {
        state.active += 1;
        Pass {
            gate: self,
            generation: state.generation,
            worker,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let result = self.changed.wait(state);
        result.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// The worker, if there is one.
    pub fn worker(&self) -> Option<&Arc<dyn Worker>> {
        self.worker.as_ref()
    }

    /// A call of this pass found the worker dead: callers wait, even before the supervisor says
    /// so.
    pub fn died(self) {
        let mut state = self.gate.lock();
        if state.generation == self.generation && matches!(state.phase, Phase::Open(_)) {
            state.phase = Phase::Closed;
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.active -= 1;
        if state.active == 0 {
            self.gate.changed.notify_all();
        }
    }
}
