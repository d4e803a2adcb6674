// SPDX-License-Identifier: MIT
//! What can be asked on the control socket, and the answers.

use std::path::{Path, PathBuf};

use driver_sys::PciAddress;
use serde_json::{Value, json};

#[cfg(target_os = "linux")]
use crate::bridge;
use crate::dispi::Fault;
use crate::dispi::scanout::Picture;
use crate::edid::Edid;
use crate::machine::{Monitor, read_edid};
use crate::running::{Running, Slot};

/// A request.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// All devices and the clock.
    List {},
    /// What the monitor gets: the mode, or null.
    Monitor {
        /// Which device's.
        device: PciAddress,
    },
    /// What the monitor shows.
    Screenshot {
        /// Which device's.
        device: PciAddress,
        /// Where to write the PNG, if anywhere.
        file: Option<PathBuf>,
    },
    /// Puts a device into a bad state that a reset ends.
    Break {
        /// Which.
        device: PciAddress,
        /// How.
        #[serde(default = "stuck")]
        kind: Fault,
    },
    /// Plugs a device in.
    Plug {
        /// Which.
        device: PciAddress,
    },
    /// Pulls a device out.
    Unplug {
        /// Which.
        device: PciAddress,
    },
    /// Plugs a monitor in, or another one in its place.
    PlugMonitor {
        /// Into which device.
        device: PciAddress,
        /// Its EDID, from a file.
        file: Option<PathBuf>,
        /// Its EDID, in words. With neither, it is the machine's own monitor.
        edid: Option<Edid>,
    },
    /// Pulls the monitor out.
    UnplugMonitor {
        /// Out of which device.
        device: PciAddress,
    },
    /// Stops the clock or lets it run.
    Clock {
        /// Which of the two.
        mode: ClockMode,
    },
    /// Moves the stopped clock.
    Step {
        /// By how many nanoseconds.
        ns: u64,
    },
    /// Runs a command of QMP, QEMU's monitor protocol, on a device that is QEMU's.
    Qmp {
        /// Which.
        device: PciAddress,
        /// The command's name.
        execute: String,
        /// Its arguments, an object.
        #[serde(default)]
        arguments: Value,
    },
    /// Ends the simulator.
    Stop {},
}

/// How the clock runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockMode {
    /// As the real one.
    Real,
    /// Only when told to.
    Stepped,
}

fn stuck() -> Fault {
    Fault::Stuck
}

fn slot(machine: &Running, address: PciAddress) -> Result<&Slot, String> {
    machine
        .slots()
        .get(&address)
        .ok_or_else(|| format!("no device at {address}; try list"))
}

/// Carries out a request; the answer is an object without `ok`.
///
/// # Errors
/// A message for the person who asked.
pub fn run(machine: &Running, command: Command) -> Result<Value, String> {
    #[cfg(target_os = "linux")]
    if let Some(qemu) = machine.qemu_with(bridge::control::device(&command)) {
        return bridge::control::run(qemu, command);
    }
    match command {
        Command::List {} => Ok(json!({
            "devices": list(machine)?,
            "clock": clock(machine),
        })),
        Command::Monitor { device } => Ok(describe(device, slot(machine, device)?)),
        Command::Screenshot { device, file } => {
            screenshot(slot(machine, device)?, device, file.as_deref())
        }
        Command::Break { device, kind } => {
            slot(machine, device)?.device().break_down(kind);
            Ok(json!({ "device": device, "fault": kind }))
        }
        Command::Plug { device } => {
            machine.plug(device)?;
            Ok(json!({ "device": device }))
        }
        Command::Unplug { device } => {
            machine.unplug(device)?;
            Ok(json!({ "device": device }))
        }
        Command::PlugMonitor { device, file, edid } => {
            let slot = slot(machine, device)?;
            let bytes = match (file, edid) {
                (None, None) if slot.monitor == Monitor::None => Monitor::default()
                    .edid()
                    .map_err(|error| error.to_string())?,
                (None, None) => slot.monitor.edid().map_err(|error| error.to_string())?,
                (Some(file), None) => Some(read_edid(&file).map_err(|error| error.to_string())?),
                (None, Some(edid)) => {
                    Some(edid.generate().map_err(|error| error.to_string())?.to_vec())
                }
                (Some(_), Some(_)) => return Err("give file or edid, not both".into()),
            };
            slot.device()
                .set_edid(bytes.as_deref())
                .map_err(|error| error.to_string())?;
            Ok(json!({ "device": device }))
        }
        Command::UnplugMonitor { device } => {
            let slot = slot(machine, device)?;
            slot.device()
                .set_edid(None)
                .map_err(|error| error.to_string())?;
            Ok(json!({ "device": device }))
        }
        Command::Clock { mode } => {
            machine.clock.set_stepped(mode == ClockMode::Stepped);
            Ok(json!({ "clock": clock(machine) }))
        }
        Command::Step { ns } => {
            let stepped = machine.clock.step(ns);
            stepped.ok_or("the clock is running; first: clock stepped")?;
            Ok(json!({ "clock": clock(machine) }))
        }
        Command::Qmp { device, .. } => Err(format!("{device} is none of QEMU's devices")),
        Command::Stop {} => Ok(json!({})),
    }
}

fn list(machine: &Running) -> Result<Vec<Value>, String> {
    let simulated = machine.slots().iter();
    let devices = simulated.map(|(&at, slot)| Ok(describe(at, slot)));
    #[cfg(target_os = "linux")]
    let devices = devices.chain(machine.qemu().into_iter().flat_map(|qemu| {
        let devices = qemu.devices();
        devices.map(|at| bridge::control::describe(qemu, at))
    }));
    devices.collect()
}

fn clock(machine: &Running) -> Value {
    let mode = if machine.clock.is_stepped() {
        ClockMode::Stepped
    } else {
        ClockMode::Real
    };
    json!({ "mode": mode, "now_ns": machine.clock.now() })
}

fn describe(address: PciAddress, slot: &Slot) -> Value {
    let clients = slot.clients();
    let device = slot.device();
    json!({
        "device": address,
        "model": slot.model,
        "plugged": clients.is_some(),
        "clients": clients.unwrap_or(0),
        "fault": device.fault(),
        "monitor": device.has_monitor(),
        "mode": device.mode(),
    })
}

fn screenshot(slot: &Slot, address: PciAddress, file: Option<&Path>) -> Result<Value, String> {
    let picture = {
        let device = slot.device();
        if !device.has_monitor() {
            return Err(format!("{address} has no monitor; first: plug-monitor"));
        }
        device.picture()
    };
    written(&picture, address, file)
}

/// Writes a picture to a file, if one is wanted, and describes it.
///
/// # Errors
/// A message, when the file can't be written.
pub fn written(
    picture: &Picture,
    address: PciAddress,
    file: Option<&Path>,
) -> Result<Value, String> {
    if let Some(path) = file {
        let written = std::fs::File::create(path)
            .map_err(|error| error.to_string())
            .and_then(|file| {
                let writer = std::io::BufWriter::new(file);
                picture.write_png(writer).map_err(|error| error.to_string())
            });
        written.map_err(|error| format!("write {}: {error}", path.display()))?;
    }
    Ok(json!({
        "device": address,
        "width": picture.width,
        "height": picture.height,
        "sha256": picture.sha256(),
        "file": file,
    }))
}
