// SPDX-License-Identifier: MIT
//! The host's end of a worker: a [`Link`] starts it, loads it, binds it and calls it.
//!
//! * [`Config`], [`Plugin`], [`Binding`]: what is given;
//! * [`Link`]: the process, and the calls ([`drvhost_port::Worker`]);
//! * `reader`: the thread that takes a worker's messages and notices its end;
//! * [`HangReport`]: the hang detector; [`CrashReport`]: what is left of a dead worker.

mod call;
mod config;
mod error;
mod exit;
mod flight;
mod hang;
mod reader;
mod report;
mod shared;
mod spawn;
mod symbols;
mod upcall;

pub use config::{Binding, Config, Firmware, Loaded, LogLine, Plugin, Sink};
pub use error::LinkError;
pub use exit::{Cause, Exit, Status, signal_name};
pub use hang::HangReport;
pub use report::{CrashReport, Frame};

use crate::wire::message::{self, ToWorker};
use drvhost_abi::Errno;
use shared::{Bound, Shared};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// A worker process. Dropping it kills the process and waits for its end.
///
/// All methods may be called from any thread. Those that wait for the worker end with an error as
/// soon as it is dead; they do not end by themselves when it hangs: watch [`Link::hang`].
#[derive(Debug)]
pub struct Link {
    shared: Arc<Shared>,
    plugin: Mutex<Option<Plugin>>,
    reader: Mutex<Option<JoinHandle<()>>>,
}

impl Link {
    /// Starts a worker process. It knows nothing yet.
    pub fn spawn(config: &Config) -> Result<Link, LinkError> {
        spawn::spawn(config)
    }

    /// Has the worker lock itself in and load a plugin. A worker that is loaded and not yet bound
    /// is a spare.
    pub fn load(&self, plugin: &Plugin) -> Result<Loaded, LinkError> {
        if std::mem::replace(&mut self.shared.state().load_sent, true) {
            return Err(LinkError::Order);
        }
        *self.plugin() = Some(plugin.clone());
        let config = &self.shared.config;
        let _call = self.shared.begin();
        let load = message::Load {
            name: plugin.name.clone(),
            kind: plugin.kind,
            kpi: plugin.kpi.is_some(),
            preload: plugin.preload.clone(),
            limits: config.limits,
            log_level: config.log_level as u8,
        };
        let mut fds = vec![plugin.driver.as_fd()];
        fds.extend(plugin.kpi.iter().map(|kpi| kpi.as_fd()));
        self.shared.send(&ToWorker::Load(load), &fds);
        let loaded = self
            .shared
            .wait_for("loaded its plugin", |state| state.loaded.clone())?;
        for what in loaded.iter().flat_map(|loaded| &loaded.unconfined) {
            self.shared.log(LogLine {
                level: log::Level::Warn as u8,
                target: "drvhost".into(),
                text: format!("the worker is confined in part only: {what}"),
            });
        }
        loaded.map_err(|reason| LinkError::Load {
            name: plugin.name.clone(),
            reason,
        })
    }

    /// Gives a device to a loaded worker and has its driver probe it.
    pub fn bind(&self, binding: Binding) -> Result<(), LinkError> {
        let shared = &self.shared;
        if !matches!(shared.state().loaded, Some(Ok(_)))
            || shared.binding.set(Bound::new(&binding)).is_err()
        {
            return Err(LinkError::Order);
        }
        let address = binding.address.to_string();
        let _call = shared.begin();
        let bind = message::Bind {
            address: address.clone(),
            ids: binding.ids,
            params: binding.params,
            vblank_base: binding.vblank_base,
        };
        shared.send(&ToWorker::Bind(bind), &[binding.device.as_fd()]);
        drop(binding.device);
        let probed = shared.wait_for("probed its device", |state| state.probed.clone())?;
        let nodes = probed.map_err(|errno| LinkError::Probe {
            address,
            errno: Errno(errno),
        })?;
        shared.nodes.set(nodes).map_err(|_| LinkError::Order)
    }

    /// Asks the worker to give its device up and to exit. [`Link::wait`] for it; kill it when that
    /// takes too long.
    pub fn remove(&self) {
        self.shared.state().cause.get_or_insert(Cause::Removed);
        self.shared.send(&ToWorker::Remove, &[]);
    }

    /// Kills the worker. The first cause is the one that is reported.
    pub fn kill(&self, cause: Cause) {
        self.shared.kill(cause);
    }

    /// The worker's process id.
    pub fn pid(&self) -> u32 {
        self.shared.pid
    }

    /// How the worker ended, if it did. All that it sent was taken before.
    pub fn exited(&self) -> Option<Exit> {
        self.shared.state().exit.clone()
    }

    /// Sleeps until the worker has ended.
    pub fn wait(&self) -> Exit {
        let mut state = self.shared.state();
        loop {
            if let Some(exit) = &state.exit {
                return exit.clone();
            }
            state = self
                .shared
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Has `f` called once when the worker has ended, on the link's thread (at once, here, if it
    /// has ended already). A later call replaces an earlier one.
    pub fn on_exit(&self, f: impl FnOnce(&Exit) + Send + 'static) {
        let mut state = self.shared.state();
        match state.exit.clone() {
            Some(exit) => {
                drop(state);
                f(&exit);
            }
            None => state.on_exit = Some(Box::new(f)),
        }
    }

    /// Calls under way, loading and probing included.
    pub fn outstanding(&self) -> usize {
        self.shared.in_flight.count()
    }

    /// Whether the hang detector has anything to watch.
    pub fn is_watched(&self) -> bool {
        self.shared.expected.load(Ordering::Relaxed) > 0 || self.outstanding() > 0
    }

    /// Nothing is expected: the next call tells `Config::busy` again. `false` where something is
    /// expected after all.
    pub fn rest(&self) -> bool {
        self.shared.stirred.store(false, Ordering::SeqCst);
        if self.is_watched() {
            self.shared.stirred.store(true, Ordering::SeqCst);
            return false;
        }
        true
    }

    /// Ioctls of clients that the worker has answered since their state was put back.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Whether the worker hangs at `now`, with `limit`; both in nanoseconds of the config's
    /// clock. The caller then kills it with [`Cause::Hang`].
    pub fn hang(&self, now: u64, limit: u64) -> Option<HangReport> {
        let shared = &self.shared;
        if shared.is_dead() {
            return None;
        }
        let expected = shared.expected.load(Ordering::Relaxed) > 0;
        let calls = shared.in_flight.times();
        hang::judge(&shared.progress.threads(), &calls, expected, now, limit)
    }

    /// What is known about the worker now; after its end, the crash report.
    pub fn report(&self) -> CrashReport {
        report::report(&self.shared, self.plugin().as_ref())
    }

    fn plugin(&self) -> std::sync::MutexGuard<'_, Option<Plugin>> {
        self.plugin.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.kill(Cause::Killed);
        let reader = self
            .reader
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // The last owner may be the exit callback, which runs on the reader itself.
        if let Some(reader) = reader
            && reader.thread().id() != std::thread::current().id()
        {
            let _ = reader.join();
        }
    }
}
