// SPDX-License-Identifier: MIT
//! A bound device: its driver, its objects, and the state that its files share.
//!
//! Lock order: `state`, then `hardware`. Nothing sleeps with a lock but in the hardware itself;
//! whoever has to wait gives its locks back and sleeps in the host.

use crate::clock::Clock;
use crate::connector::{Connector, probe};
use crate::file::{FileId, FileState};
use crate::gem::Gems;
use crate::gpu::{GpuDriver, GpuEvents, Info, PlaneKind, Status};
use crate::kms::later::Later;
use crate::kms::objects::Objects;
use crate::kms::registry::Registry;
use crate::kms::state::{ConnectorState, CrtcState, KmsState, PlaneState};
use crate::kms::vblank::Vblank;
use crate::master::Masters;
use crate::sync::Syncobj;
use drvhost_abi::tables::{DeviceV1, OpenArgs};
use drvhost_abi::{Errno, Host};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A bound device.
pub struct Device {
    /// The host's services.
    pub host: Host,
    /// The driver.
    pub gpu: Box<dyn GpuDriver>,
    /// Name and version.
    pub info: Info,
    /// Bus id: `pci:` and the address.
    pub unique: String,
    /// The pipeline's objects.
    pub objects: Objects,
    /// Planes of each CRTC's picture, bottom to top.
    pub order: Vec<usize>,
    state: Mutex<State>,
    /// Held while the driver touches the hardware for a commit.
    pub hardware: Mutex<()>,
    /// Changes whenever something happened that a sleeping call may wait for.
    pub changed: AtomicU32,
    /// The timer thread's end of it.
    pub clock: Arc<Clock>,
    /// Commits that are still to be drawn.
    pub later: Arc<Later>,
}

/// What the files of a device share.
#[derive(Debug)]
pub struct State {
    /// Open files.
    pub files: BTreeMap<FileId, FileState>,
    next_file: FileId,
    flips: u64,
    /// Masters and leases.
    pub masters: Masters,
    /// What is on the screens.
    pub kms: Arc<KmsState>,
    /// Framebuffers and blobs by id.
    pub registry: Registry,
    /// What is known of the connectors.
    pub connectors: Vec<Connector>,
    /// Vertical blanks of the CRTCs.
    pub vblanks: Vec<Vblank>,
    /// Buffer objects.
    pub gems: Gems,
    /// Syncobjs by the host's fences that stand for them outside.
    pub tokens: BTreeMap<u64, Weak<Syncobj>>,
}

impl core::fmt::Debug for Device {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Device")
            .field("info", &self.info)
            .field("unique", &self.unique)
            .finish_non_exhaustive()
    }
}

/// Takes a lock. A panic under it ends the worker, so a poisoned one is never seen.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Device {
    /// Sets a probed driver up: numbers its objects and looks at its connectors.
    pub fn new(host: Host, pci: &DeviceV1, gpu: Box<dyn GpuDriver>) -> Result<Arc<Device>, Errno> {
        let Some(objects) = Objects::new(gpu.pipeline()) else {
            let name = gpu.info().name;
            host.log(
                log::Level::Error,
                name,
                "the driver's pipeline lacks a primary plane, or refers to what it does not have",
            );
            return Err(Errno::EINVAL);
        };
        let pipeline = &objects.pipeline;
        let (base, now) = (host.vblank_base(), host.now());
        let state = State {
            files: BTreeMap::new(),
            next_file: 1,
            flips: 0,
            masters: Masters::default(),
            kms: Arc::new(KmsState {
                planes: vec![PlaneState::default(); pipeline.planes.len()],
                crtcs: vec![CrtcState::default(); pipeline.crtcs.len()],
                connectors: vec![ConnectorState::default(); pipeline.connectors.len()],
            }),
            registry: Registry::new(objects.end),
            connectors: pipeline
                .connectors
                .iter()
                .map(|_| Connector::default())
                .collect(),
            vblanks: pipeline
                .crtcs
                .iter()
                .map(|crtc| Vblank::new(crtc.vblank, base, now))
                .collect(),
            gems: Gems::default(),
            tokens: BTreeMap::new(),
        };
        let rank = |kind: PlaneKind| match kind {
            PlaneKind::Primary => 0,
            PlaneKind::Overlay => 1,
            PlaneKind::Cursor => 2,
        };
        let mut order: Vec<usize> = (0..pipeline.planes.len()).collect();
        order.sort_by_key(|plane| rank(pipeline.planes[*plane].kind));
        let device = Arc::new(Device {
            host,
            info: gpu.info(),
            gpu,
            unique: format!("pci:{}", text(&pci.address)),
            objects,
            order,
            state: Mutex::new(state),
            hardware: Mutex::new(()),
            changed: AtomicU32::new(0),
            clock: Arc::default(),
            later: Arc::default(),
        });
        for connector in 0..device.objects.connectors.len() {
            probe(&device, connector)?;
        }
        Clock::start(&device)?;
        device.gpu.start(GpuEvents {
            device: Arc::downgrade(&device),
        });
        Ok(device)
    }

    /// The shared state.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Adds a file.
    pub fn open(&self, args: &OpenArgs, render: bool) -> FileId {
        let mut state = self.lock();
        let id = state.add_file(FileState::new(args, render));
        if !render {
            state.master_open(id);
        }
        id
    }

    /// Wakes the calls that wait for something to change.
    pub fn notify(&self) {
        self.changed.fetch_add(1, Ordering::Release);
        self.host.wake(&self.changed, u32::MAX);
    }

    /// Sleeps until something changes after `seen` was read, or until the deadline.
    pub fn sleep(&self, seen: u32, deadline: u64) {
        // Early and late returns look the same: the caller looks again.
        let _ = self.host.wait(&self.changed, seen, deadline);
    }

    /// The value to give to [`Device::sleep`]. Read it before looking at the state.
    pub fn seen(&self) -> u32 {
        self.changed.load(Ordering::Acquire)
    }

    /// Looks at all connectors again and tells programs.
    pub fn hotplug(&self) {
        for connector in 0..self.objects.connectors.len() {
            if let Err(errno) = probe(self, connector) {
                self.log(log::Level::Warn, &format!("probing a connector: {errno}"));
            }
        }
        self.host.hotplug();
    }

    /// Logs a line as the driver.
    pub fn log(&self, level: log::Level, text: &str) {
        self.host.log(level, self.info.name, text);
    }

    /// Whether a connector is connected, without looking.
    pub fn status(&self, connector: usize) -> Status {
        self.lock().connectors[connector].status
    }
}

impl State {
    /// Adds a file and numbers it.
    pub fn add_file(&mut self, file: FileState) -> FileId {
        let id = self.next_file;
        self.next_file += 1;
        self.files.insert(id, file);
        id
    }

    /// A number for a commit's flips.
    pub fn next_flip(&mut self) -> u64 {
        self.flips += 1;
        self.flips
    }

    /// A file that is open: a call on it is under way.
    pub fn file(&mut self, id: FileId) -> Result<&mut FileState, Errno> {
        self.files.get_mut(&id).ok_or(Errno::EBADF)
    }
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
