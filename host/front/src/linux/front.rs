// SPDX-License-Identifier: MIT
//! The front itself: its directory, its listener, and the one thread that waits for sockets.

use super::connection::{Asked, MAX_ASK};
use super::describe::DeviceState;
use super::device::{Device, DeviceConfig};
use super::pair::{listener, socket};
use super::poller::{Poller, Source};
use super::shared::{Hotplug, Shared};
use super::{close, peer};
use crate::limits::Limits;
use crate::quota::{Accounts, Charge, Kind};
use drvhost_channel::{packet, paths};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SocketAddrUnix, SocketFlags, accept_with, connect};
use std::collections::HashMap;
use std::fs::DirBuilder;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;

/// Why there is no front.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A directory cannot be made.
    #[error("cannot make {path}: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// Another host serves this directory.
    #[error("another drvhost serves {path}: stop it, or set DRVHOST_RUN to another directory")]
    Running {
        /// Its socket.
        path: PathBuf,
    },
    /// A socket cannot be made.
    #[error("cannot listen on {path}: {source}")]
    Listen {
        /// The socket.
        path: PathBuf,
        /// The system's error.
        source: Errno,
    },
    /// The thread cannot be started.
    #[error("cannot start the front's thread: {0}")]
    Thread(std::io::Error),
    /// The kernel gives no epoll or eventfd descriptor.
    #[error("cannot wait for sockets: {0}")]
    Poll(Errno),
}

/// What programs connect to. Dropping it ends everything that they have open.
#[derive(Debug)]
pub struct Front {
    pub(crate) shared: Arc<Shared>,
    socket: PathBuf,
    thread: Option<JoinHandle<()>>,
}

impl Front {
    /// Listens in a run directory, which is made if need be.
    pub fn start(run_dir: impl AsRef<Path>, limits: Limits) -> Result<Front, StartError> {
        let run_dir = run_dir.as_ref();
        for path in [run_dir.to_owned(), run_dir.join(paths::NODES)] {
            let made = DirBuilder::new().recursive(true).mode(0o755).create(&path);
            made.map_err(|source| StartError::Directory { path, source })?;
        }
        let path = run_dir.join(paths::FRONT);
        let listening = listen(&path)?;
        let poller = Poller::new().map_err(StartError::Poll)?;
        poller
            .add(&listening, Source::Listener)
            .map_err(StartError::Poll)?;
        let accounts = Accounts::new(limits);
        let shared = Arc::new(Shared::new(run_dir.to_owned(), accounts, poller));
        let looper = Loop {
            shared: shared.clone(),
            listening,
            connections: HashMap::new(),
            buffer: vec![0; MAX_ASK],
        };
        let thread = std::thread::Builder::new().name("front".into());
        let thread = thread.spawn(move || looper.run());
        Ok(Front {
            shared,
            socket: path,
            thread: Some(thread.map_err(StartError::Thread)?),
        })
    }

    /// A device was found that has a driver. Its nodes appear when a worker is first resumed.
    pub fn add_device(&self, config: DeviceConfig) -> Arc<Device> {
        let device = Arc::new(Device::new(config, self.shared.clone()));
        self.shared.tables().devices.push(device.clone());
        device
    }

    /// All devices as programs see them, in the order they were added.
    pub fn describe(&self) -> Vec<DeviceState> {
        let devices = self.shared.tables().devices.clone();
        devices.iter().map(|device| device.describe()).collect()
    }

    /// What is told the address of a device whose connectors changed.
    pub fn on_hotplug(&self, tell: impl Fn(&str) + Send + 'static) {
        let hotplug = &self.shared.on_hotplug;
        *hotplug.lock().unwrap_or_else(PoisonError::into_inner) = Some(Hotplug(Box::new(tell)));
    }

    /// How much users hold.
    pub fn accounts(&self) -> &Arc<Accounts> {
        &self.shared.accounts
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let devices = self.shared.tables().devices.clone();
        for device in devices {
            drvhost_port::Recovery::remove(&*device);
        }
        self.shared.poller.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn listen(path: &Path) -> Result<OwnedFd, StartError> {
    let failed = |source| StartError::Listen {
        path: path.to_owned(),
        source,
    };
    let address = SocketAddrUnix::new(path).map_err(failed)?;
    let probe = socket().map_err(failed)?;
    match connect(&probe, &address) {
        Ok(()) => {
            let path = path.to_owned();
            return Err(StartError::Running { path });
        }
        // Left from a host that ended.
        Err(Errno::CONNREFUSED) => {
            let _ = std::fs::remove_file(path);
        }
        Err(_) => {}
    }
    // Everybody may connect: who may open what is checked for each node.
    listener(path, 0o666).map_err(failed)
}

/// The thread's own.
struct Loop {
    shared: Arc<Shared>,
    listening: OwnedFd,
    connections: HashMap<u64, (OwnedFd, Charge)>,
    buffer: Vec<u8>,
}

impl Loop {
    fn run(mut self) {
        loop {
            for (source, gone) in self.shared.poller.wait() {
                match source {
                    Source::Stop => return,
                    Source::Listener => self.accept(),
                    Source::Connection(id) => self.receive(id),
                    Source::File(cookie) if gone => close::last_descriptor(&self.shared, cookie),
                    Source::File(cookie) => {
                        if let Some(file) = self.shared.file(cookie) {
                            file.flush(&self.shared);
                        }
                    }
                    Source::Process(number) => {
                        self.shared.drop_ring(number);
                    }
                }
            }
        }
    }

    fn accept(&mut self) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = match accept_with(&self.listening, flags) {
            Ok(socket) => socket,
            Err(error) => {
                log::debug!("cannot accept a connection: {error}");
                if matches!(error, Errno::MFILE | Errno::NFILE | Errno::NOMEM) {
                    // Otherwise the listener would wake this thread for ever.
                    self.connections.clear();
                }
                return;
            }
        };
        let Ok(uid) = peer::uid(&socket) else { return };
        let Ok(charge) = self.shared.accounts.charge(uid, Kind::Connections, 1) else {
            log::debug!("user {uid} has too many connections");
            return;
        };
        let id = self.shared.number();
        if self
            .shared
            .poller
            .add(&socket, Source::Connection(id))
            .is_ok()
        {
            self.connections.insert(id, (socket, charge));
        }
    }

    fn receive(&mut self, id: u64) {
        let Some((socket, charge)) = self.connections.remove(&id) else {
            return;
        };
        let result = packet::receive(&socket, &mut self.buffer, RecvFlags::DONTWAIT);
        let (length, fds) = match result {
            Ok((0, _)) => return,
            Ok(received) => received,
            Err(Errno::AGAIN) => {
                self.connections.insert(id, (socket, charge));
                return;
            }
            Err(error) => {
                log::debug!("a bad ask: {error}");
                return;
            }
        };
        self.shared.poller.remove(&socket);
        let asked = Asked {
            socket,
            message: self.buffer[..length].to_vec(),
            fds,
            charge,
        };
        let shared = self.shared.clone();
        self.shared.askers.run(move || asked.answer(&shared));
    }
}
