// SPDX-License-Identifier: MIT
//! The actor of a device: its commands and its loop.

use super::choice::{Choice, choose};
use super::context::Context;
use super::crash;
use super::policy::{self, RestartPolicy};
use super::start::{self, Refused};
use super::state::{Event, State, Verdict};
use crate::bus::Found;
use crate::control::report::{CrashReport, DeviceReport};
use drvhost_manifest::{Candidate, Diff};
use drvhost_port::Recovery;
use drvhost_worker::{Cause, Exit, Link};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What an actor can be told.
#[derive(Debug)]
pub enum Command {
    /// A worker ended.
    Died { pid: u32, exit: Exit },
    /// The stepped clock moved.
    Stepped,
    /// Files of the manifest directories changed.
    Reloaded(Arc<Diff>),
    /// A person wants a new worker.
    Restart,
    /// A person wants no driver until `Enable`.
    Disable,
    /// Undoes `Disable`.
    Enable,
    /// A person wants this driver.
    Bind(String),
    /// A person wants no driver.
    Unbind,
    /// The device is gone: the actor ends.
    Gone,
}

/// A device as the daemon has it. Dropping it does not end the actor; [`Command::Gone`] does.
#[derive(Debug)]
pub struct Device {
    /// What the bus found.
    pub found: Found,
    /// The number that its nodes get if it is free: devices keep their order.
    pub minor: Option<u32>,
    sender: Sender<Command>,
    report: Mutex<DeviceReport>,
    front: Mutex<Option<Arc<drvhost_front::Device>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Device {
    /// Starts the actor of a device. `minor` is the number that its nodes get if it is free.
    pub fn start(
        context: &Arc<Context>,
        found: Found,
        minor: Option<u32>,
    ) -> std::io::Result<Arc<Device>> {
        let (sender, receiver) = channel();
        let ids = &found.ids;
        let report = DeviceReport {
            address: found.address.to_string(),
            id: format!("{:04x}:{:04x}", ids.vendor, ids.device),
            subsystem: format!("{:04x}:{:04x}", ids.subvendor, ids.subdevice),
            class: format!("{:06x}", ids.class),
            state: "unbound".into(),
            reason: String::new(),
            driver: None,
            library: None,
            nodes: Vec::new(),
            worker: None,
            spare: None,
            restarts: 0,
            lost: Vec::new(),
            crashes: Vec::new(),
            front: serde_json::Value::Null,
        };
        let device = Arc::new(Device {
            found,
            minor,
            sender,
            report: Mutex::new(report),
            front: Mutex::new(None),
            thread: Mutex::new(None),
        });
        let mut actor = Actor {
            context: context.clone(),
            device: device.clone(),
            receiver,
            state: State::Unbound {
                reason: String::new(),
            },
            candidates: Vec::new(),
            current: 0,
            wanted: None,
            disabled_by_file: false,
            policy: policy::from_manifest(&drvhost_manifest::Policy::default()),
            recovery: None,
            link: None,
            spare: None,
        };
        let name = format!("{}", device.found.address);
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || actor.run())?;
        *device.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(device)
    }

    /// Tells the actor something.
    pub fn tell(&self, command: Command) {
        // An actor that ended has nothing left to do.
        let _ = self.sender.send(command);
    }

    /// What `list` says.
    pub fn report(&self) -> DeviceReport {
        self.report
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The device's end of the front, while it has nodes.
    pub fn front(&self) -> Option<Arc<drvhost_front::Device>> {
        self.front
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until the actor has ended.
    pub fn join(&self) {
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }

    pub(super) fn sender(&self) -> Sender<Command> {
        self.sender.clone()
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut DeviceReport)) {
        change(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The actor.
pub(super) struct Actor {
    pub(super) context: Arc<Context>,
    pub(super) device: Arc<Device>,
    receiver: Receiver<Command>,
    state: State,
    candidates: Vec<Candidate>,
    current: usize,
    wanted: Option<String>,
    /// What an override disabled, its removal enables; not so what a command did.
    disabled_by_file: bool,
    policy: Box<dyn RestartPolicy>,
    pub(super) recovery: Option<Arc<drvhost_front::Device>>,
    pub(super) link: Option<Arc<Link>>,
    pub(super) spare: Option<Arc<Link>>,
}

impl Actor {
    fn run(&mut self) {
        self.choose();
        loop {
            match self.next() {
                Command::Gone => break,
                command => self.handle(command),
            }
        }
        self.stop_worker();
        self.drop_nodes();
        self.spare = None;
    }

    /// The name under which this device's lines are logged.
    pub(super) fn target(&self) -> String {
        match self.candidate() {
            Some(candidate) => format!("{} {}", self.device.found.address, candidate.driver()),
            None => self.device.found.address.to_string(),
        }
    }

    pub(super) fn candidate(&self) -> Option<&Candidate> {
        self.candidates.get(self.current)
    }

    /// The next command; a back-off that ends is one, too.
    fn next(&mut self) -> Command {
        let mut wait = None;
        if let State::BackingOff { until } = self.state {
            let now = self.context.now();
            if now >= until {
                return Command::Stepped;
            }
            wait = Some(Duration::from_nanos(until - now));
        }
        let stepped = self.context.clock.is_stepped();
        match wait.filter(|_| !stepped) {
            None => self.receiver.recv().unwrap_or(Command::Gone),
            Some(wait) => match self.receiver.recv_timeout(wait) {
                Ok(command) => command,
                Err(RecvTimeoutError::Timeout) => Command::Stepped,
                Err(RecvTimeoutError::Disconnected) => Command::Gone,
            },
        }
    }

    fn handle(&mut self, command: Command) {
        match command {
            Command::Gone => {}
            Command::Died { pid, exit } => self.died(pid, &exit),
            Command::Stepped => self.look(),
            Command::Reloaded(diff) => self.reloaded(&diff),
            Command::Restart => self.restart(),
            Command::Disable => self.disable("disabled by command", false),
            Command::Enable => {
                if self.state == State::Disabled {
                    self.step(Event::Released);
                    self.choose();
                }
            }
            Command::Bind(driver) => {
                self.wanted = Some(driver);
                self.release();
                self.choose();
            }
            Command::Unbind => {
                self.wanted = None;
                self.release();
                self.step(Event::NoDriver("unbound by command".into()));
            }
        }
    }

    /// Time passed: a back-off may be over.
    fn look(&mut self) {
        if let State::BackingOff { until } = self.state
            && self.context.now() >= until
        {
            self.step(Event::Due);
            self.start();
        }
    }

    fn step(&mut self, event: Event) {
        match self.state.next(event.clone()) {
            Some(state) => {
                if state.word() != self.state.word() {
                    let reason = state.reason();
                    let colon = if reason.is_empty() { "" } else { ": " };
                    log::info!(target: &self.target(), "{state}{colon}{reason}");
                }
                self.state = state;
            }
            None => {
                log::debug!(target: &self.target(), "{event:?} means nothing when {}", self.state)
            }
        }
        self.publish();
    }

    /// Writes down what `list` says.
    pub(super) fn publish(&self) {
        let (driver, library) = match self.candidate() {
            Some(candidate) => (
                Some(candidate.driver().to_owned()),
                Some(candidate.library.display().to_string()),
            ),
            None => (None, None),
        };
        let nodes = self
            .recovery
            .as_ref()
            .map(|front| front.describe().nodes)
            .unwrap_or_default();
        let nodes = nodes.into_iter().map(|node| node.name).collect();
        self.device.update(|report| {
            report.set_state(&self.state);
            report.driver = driver;
            report.library = library;
            report.nodes = nodes;
            report.worker = self.link.as_ref().map(|link| link.pid());
            report.spare = self.spare.as_ref().map(|spare| spare.pid());
        });
        let mut front = self
            .device
            .front
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        front.clone_from(&self.recovery);
    }

    /// Asks the manifests, and starts the first driver they name.
    fn choose(&mut self) {
        let store = self.context.store();
        let choice = choose(&store, &self.device.found, self.wanted.as_deref());
        self.current = 0;
        match choice {
            Choice::Drivers(candidates) => {
                self.candidates = candidates;
                self.take_candidate();
            }
            Choice::Disabled(reason) => self.disable(&reason, true),
            Choice::None(reason) => {
                self.candidates.clear();
                self.step(Event::NoDriver(reason));
            }
        }
    }

    /// Starts the current candidate.
    fn take_candidate(&mut self) {
        if let Some(candidate) = self.candidate() {
            self.policy = policy::from_manifest(&candidate.manifest.item.policy);
        }
        self.step(Event::Chosen);
        self.start();
    }

    /// Starts workers until one runs, waits, or the drivers are used up.
    fn start(&mut self) {
        while matches!(self.state, State::Starting | State::Recovering) {
            match start::start(self) {
                Ok(()) => {
                    self.step(Event::Ready);
                    self.keep_spare();
                }
                Err(Refused::ForGood(reason)) => {
                    log::error!(target: &self.target(), "{reason}");
                    self.gave_up(reason);
                }
                Err(Refused::ThisTime(reason)) => {
                    log::error!(target: &self.target(), "{reason}");
                    let link = self.link.take();
                    if let Some(link) = &link {
                        link.kill(Cause::Killed);
                        link.wait();
                    }
                    self.bury(link, &reason, false);
                }
            }
        }
    }

    /// A worker failed: what now? Says it in words.
    fn decide(&mut self, progress: bool, what: &str) -> String {
        let verdict = self.policy.died(self.context.now(), progress, what);
        let words = match &verdict {
            Verdict::Now => "restarted at once".to_owned(),
            Verdict::At(time) => {
                format!(
                    "waits {} ms",
                    time.saturating_sub(self.context.now()) / 1_000_000
                )
            }
            Verdict::GiveUp(reason) => format!("quarantined: {reason}"),
        };
        match verdict {
            Verdict::GiveUp(reason) => self.gave_up(reason),
            verdict => self.step(Event::Died(verdict)),
        }
        words
    }

    /// The driver is of no use: its nodes go, and the next one is tried.
    fn gave_up(&mut self, reason: String) {
        self.stop_worker();
        self.drop_nodes();
        self.spare = None;
        self.step(Event::Died(Verdict::GiveUp(reason)));
        if self.current + 1 < self.candidates.len() {
            self.current += 1;
            log::warn!(target: &self.target(), "tried next");
            if let Some(candidate) = self.candidate() {
                self.policy = policy::from_manifest(&candidate.manifest.item.policy);
            }
            self.step(Event::Chosen);
        }
    }

    fn died(&mut self, pid: u32, exit: &Exit) {
        if self.spare.as_ref().is_some_and(|spare| spare.pid() == pid) {
            log::warn!(target: &self.target(), "the spare worker died: {exit}");
            self.spare = None;
            return self.publish();
        }
        let Some(link) = self.link.take_if(|link| link.pid() == pid) else {
            return;
        };
        if let Some(front) = &self.recovery {
            front.suspend();
        }
        let progress = link.answered() > 0;
        let what = exit.to_string();
        log::error!(target: &self.target(), "worker {pid} died: {what}");
        self.bury(Some(link), &what, progress);
        self.start();
    }

    /// Decides what follows a worker's death, and keeps a report of it.
    fn bury(&mut self, link: Option<Arc<Link>>, what: &str, progress: bool) {
        let report = link.map(|link| crash::report(self, &link, what, progress));
        let verdict = self.decide(progress, what);
        let id = report.map(|report| self.context.crashes.add(CrashReport { verdict, ..report }));
        self.device.update(|report| {
            report.restarts += 1;
            if report.crashes.len() == 16 {
                report.crashes.remove(0);
            }
            report.crashes.extend(id);
        });
    }

    /// A new worker, whatever the state is; clients keep their files where there is one.
    fn restart(&mut self) {
        match self.state {
            State::Running => {
                self.replace_worker();
            }
            State::Disabled => {}
            _ => {
                self.release();
                self.choose();
            }
        }
    }

    /// Replaces a running worker on purpose.
    fn replace_worker(&mut self) {
        if let Some(front) = &self.recovery {
            front.suspend();
        }
        self.spare = None;
        self.stop_worker();
        self.device.update(|report| report.restarts += 1);
        self.step(Event::Died(Verdict::Now));
        self.start();
    }

    /// Worker and nodes go, quarantine and back-off end.
    fn release(&mut self) {
        self.stop_worker();
        self.drop_nodes();
        self.spare = None;
        match self.state {
            State::Quarantined { .. } | State::BackingOff { .. } | State::Disabled => {
                self.step(Event::Released);
            }
            _ => self.step(Event::NoDriver("released".into())),
        }
    }

    fn disable(&mut self, reason: &str, by_file: bool) {
        self.disabled_by_file = by_file;
        log::info!(target: &self.target(), "{reason}");
        self.stop_worker();
        self.drop_nodes();
        self.spare = None;
        self.step(Event::Disabled);
    }

    fn reloaded(&mut self, diff: &Diff) {
        if self.state == State::Disabled && !self.disabled_by_file {
            return;
        }
        let store = self.context.store();
        let choice = choose(&store, &self.device.found, self.wanted.as_deref());
        if self.state == State::Disabled {
            if !matches!(choice, Choice::Disabled(_)) {
                self.step(Event::Released);
                self.choose();
            }
            return;
        }
        let same = match &choice {
            Choice::Drivers(candidates) => *candidates == self.candidates,
            Choice::Disabled(_) => false,
            Choice::None(_) => self.candidates.is_empty(),
        };
        let library = self.candidate().map(|candidate| candidate.library.clone());
        let new_library = diff
            .libraries
            .iter()
            .any(|change| Some(&change.path) == library.as_ref());
        let any_library = diff.libraries.iter().any(|change| {
            self.candidates
                .iter()
                .any(|candidate| candidate.library == change.path)
        });
        let stuck = self.state != State::Running;
        if same && !new_library && !(stuck && any_library) {
            return;
        }
        let driver = self
            .candidate()
            .map(|candidate| candidate.driver().to_owned());
        if let (State::Running, Choice::Drivers(candidates)) = (&self.state, &choice)
            && candidates.first().map(Candidate::driver) == driver.as_deref()
        {
            // The same driver, with another file, parameter or rule: clients keep their files.
            log::info!(target: &self.target(), "its files changed: a new worker takes over");
            self.candidates.clone_from(candidates);
            self.current = 0;
            return self.replace_worker();
        }
        self.release();
        self.choose();
    }

    pub(super) fn stop_worker(&mut self) {
        if let Some(link) = self.link.take() {
            link.kill(Cause::Killed);
            link.wait();
        }
    }

    fn drop_nodes(&mut self) {
        if let Some(front) = self.recovery.take() {
            front.remove();
        }
    }

    /// Starts a spare worker where one is wanted and there is none.
    fn keep_spare(&mut self) {
        let wanted = self
            .candidate()
            .is_some_and(|c| c.manifest.item.policy.spare);
        if (wanted || self.context.spare) && self.spare.is_none() {
            match start::load(self) {
                Ok(link) => self.spare = Some(link),
                Err(refused) => {
                    log::warn!(target: &self.target(), "no spare worker: {refused}");
                }
            }
            self.publish();
        }
    }
}
