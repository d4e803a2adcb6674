// SPDX-License-Identifier: MIT
//! A running QEMU machine: its devices behind sockets, and what its owner can do with it.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{MemfdFlags, SealFlags};
use serde_json::{Value, json};

use crate::server::{Server, SharedFunction, serve};

use super::config::QemuConfig;
use super::error::BridgeError;
use super::function::QemuFunction;
use super::screen::{self, Picture};

/// A device and the server that offers it.
#[derive(Debug)]
struct Slot {
    address: String,
    function: Arc<Mutex<QemuFunction>>,
    /// `None` while the device is unplugged.
    server: Option<Server>,
}

/// A running machine. Dropping it ends its servers and its QEMUs.
#[derive(Debug)]
pub struct QemuMachine {
    directory: PathBuf,
    slots: Vec<Slot>,
}

impl QemuMachine {
    /// Powers every device up and offers it at `<directory>/<address>.sock`.
    ///
    /// # Errors
    /// When the configuration is wrong, a QEMU does not start, or a socket can't be made.
    pub fn start(config: QemuConfig, directory: &Path) -> Result<Self, BridgeError> {
        config.check()?;
        let ram = Arc::new(make_ram(config.memory_mib)?);
        let config = Arc::new(config);
        let mut machine = QemuMachine {
            directory: directory.to_owned(),
            slots: Vec::new(),
        };
        for device in &config.devices {
            let function =
                QemuFunction::start(Arc::clone(&config), device.clone(), Arc::clone(&ram))?;
            machine.slots.push(Slot {
                address: device.address.clone(),
                function: Arc::new(Mutex::new(function)),
                server: None,
            });
        }
        for slot in &mut machine.slots {
            slot.offer(directory)?;
        }
        Ok(machine)
    }

    /// The addresses of its devices, and whether each is plugged.
    pub fn devices(&self) -> impl Iterator<Item = (&str, bool)> {
        (self.slots.iter()).map(|slot| (slot.address.as_str(), slot.server.is_some()))
    }

    /// Pulls the device out: its socket goes, its connections end, its power goes.
    ///
    /// # Errors
    /// [`BridgeError::Config`] when there is no such device or it is out already.
    pub fn unplug(&mut self, address: &str) -> Result<(), BridgeError> {
        let directory = self.directory.clone();
        let slot = self.slot(address)?;
        let Some(server) = slot.server.take() else {
            return Err(BridgeError::Config(format!("{address} is not plugged in")));
        };
        remove_socket(&directory, address);
        server.stop();
        lock(&slot.function).power_off();
        Ok(())
    }

    /// Puts the device back, with all its state as new.
    ///
    /// # Errors
    /// As [`Self::start`]; [`BridgeError::Config`] when there is no such device or it is in.
    pub fn plug(&mut self, address: &str) -> Result<(), BridgeError> {
        let directory = self.directory.clone();
        let slot = self.slot(address)?;
        if slot.server.is_some() {
            return Err(BridgeError::Config(format!("{address} is plugged in")));
        }
        lock(&slot.function).power_on()?;
        slot.offer(&directory)
    }

    /// What the device's monitor shows.
    ///
    /// # Errors
    /// When there is no such device, or it has no monitor.
    pub fn screenshot(&mut self, address: &str) -> Result<Picture, BridgeError> {
        let slot = self.slot(address)?;
        screenshot(&mut lock(&slot.function))
    }

    /// Runs a QMP command on the device's QEMU, such as `input-send-event`.
    ///
    /// # Errors
    /// When there is no such device, and what QEMU answers.
    pub fn qmp(
        &mut self,
        address: &str,
        command: &str,
        arguments: Value,
    ) -> Result<Value, BridgeError> {
        let slot = self.slot(address)?;
        let mut function = lock(&slot.function);
        let qemu = function.qemu().ok_or_else(|| unplugged(address))?;
        qemu.qmp.execute(command, arguments)
    }

    fn slot(&mut self, address: &str) -> Result<&mut Slot, BridgeError> {
        self.slots
            .iter_mut()
            .find(|slot| slot.address == address)
            .ok_or_else(|| BridgeError::Config(format!("there is no device {address}")))
    }
}

impl Drop for QemuMachine {
    fn drop(&mut self) {
        for slot in &mut self.slots {
            if let Some(server) = slot.server.take() {
                remove_socket(&self.directory, &slot.address);
                server.stop();
            }
        }
    }
}

impl Slot {
    fn offer(&mut self, directory: &Path) -> Result<(), BridgeError> {
        let path = socket(directory, &self.address);
        let doing = format!("offering {}", path.display());
        // Bound under another name first: who sees the address can connect at once.
        let hidden = directory.join(format!(".{}.new", self.address));
        let _ = std::fs::remove_file(&hidden);
        let listener = UnixListener::bind(&hidden).map_err(BridgeError::io(doing.clone()))?;
        let function: SharedFunction = self.function.clone();
        let server = serve(listener, function).map_err(BridgeError::io(doing.clone()))?;
        std::fs::rename(&hidden, &path).map_err(BridgeError::io(doing))?;
        self.server = Some(server);
        Ok(())
    }
}

/// The machine's memory: one sealed file that all its QEMUs share.
///
/// # Errors
/// When the system refuses so much.
pub fn make_ram(mebibytes: u32) -> Result<OwnedFd, BridgeError> {
    let doing = "making the machine's memory";
    let make = || {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let ram = rustix::fs::memfd_create("drvhost-qemu-ram", flags)?;
        rustix::fs::ftruncate(&ram, u64::from(mebibytes) << 20)?;
        rustix::fs::fcntl_add_seals(&ram, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok(ram)
    };
    make().map_err(|e: rustix::io::Errno| BridgeError::io(doing)(e.into()))
}

/// What the monitor of `function` shows, through QMP's `screendump`.
///
/// # Errors
/// When it has no power or no monitor, or QEMU does not answer.
pub fn screenshot(function: &mut QemuFunction) -> Result<Picture, BridgeError> {
    let address = function.device().address.clone();
    let qemu = function.qemu().ok_or_else(|| unplugged(&address))?;
    let path = qemu.scratch("screen.ppm");
    qemu.qmp.execute(
        "screendump",
        json!({ "filename": path.display().to_string() }),
    )?;
    let ppm = std::fs::read(&path).map_err(BridgeError::io("reading QEMU's screendump"))?;
    screen::parse_ppm(&ppm).ok_or_else(|| BridgeError::Protocol {
        doing: "screendump".to_owned(),
        answer: format!("{} bytes that are no PPM picture", ppm.len()),
    })
}

fn unplugged(address: &str) -> BridgeError {
    BridgeError::Config(format!("{address} is not plugged in"))
}

fn socket(directory: &Path, address: &str) -> PathBuf {
    directory.join(format!("{address}.sock"))
}

fn remove_socket(directory: &Path, address: &str) {
    let path = socket(directory, address);
    if let Err(e) = std::fs::remove_file(&path) {
        log::warn!("removing {}: {e}", path.display());
    }
}

fn lock(function: &Mutex<QemuFunction>) -> MutexGuard<'_, QemuFunction> {
    function.lock().unwrap_or_else(PoisonError::into_inner)
}
