// SPDX-License-Identifier: MIT
//! What all parts of the front share: accounts, threads, and the tables of nodes, open files and
//! rings.

use super::device::Device;
use super::file::OpenFile;
use super::pair::NodeSocket;
use super::poller::{Poller, Source};
use super::pool::Pool;
use super::ring::ProcessRing;
use crate::access::Access;
use crate::quota::Accounts;
use drvhost_abi::Errno;
use drvhost_abi::tables::NodeKind;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A node that programs can open.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) device: Arc<Device>,
    pub(crate) kind: NodeKind,
    /// Its index with the driver.
    pub(crate) index: u32,
    /// The driver's name.
    pub(crate) driver: String,
    pub(crate) access: Access,
    pub(crate) socket: Arc<NodeSocket>,
}

#[derive(Debug, Default)]
pub(crate) struct Tables {
    /// Nodes by name.
    pub(crate) nodes: BTreeMap<String, Node>,
    /// Open files by cookie.
    pub(crate) files: HashMap<u64, Arc<OpenFile>>,
    /// Cookies by the inode of the program's end of the event socket.
    pub(crate) inodes: HashMap<u64, u64>,
    /// Rings by number, with their files' cookies.
    pub(crate) rings: HashMap<u64, (u64, Arc<ProcessRing>)>,
    /// Rings' numbers by token.
    pub(crate) tokens: HashMap<[u64; 2], u64>,
    /// Devices in the order they were added.
    pub(crate) devices: Vec<Arc<Device>>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) run_dir: PathBuf,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) poller: Poller,
    /// For asks, which may wait for a worker.
    pub(crate) askers: Pool,
    /// For closing files, so that closing never waits behind asks.
    pub(crate) closers: Pool,
    /// Told the address of a device whose connectors changed.
    pub(crate) on_hotplug: Mutex<Option<Hotplug>>,
    tables: Mutex<Tables>,
    last: AtomicU64,
}

/// What is told of hot-plugged connectors.
pub(crate) struct Hotplug(pub(crate) Box<dyn Fn(&str) + Send>);

impl std::fmt::Debug for Hotplug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hotplug")
    }
}

impl Shared {
    pub(crate) fn new(run_dir: PathBuf, accounts: Arc<Accounts>, poller: Poller) -> Shared {
        let threads = accounts.limits().connection_threads;
        Shared {
            run_dir,
            accounts,
            poller,
            askers: Pool::new("front ask", threads),
            closers: Pool::new("front close", threads),
            on_hotplug: Mutex::default(),
            tables: Mutex::default(),
            last: AtomicU64::new(0),
        }
    }

    pub(crate) fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that no file, ring or connection had before.
    pub(crate) fn number(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Connectors of a device changed.
    pub(crate) fn hotplug(&self, address: &str) {
        let told = self.on_hotplug.lock();
        if let Some(Hotplug(tell)) = &*told.unwrap_or_else(PoisonError::into_inner) {
            tell(address);
        }
    }

    /// The counted reference to a device that is not removed.
    pub(crate) fn device(&self, device: &Device) -> Option<Arc<Device>> {
        let tables = self.tables();
        let mut devices = tables.devices.iter();
        devices
            .find(|other| std::ptr::eq(&***other, device))
            .cloned()
    }

    pub(crate) fn file(&self, cookie: u64) -> Option<Arc<OpenFile>> {
        self.tables().files.get(&cookie).cloned()
    }

    /// The open file of a ring, for a process that names it by its token. `ENODEV`: there is none,
    /// so the file's device is gone.
    pub(crate) fn file_of_token(&self, token: [u64; 2], pid: u32) -> Result<Arc<OpenFile>, Errno> {
        let tables = self.tables();
        let number = tables.tokens.get(&token).ok_or(Errno::ENODEV)?;
        let (cookie, ring) = tables.rings.get(number).ok_or(Errno::ENODEV)?;
        // A secret that another process got hold of opens nothing.
        if ring.pid != pid {
            return Err(Errno::EBADF);
        }
        tables.files.get(cookie).cloned().ok_or(Errno::ENODEV)
    }

    /// Takes a ring out of the tables; its threads end by themselves.
    pub(crate) fn drop_ring(&self, number: u64) -> Option<Arc<ProcessRing>> {
        let mut tables = self.tables();
        let (cookie, ring) = tables.rings.remove(&number)?;
        tables.tokens.remove(&ring.token);
        if let Some(file) = tables.files.get(&cookie) {
            file.ring_list().retain(|other| other.number != number);
        }
        drop(tables);
        if let Some(process) = &ring.process {
            self.poller.remove(process);
        }
        ring.stop();
        Some(ring)
    }

    /// Takes a file out of the tables, so that nobody finds it any more. `None`: somebody else
    /// did.
    pub(crate) fn take_file(&self, cookie: u64) -> Option<Arc<OpenFile>> {
        let mut tables = self.tables();
        let file = tables.files.remove(&cookie)?;
        tables.inodes.remove(&file.inode);
        Some(file)
    }

    /// Puts a file into the tables and watches it.
    pub(crate) fn insert_file(&self, file: &Arc<OpenFile>) -> Result<(), rustix::io::Errno> {
        let mut tables = self.tables();
        tables.inodes.insert(file.inode, file.cookie);
        tables.files.insert(file.cookie, file.clone());
        drop(tables);
        file.watch(self)
    }

    /// Puts a ring into the tables and watches its process.
    pub(crate) fn insert_ring(&self, file: &Arc<OpenFile>, ring: &Arc<ProcessRing>) {
        let mut tables = self.tables();
        tables.tokens.insert(ring.token, ring.number);
        tables
            .rings
            .insert(ring.number, (file.cookie, ring.clone()));
        file.ring_list().push(ring.clone());
        drop(tables);
        if let Some(process) = &ring.process {
            let _ = self.poller.add(process, Source::Process(ring.number));
        }
    }
}
