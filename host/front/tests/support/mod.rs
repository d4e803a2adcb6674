// SPDX-License-Identifier: MIT
//! What the tests of the front share: a worker that is a model of a display driver ([`fake`]), and
//! a program ([`client`]).

#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod calls;
pub mod client;
pub mod display;
pub mod fake;

use drvhost_front::{Access, Device, DeviceConfig, Front, Limits};
use drvhost_port::{Recovery, Restored};
use std::sync::Arc;
use tempfile::TempDir;

/// A front with one device and a worker for it.
pub struct Setup {
    pub dir: TempDir,
    pub front: Front,
    pub device: Arc<Device>,
    pub worker: Arc<fake::Fake>,
}

impl Setup {
    pub fn new() -> Setup {
        Setup::with(Limits::default())
    }

    pub fn with(limits: Limits) -> Setup {
        let dir = tempfile::tempdir().unwrap();
        let front = Front::start(dir.path(), limits).unwrap();
        let mut config = DeviceConfig::new("0000:00:02.0");
        config.card = Access {
            mode: 0o666,
            ..Access::CARD
        };
        let device = front.add_device(config);
        let worker = Arc::new(fake::Fake::new(device.upcalls()));
        device.resume(worker.clone()).unwrap();
        Setup {
            dir,
            front,
            device,
            worker,
        }
    }

    pub fn open(&self) -> client::Client {
        client::Client::open(self.dir.path(), "card0").unwrap()
    }

    /// The worker dies and a new one takes its place.
    pub fn crash(&mut self) -> Restored {
        self.worker.kill();
        self.device.suspend();
        self.resume()
    }

    pub fn resume(&mut self) -> Restored {
        let worker = fake::Fake::new(self.device.upcalls());
        worker.set_sequence(self.device.vblank_base());
        self.worker = Arc::new(worker);
        self.device.resume(self.worker.clone()).unwrap()
    }
}

/// Waits, generously, until something is so.
pub fn eventually(what: &str, is: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !is() {
        assert!(start.elapsed().as_secs() < 20, "never: {what}");
        std::thread::yield_now();
    }
}
