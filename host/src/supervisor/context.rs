// SPDX-License-Identifier: MIT
//! What all actors share.

use super::images::Images;
use super::watchdog::Watchdog;
use crate::bus::Bus;
use crate::control::report::CrashReport;
use crate::logs::Lines;
use drvhost_front::Front;
use drvhost_manifest::Store;
use drvhost_worker::Clock;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Crash reports that are kept.
const KEPT: usize = 256;

/// What all actors share.
#[derive(Debug)]
pub struct Context {
    /// Where devices come from.
    pub bus: Arc<dyn Bus>,
    /// What programs open.
    pub front: Arc<Front>,
    /// The clock of workers and supervision.
    pub clock: Arc<Clock>,
    /// Manifests and overrides as they are now.
    pub store: RwLock<Arc<Store>>,
    /// Drivers' files, checked.
    pub images: Images,
    /// Finds hangs.
    pub watchdog: Arc<Watchdog>,
    /// Where firmware files are.
    pub firmware: PathBuf,
    /// A spare worker for every device.
    pub spare: bool,
    /// The log's last lines.
    pub lines: Arc<Lines>,
    /// Reports of dead workers.
    pub crashes: Crashes,
}

impl Context {
    /// The manifests as they are now.
    pub fn store(&self) -> Arc<Store> {
        self.store
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Nanoseconds of the clock.
    pub fn now(&self) -> u64 {
        self.clock.now()
    }
}

/// The last crash reports.
#[derive(Debug, Default)]
pub struct Crashes {
    inner: Mutex<(u64, VecDeque<CrashReport>)>,
}

impl Crashes {
    /// Keeps a report and gives it its number.
    pub fn add(&self, mut report: CrashReport) -> u64 {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.0 += 1;
        report.id = inner.0;
        if inner.1.len() == KEPT {
            inner.1.pop_front();
        }
        inner.1.push_back(report);
        inner.0
    }

    /// All that are kept, oldest first.
    pub fn all(&self) -> Vec<CrashReport> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.1.iter().cloned().collect()
    }

    /// One report.
    pub fn get(&self, id: u64) -> Option<CrashReport> {
        self.all().into_iter().find(|report| report.id == id)
    }
}
