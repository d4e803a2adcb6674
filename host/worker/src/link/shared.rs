// SPDX-License-Identifier: MIT
//! What a link's callers and its reader thread share.

use super::config::{Binding, Config, Loaded, LogLine};
use super::error::LinkError;
use super::exit::{Cause, Exit};
use super::flight::{Call, InFlight};
use crate::wire::message::{self, MessageError, ToWorker};
use crate::wire::progress::Progress;
use crate::wire::recorder::Recorder;
use drvhost_channel::ring::{RingClient, Stopper};
use drvhost_port::Node;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

/// Log lines that are kept for a crash report.
pub(super) const LOG_TAIL: usize = 200;

pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) pid: u32,
    pub(super) pidfd: OwnedFd,
    pub(super) control: OwnedFd,
    pub(super) ring: RingClient,
    pub(super) stopper: Stopper,
    pub(super) progress: Progress,
    pub(super) recorder: Recorder,
    pub(super) in_flight: InFlight,
    pub(super) expected: AtomicI64,
    /// Ioctls of clients that were answered; replayed ones do not count.
    pub(super) answered: AtomicU64,
    /// Whether the watchdog was told that something is expected.
    pub(super) stirred: AtomicBool,
    pub(super) dead: AtomicBool,
    pub(super) binding: OnceLock<Bound>,
    pub(super) nodes: OnceLock<Vec<Node>>,
    pub(super) log: Mutex<VecDeque<LogLine>>,
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
}

/// What of a [`Binding`] is needed while the worker lives.
#[derive(Clone)]
pub(super) struct Bound {
    pub(super) address: String,
    pub(super) upcalls: Arc<dyn drvhost_port::Upcalls>,
    pub(super) firmware: super::config::Firmware,
}

impl Bound {
    pub(super) fn new(binding: &Binding) -> Bound {
        Bound {
            address: binding.address.to_string(),
            upcalls: binding.upcalls.clone(),
            firmware: binding.firmware.clone(),
        }
    }
}

/// What is called once when the worker has ended.
pub(super) type OnExit = Box<dyn FnOnce(&Exit) + Send>;

#[derive(Default)]
pub(super) struct State {
    pub(super) load_sent: bool,
    pub(super) loaded: Option<Result<Loaded, String>>,
    pub(super) probed: Option<Result<Vec<Node>, i32>>,
    pub(super) served: HashMap<u32, Option<i32>>,
    pub(super) next_serve: u32,
    // The first reason counts: what follows a kill is its consequence.
    pub(super) cause: Option<Cause>,
    pub(super) exit: Option<Exit>,
    pub(super) on_exit: Option<OnExit>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// A call begins; it is over when the answer is dropped.
    pub(super) fn begin(&self) -> Call<'_> {
        let call = self.in_flight.begin(self.config.clock.now());
        self.stir();
        call
    }

    /// Something is expected of the worker: after a quiet time the watchdog has to know.
    pub(super) fn stir(&self) {
        if !self.stirred.load(Ordering::Relaxed) && !self.stirred.swap(true, Ordering::SeqCst) {
            (self.config.busy)();
        }
    }

    /// Sleeps until `look` finds something, or the worker has ended.
    pub(super) fn wait_for<T>(
        &self,
        doing: &'static str,
        mut look: impl FnMut(&mut State) -> Option<T>,
    ) -> Result<T, LinkError> {
        let mut state = self.state();
        loop {
            if let Some(found) = look(&mut state) {
                return Ok(found);
            }
            if let Some(exit) = &state.exit {
                let (exit, log) = (Box::new(exit.clone()), self.log.lock());
                let log = log.unwrap_or_else(PoisonError::into_inner);
                let last = log.back().map(|line| line.text.clone());
                return Err(LinkError::Died { doing, exit, last });
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Sends a message. A worker that does not read is killed; one that is gone ends its calls by
    /// itself: nothing is to be done here in either case.
    pub(super) fn send(&self, message: &ToWorker, fds: &[BorrowedFd<'_>]) {
        match message::send(self.control.as_fd(), message, fds, false) {
            Ok(()) | Err(MessageError::Closed) => {}
            Err(error) => self.kill(Cause::Violation(error.to_string())),
        }
    }

    pub(super) fn kill(&self, cause: Cause) {
        let mut state = self.state();
        if state.exit.is_some() {
            return;
        }
        state.cause.get_or_insert(cause);
        // The descriptor names this process even after its end, so nobody else is hit.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, rustix::process::Signal::KILL);
    }

    pub(super) fn log(&self, line: LogLine) {
        (self.config.sink)(&line);
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.len() == LOG_TAIL {
            log.pop_front();
        }
        log.push_back(line);
    }
}
