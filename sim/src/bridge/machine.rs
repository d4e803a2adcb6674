// SPDX-License-Identifier: MIT
//! A running QEMU machine: its devices behind sockets, and what its owner can do with it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use driver_sys::PciAddress;
use driver_sys::vfio_user::socket_path;
use serde_json::{Value, json};

use crate::dispi::scanout::Picture;
use crate::function::PciFunction as _;
use crate::running::bind;
use crate::server::{Server, SharedFunction, lock, serve};

use super::config::QemuConfig;
use super::error::BridgeError;
use super::function::QemuFunction;
use super::process::{memory_file, path_of};
use super::ram::Ram;
use super::screen;

/// A device and the server that offers it.
#[derive(Debug)]
struct Slot {
    model: String,
    function: Arc<Mutex<QemuFunction>>,
    /// `None` while the device is unplugged.
    server: Mutex<Option<Server>>,
}

/// A running machine. Dropping it ends its servers and its QEMUs.
#[derive(Debug)]
pub struct QemuMachine {
    directory: PathBuf,
    slots: BTreeMap<PciAddress, Slot>,
}

/// What is known of a device without asking QEMU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// QEMU's name of its model.
    pub model: String,
    /// How many clients it has; `None` when it is not plugged in.
    pub clients: Option<usize>,
}

impl QemuMachine {
    /// Powers every device up and offers it at `<directory>/<address>.sock`.
    ///
    /// # Errors
    /// When the configuration is wrong, a QEMU does not start, or a socket can't be made.
    pub fn start(config: &QemuConfig, directory: &Path) -> Result<Self, BridgeError> {
        config.check()?;
        let ram = Arc::new(Ram::new(config.memory_mib)?);
        let config = Arc::new(config.clone());
        let mut machine = QemuMachine {
            directory: directory.to_owned(),
            slots: BTreeMap::new(),
        };
        for device in &config.devices {
            let function =
                QemuFunction::start(Arc::clone(&config), device.clone(), Arc::clone(&ram))?;
            let slot = Slot {
                model: device.model.clone(),
                function: Arc::new(Mutex::new(function)),
                server: Mutex::new(None),
            };
            machine.slots.insert(device.address, slot);
        }
        for &address in machine.slots.keys() {
            machine.plug(address)?;
        }
        Ok(machine)
    }

    /// Its devices.
    pub fn devices(&self) -> impl Iterator<Item = PciAddress> {
        self.slots.keys().copied()
    }

    /// What is known of a device.
    ///
    /// # Errors
    /// [`BridgeError::Config`] when there is no such device.
    pub fn describe(&self, address: PciAddress) -> Result<Description, BridgeError> {
        let slot = self.slot(address)?;
        Ok(Description {
            model: slot.model.clone(),
            clients: lock(&slot.server).as_ref().map(Server::clients),
        })
    }

    /// Puts the device in, with all its state as new: its socket appears.
    ///
    /// # Errors
    /// As [`Self::start`]; [`BridgeError::Config`] when there is no such device or it is in.
    pub fn plug(&self, address: PciAddress) -> Result<(), BridgeError> {
        let slot = self.slot(address)?;
        let mut server = lock(&slot.server);
        if server.is_some() {
            return Err(BridgeError::Config(format!(
                "{address} is plugged in already"
            )));
        }
        lock(&slot.function).power_on()?;
        let path = socket_path(&self.directory, address);
        let doing = format!("offering {}", path.display());
        let listener = bind(&path).map_err(BridgeError::io(doing.clone()))?;
        let function: SharedFunction = slot.function.clone();
        *server = Some(serve(listener, function).map_err(BridgeError::io(doing))?);
        Ok(())
    }

    /// Pulls the device out: its socket goes, its connections end, its power goes.
    ///
    /// # Errors
    /// [`BridgeError::Config`] when there is no such device or it is out already.
    pub fn unplug(&self, address: PciAddress) -> Result<(), BridgeError> {
        let slot = self.slot(address)?;
        let mut server = lock(&slot.server);
        let serving = server.take().ok_or_else(|| unplugged(address))?;
        let path = socket_path(&self.directory, address);
        if let Err(error) = std::fs::remove_file(&path) {
            log::warn!("remove {}: {error}", path.display());
        }
        serving.stop();
        lock(&slot.function).power_off();
        Ok(())
    }

    /// What the device's monitor shows.
    ///
    /// # Errors
    /// When there is no such device, or it has no monitor.
    pub fn screenshot(&self, address: PciAddress) -> Result<Picture, BridgeError> {
        screenshot(&mut lock(&self.slot(address)?.function))
    }

    /// The mode of a display with DISPI registers, as JSON; null when it is off or another model.
    ///
    /// # Errors
    /// When there is no such device.
    pub fn mode(&self, address: PciAddress) -> Result<Value, BridgeError> {
        let slot = self.slot(address)?;
        if !matches!(
            slot.model.as_str(),
            "bochs-display" | "VGA" | "secondary-vga"
        ) {
            return Ok(Value::Null);
        }
        let mut registers = [0; 10];
        let read = lock(&slot.function).region_read(2, 0x500, &mut registers);
        let register = |i: usize| u16::from_le_bytes([registers[2 * i], registers[2 * i + 1]]);
        Ok(match read {
            Ok(()) if register(4) & 1 != 0 => {
                json!({ "width": register(1), "height": register(2), "bpp": register(3) })
            }
            _ => Value::Null,
        })
    }

    /// Runs a QMP command on the device's QEMU, such as `input-send-event`.
    ///
    /// # Errors
    /// When there is no such device, and what QEMU answers.
    pub fn qmp(
        &self,
        address: PciAddress,
        command: &str,
        arguments: Value,
    ) -> Result<Value, BridgeError> {
        let mut function = lock(&self.slot(address)?.function);
        let qemu = function.look()?.ok_or_else(|| unplugged(address))?;
        qemu.qmp.execute(command, arguments)
    }

    fn slot(&self, address: PciAddress) -> Result<&Slot, BridgeError> {
        self.slots
            .get(&address)
            .ok_or_else(|| BridgeError::Config(format!("no device at {address}")))
    }
}

impl Drop for QemuMachine {
    fn drop(&mut self) {
        for &address in self.slots.keys() {
            // Those that are not plugged in have nothing to end.
            let _ = self.unplug(address);
        }
    }
}

/// What the monitor of `function` shows, through QMP's `screendump`.
///
/// # Errors
/// When it has no power or no monitor, or QEMU does not answer.
pub fn screenshot(function: &mut QemuFunction) -> Result<Picture, BridgeError> {
    let address = function.device().address;
    let qemu = function.look()?.ok_or_else(|| unplugged(address))?;
    let mut file = memory_file("a screenshot")?;
    let arguments = json!({ "filename": path_of(&file) });
    qemu.qmp.execute("screendump", arguments)?;
    let mut ppm = Vec::new();
    file.read_to_end(&mut ppm)
        .map_err(BridgeError::io("reading QEMU's screendump"))?;
    screen::parse_ppm(&ppm).ok_or_else(|| BridgeError::Protocol {
        doing: "screendump".to_owned(),
        answer: format!("{} bytes that are no PPM picture", ppm.len()),
    })
}

fn unplugged(address: PciAddress) -> BridgeError {
    BridgeError::Config(format!("{address} is not plugged in"))
}
