// SPDX-License-Identifier: MIT
//! One device through all its workers: the gate, the record, the objects, and recovery.

use super::call::Constant;
use super::connectors::Connectors;
use super::file::OpenFile;
use super::objects::Objects;
use super::pair::NodeSocket;
use super::reap::Closings;
use super::shared::{Node, Shared};
use super::upcalls::DeviceUpcalls;
use crate::access::Access;
use crate::claims::Claims;
use crate::gate::Gate;
use crate::shadow::wire::Caller;
use crate::shadow::{Events, Shadow};
use drvhost_abi::tables::{NodeKind, OPEN_HOST, OPEN_PRIVILEGED, OpenArgs};
use drvhost_channel::paths;
use drvhost_port::{CallError, Ioctl, Recovery, Restored, Upcalls, Worker};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the front must know about a device.
#[derive(Clone, Debug)]
pub struct DeviceConfig {
    /// PCI address, such as `0000:00:02.0`.
    pub address: String,
    /// Who may open its card node.
    pub card: Access,
    /// Who may open its render node.
    pub render: Access,
    /// The number to take for `cardN` (and `renderD(128+N)`), if it is free; otherwise the lowest
    /// free one.
    pub minor: Option<u32>,
}

impl DeviceConfig {
    /// The usual rules.
    pub fn new(address: impl Into<String>) -> DeviceConfig {
        DeviceConfig {
            address: address.into(),
            card: Access::CARD,
            render: Access::RENDER,
            minor: None,
        }
    }
}

/// A device that programs see.
pub struct Device {
    pub(crate) config: DeviceConfig,
    pub(crate) shared: Arc<Shared>,
    pub(crate) gate: Gate,
    pub(crate) claims: Claims,
    pub(crate) closings: Arc<Closings>,
    pub(crate) objects: Objects,
    /// Files that calls made (leases), until the program has them: cookie and node index.
    pub(crate) newborn: Mutex<HashMap<u64, u32>>,
    /// The cookie that the next file made by a call must get, during replay; else zero.
    pub(crate) lease_cookie: AtomicU64,
    /// Answers that never change while the driver is the same.
    constants: Mutex<Vec<Constant>>,
    pub(crate) connectors: Connectors,
    /// Connectors changed: the display's objects must be listed anew.
    pub(crate) relearn: AtomicBool,
    shadow: Mutex<Shadow>,
    events: Mutex<Events>,
    worker: Mutex<Option<Arc<dyn Worker>>>,
    host_file: AtomicU64,
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Device({})", self.config.address)
    }
}

impl Device {
    pub(crate) fn new(config: DeviceConfig, shared: Arc<Shared>) -> Device {
        Device {
            config,
            shared,
            gate: Gate::default(),
            claims: Claims::default(),
            closings: Arc::default(),
            objects: Objects::default(),
            newborn: Mutex::default(),
            lease_cookie: AtomicU64::new(0),
            constants: Mutex::default(),
            connectors: Connectors::default(),
            relearn: AtomicBool::new(false),
            shadow: Mutex::default(),
            events: Mutex::default(),
            worker: Mutex::default(),
            host_file: AtomicU64::new(0),
        }
    }

    /// PCI address.
    pub fn address(&self) -> &str {
        &self.config.address
    }

    pub(crate) fn shadow(&self) -> MutexGuard<'_, Shadow> {
        self.shadow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn events(&self) -> MutexGuard<'_, Events> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The worker that serves now, whatever the gate says.
    pub(crate) fn worker(&self) -> Option<Arc<dyn Worker>> {
        self.worker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set_worker(&self, worker: Option<Arc<dyn Worker>>) {
        *self.worker.lock().unwrap_or_else(PoisonError::into_inner) = worker;
    }

    /// Calls on the host's own file.
    pub(crate) fn host<'a>(&self, worker: &'a dyn Worker) -> Caller<'a> {
        Caller {
            worker,
            file: self.host_file.load(Ordering::Relaxed),
        }
    }

    /// Drops buffers that nothing refers to any more. Not with the record locked.
    pub(crate) fn collect(&self) {
        self.collect_with(&mut self.shadow());
    }

    /// The same, unless the record is locked: whoever holds it collects afterwards.
    pub(crate) fn try_collect(&self) {
        if let Ok(mut shadow) = self.shadow.try_lock() {
            self.collect_with(&mut shadow);
        }
    }

    fn collect_with(&self, shadow: &mut Shadow) {
        let used = shadow.buffers();
        self.objects.collect(|id| used.contains(&id));
        shadow
            .offsets
            .retain(|buffer| self.objects.buffer(buffer).is_ok());
    }

    /// A file's last descriptor is closed: nobody calls on it any more.
    pub(crate) fn release(&self, file: &OpenFile, tell_worker: bool) {
        let pass = self.gate.enter_anyway();
        if let (Some(worker), true) = (pass.worker(), tell_worker) {
            worker.release(file.cookie);
        }
        self.events().forget_file(file.cookie);
        if file.kind == NodeKind::Card {
            let mut shadow = self.shadow();
            let ask = shadow.closed(file.cookie);
            if let (true, Some(worker)) = (ask, pass.worker()) {
                // If the worker dies now, replay turns the same things off.
                let _ = shadow.resync(&self.host(&**worker));
            }
        }
        drop(pass);
        self.collect();
    }

    /// Sends an event to a file that is open.
    pub(crate) fn send(&self, file: u64, event: &[u8]) {
        match self.shared.file(file) {
            Some(open) => open.send(&self.shared, event),
            None => log::debug!("{}: event for a file that is closed", self.address()),
        }
    }

    fn make_nodes(self: &Arc<Self>, worker: &dyn Worker) -> Result<(), CallError> {
        let mut tables = self.shared.tables();
        let mut nodes = tables.nodes.values();
        if nodes.any(|node| Arc::ptr_eq(&node.device, self)) {
            return Ok(());
        }
        let mut number = self.config.minor.unwrap_or(0);
        let taken = |number: u32| {
            let names = [format!("card{number}"), format!("renderD{}", number + 128)];
            names.iter().any(|name| tables.nodes.contains_key(name))
        };
        if taken(number) {
            number = (0..).find(|number| !taken(*number)).unwrap_or(u32::MAX);
        }
        for node in worker.nodes() {
            let (name, access) = match node.kind {
                NodeKind::Card => (format!("card{number}"), self.config.card),
                NodeKind::Render => (format!("renderD{}", number + 128), self.config.render),
                NodeKind::Event => continue,
            };
            if tables.nodes.contains_key(&name) {
                log::warn!(
                    "{}: a second {:?} node is left out",
                    self.address(),
                    node.kind
                );
                continue;
            }
            let path = self.shared.run_dir.join(paths::NODES).join(&name);
            let socket = NodeSocket::new(path).map_err(|error| {
                log::error!("{}: cannot make node {name}: {error}", self.address());
                CallError::Errno(super::objects::errno(error))
            })?;
            log::info!("{}: node {name} of driver {}", self.address(), node.driver);
            let node = Node {
                device: self.clone(),
                kind: node.kind,
                index: node.index,
                driver: node.driver.clone(),
                access,
                socket: Arc::new(socket),
            };
            tables.nodes.insert(name, node);
        }
        Ok(())
    }

    /// Events that the dead worker owes: asked for again where they wait for a certain vblank,
    /// else sent now, for what they announce has been done by the replay.
    fn settle(&self, worker: &dyn Worker, base: u64) -> Result<(), CallError> {
        let owed = self.events().owed();
        for owed in owed {
            if let Some((cmd, payload)) = &owed.again {
                let call = Ioctl {
                    cmd: *cmd,
                    flags: drvhost_abi::tables::REQUEST_REPLAY,
                    ..Ioctl::default()
                };
                match worker.ioctl(owed.file, &call, &mut payload.clone()) {
                    Ok(_) => continue,
                    Err(CallError::Died) => return Err(CallError::Died),
                    Err(CallError::Errno(_)) => {}
                }
            }
            let event = self.events().replace(&owed, base, now());
            if let Some(event) = event {
                self.send(owed.file, &event);
            }
        }
        Ok(())
    }

    /// Render files live and die with their worker.
    fn end_render_files(&self) {
        let files: Vec<u64> = {
            let tables = self.shared.tables();
            let files = tables.files.values();
            files
                .filter(|file| std::ptr::eq(&*file.device, self) && file.kind == NodeKind::Render)
                .map(|file| file.cookie)
                .collect()
        };
        for cookie in files {
            super::close::end(&self.shared, cookie);
        }
    }
}

impl Recovery for Device {
    fn upcalls(&self) -> Arc<dyn Upcalls> {
        match self.shared.device(self) {
            Some(device) => Arc::new(DeviceUpcalls::new(device)),
            None => Arc::new(super::upcalls::Gone),
        }
    }

    fn vblank_base(&self) -> u64 {
        self.events().base()
    }

    fn suspend(&self) {
        self.gate.close();
        self.set_worker(None);
        self.end_render_files();
    }

    fn resume(&self, worker: Arc<dyn Worker>) -> Result<Restored, CallError> {
        let device = self.shared.device(self).ok_or(CallError::Died)?;
        self.gate.begin().map_err(CallError::Errno)?;
        let result = device.bring_up(&worker).and_then(|restored| {
            device.make_nodes(&*worker)?;
            Ok(restored)
        });
        match &result {
            Ok(_) => self.gate.open(worker),
            Err(_) => self.gate.close(),
        }
        result
    }

    fn remove(&self) {
        self.gate.remove();
        self.set_worker(None);
        let files: Vec<u64> = {
            let mut tables = self.shared.tables();
            tables
                .nodes
                .retain(|_, node| !std::ptr::eq(&*node.device, self));
            tables
                .devices
                .retain(|device| !std::ptr::eq(&**device, self));
            let files = tables.files.values();
            files
                .filter(|file| std::ptr::eq(&*file.device, self))
                .map(|file| file.cookie)
                .collect()
        };
        for cookie in files {
            super::close::end(&self.shared, cookie);
        }
        for fence in self.objects.forget_worker() {
            fence.signal();
        }
    }
}

impl Device {
    /// Puts the record into a worker and settles what the dead one owed. The gate is closed and
    /// no call is under way.
    fn bring_up(&self, worker: &Arc<dyn Worker>) -> Result<Restored, CallError> {
        let owed = self.objects.forget_worker();
        self.set_worker(Some(worker.clone()));
        self.constants().clear();
        let base = {
            let mut events = self.events();
            events.new_worker();
            events.base()
        };
        let card = worker.nodes().iter().find(|n| n.kind == NodeKind::Card);
        let restored = match card {
            Some(card) => {
                let cookie = self.shared.number();
                self.host_file.store(cookie, Ordering::Relaxed);
                let host = OpenArgs {
                    node: card.index,
                    flags: OPEN_HOST | OPEN_PRIVILEGED,
                    cookie,
                    pid: std::process::id(),
                    uid: 0,
                };
                let lease = |cookie| self.lease_cookie.store(cookie, Ordering::Relaxed);
                let result = self.shadow().replay(&**worker, &host, &lease);
                self.lease_cookie.store(0, Ordering::Relaxed);
                result?
            }
            None => Restored::default(),
        };
        // What the dead worker would have drawn is drawn.
        for fence in owed {
            fence.signal();
        }
        self.settle(&**worker, base)?;
        Ok(restored)
    }

    pub(crate) fn constants(&self) -> MutexGuard<'_, Vec<Constant>> {
        self.constants
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Monotonic nanoseconds, as the kernel stamps events.
pub(crate) fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}
