// SPDX-License-Identifier: MIT
//! The daemon: bus, manifests, actors, front and control socket put together.
//!
//! * [`setup`]: what is made at start, in which order;
//! * [`answers`]: what the commands get.

mod answers;
mod setup;
mod view;

pub use setup::main;

use crate::bus::Found;
use crate::logs::Lines;
use crate::supervisor::{Command, Context, Device, manifest_device};
use driver_sys::PciAddress;
use drvhost_manifest::Problem;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The daemon.
#[derive(Debug)]
pub struct Daemon {
    /// What all actors share.
    pub context: Arc<Context>,
    /// The log's last lines.
    pub lines: Arc<Lines>,
    devices: Mutex<BTreeMap<PciAddress, Arc<Device>>>,
    /// Files of the manifest directories that were skipped.
    problems: Mutex<Vec<String>>,
    /// Told when the daemon is to end.
    stop: std::sync::mpsc::Sender<()>,
}

impl Daemon {
    fn devices(&self) -> MutexGuard<'_, BTreeMap<PciAddress, Arc<Device>>> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the bus: devices that came get an actor, the actors of those that went end.
    fn rescan(&self) {
        let found = self.context.bus.scan();
        let mut devices = self.devices();
        let gone: Vec<_> = devices
            .iter()
            .filter(|(_, device)| !found.iter().any(|new| same(new, &device.found)))
            .map(|(address, _)| *address)
            .collect();
        for address in gone {
            if let Some(device) = devices.remove(&address) {
                log::info!(target: &address.to_string(), "is gone");
                device.tell(Command::Gone);
                device.join();
            }
        }
        for new in found {
            if devices.contains_key(&new.address) {
                continue;
            }
            let address = new.address;
            log::info!(target: &address.to_string(), "found {:04x}:{:04x}", new.ids.vendor, new.ids.device);
            let taken: Vec<u32> = devices.values().filter_map(|device| device.minor).collect();
            let driven = !self
                .context
                .store()
                .select(&manifest_device(&new))
                .candidates
                .is_empty();
            // Without a driver it needs no number now, and takes any later.
            let free = (0..).find(|minor| !taken.contains(minor)).unwrap_or(0);
            let minor = driven.then_some(free);
            match Device::start(&self.context, new, minor) {
                Ok(device) => {
                    devices.insert(address, device);
                }
                Err(error) => log::error!(target: &address.to_string(), "no thread: {error}"),
            }
        }
    }

    /// Reads the manifest directories again and tells the actors what changed.
    fn reload(&self) {
        let (store, problems, diff) = self.context.store().reload();
        self.keep(&problems);
        if diff.is_empty() {
            return;
        }
        for change in diff
            .manifests
            .iter()
            .chain(&diff.overrides)
            .chain(&diff.libraries)
        {
            log::info!("{}: {:?}", change.path.display(), change.kind);
        }
        *self
            .context
            .store
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(store);
        let diff = Arc::new(diff);
        self.devices()
            .values()
            .for_each(|device| device.tell(Command::Reloaded(diff.clone())));
    }

    fn keep(&self, problems: &[Problem]) {
        let texts: Vec<_> = problems.iter().map(Problem::to_string).collect();
        let mut kept = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        for text in texts.iter().filter(|text| !kept.contains(text)) {
            log::warn!("skipped: {text}");
        }
        *kept = texts;
    }

    /// Ends all actors and their workers.
    fn shut_down(&self) {
        let devices = std::mem::take(&mut *self.devices());
        devices
            .values()
            .for_each(|device| device.tell(Command::Gone));
        devices.values().for_each(|device| device.join());
    }
}

/// Whether a function is still the one it was: another one may have been plugged in its place.
fn same(new: &Found, old: &Found) -> bool {
    new.address == old.address && new.ids == old.ids
}
