// SPDX-License-Identifier: MIT
//! A machine that runs: its devices, each with its socket while it is plugged in.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use driver_sys::PciAddress;
use driver_sys::vfio_user::socket_path;

#[cfg(target_os = "linux")]
use crate::bridge::QemuMachine;
use crate::clock::Clock;
use crate::dispi::Display;
use crate::machine::{Machine, Model, Monitor};
use crate::server::{self, Server, lock};

/// A machine with its devices' sockets in a directory. Dropping it unplugs all of them.
#[derive(Debug)]
pub struct Running {
    dir: PathBuf,
    slots: BTreeMap<PciAddress, Slot>,
    #[cfg(target_os = "linux")]
    qemu: Option<QemuMachine>,
    /// The machine's clock.
    pub clock: Clock,
}

/// One device, plugged in or not; it keeps its state either way.
#[derive(Debug)]
pub struct Slot {
    /// The model's name.
    pub model: &'static str,
    /// The monitor that the machine's description gives it.
    pub monitor: Monitor,
    device: Arc<Mutex<Display>>,
    server: Mutex<Option<Server>>,
}

impl Slot {
    /// The device.
    pub fn device(&self) -> MutexGuard<'_, Display> {
        lock(&self.device)
    }

    /// How many clients it has; `None` when it is not plugged in.
    pub fn clients(&self) -> Option<usize> {
        lock(&self.server).as_ref().map(Server::clients)
    }
}

/// Binds a socket, in place of one that a simulator left behind when it was killed.
///
/// # Errors
/// `AddrInUse` when somebody listens there or the file is something else.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Ok(metadata) = std::fs::symlink_metadata(path) {
        let dead = UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
        if metadata.file_type().is_socket() && dead {
            std::fs::remove_file(path)?;
        }
    }
    // Bound under another name first: whoever watches the directory can connect at once.
    let mut hidden = path.as_os_str().to_owned();
    hidden.push(".new");
    let hidden = PathBuf::from(hidden);
    let _ = std::fs::remove_file(&hidden);
    let listener = UnixListener::bind(&hidden)?;
    let linked = std::fs::hard_link(&hidden, path);
    let _ = std::fs::remove_file(&hidden);
    match linked {
        Ok(()) => Ok(listener),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "somebody else has this socket",
        )),
        Err(error) => Err(error),
    }
}

impl Running {
    /// Builds the machine's devices and plugs them in.
    ///
    /// # Errors
    /// When a device can't be built or its socket can't be bound.
    pub fn start(machine: &Machine, dir: &Path) -> anyhow::Result<Self> {
        let mut slots = BTreeMap::new();
        for device in &machine.devices {
            let Model::BochsDisplay { monitor, .. } = &device.model;
            let slot = Slot {
                model: device.model.name(),
                monitor: monitor.clone(),
                device: Arc::new(Mutex::new(device.model.build()?)),
                server: Mutex::new(None),
            };
            slots.insert(device.address, slot);
        }
        let running = Self {
            dir: dir.into(),
            slots,
            #[cfg(target_os = "linux")]
            qemu: match &machine.qemu {
                Some(config) => Some(QemuMachine::start(config, dir)?),
                None => None,
            },
            clock: Clock::default(),
        };
        for device in machine.devices.iter().filter(|device| device.plugged) {
            running.plug(device.address).map_err(anyhow::Error::msg)?;
        }
        Ok(running)
    }

    /// The devices, by address.
    pub fn slots(&self) -> &BTreeMap<PciAddress, Slot> {
        &self.slots
    }

    /// The devices that QEMU emulates.
    #[cfg(target_os = "linux")]
    pub fn qemu(&self) -> Option<&QemuMachine> {
        self.qemu.as_ref()
    }

    /// QEMU's devices, if `device` is one of them.
    #[cfg(target_os = "linux")]
    pub fn qemu_with(&self, device: Option<PciAddress>) -> Option<&QemuMachine> {
        let qemu = self.qemu()?;
        qemu.devices().any(|at| Some(at) == device).then_some(qemu)
    }

    /// Plugs a device in: as after power-on, its socket appears.
    ///
    /// # Errors
    /// A message, when it is plugged in already, unknown, or its socket can't be bound.
    pub fn plug(&self, address: PciAddress) -> Result<(), String> {
        let slot = self
            .slots
            .get(&address)
            .ok_or_else(|| format!("no device at {address}"))?;
        let mut server = lock(&slot.server);
        if server.is_some() {
            return Err(format!("{address} is plugged in already"));
        }
        slot.device().power_on();
        let path = socket_path(&self.dir, address);
        let listener = bind(&path).map_err(|error| format!("bind {}: {error}", path.display()))?;
        match server::serve(listener, slot.device.clone()) {
            Ok(serving) => *server = Some(serving),
            Err(error) => {
                let _ = std::fs::remove_file(&path);
                return Err(format!("serve {address}: {error}"));
            }
        }
        log::info!("{address}: plugged in");
        Ok(())
    }

    /// Pulls a device out: its socket disappears and its connections end.
    ///
    /// # Errors
    /// A message, when it is not plugged in or unknown.
    pub fn unplug(&self, address: PciAddress) -> Result<(), String> {
        let slot = self
            .slots
            .get(&address)
            .ok_or_else(|| format!("no device at {address}"))?;
        let mut server = lock(&slot.server);
        let Some(serving) = server.take() else {
            return Err(format!("{address} is not plugged in"));
        };
        let path = socket_path(&self.dir, address);
        if let Err(error) = std::fs::remove_file(&path) {
            log::warn!("remove {}: {error}", path.display());
        }
        serving.stop();
        log::info!("{address}: pulled out");
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for address in self.slots.keys() {
            // Those that are not plugged in have nothing to end.
            let _ = self.unplug(*address);
        }
    }
}
