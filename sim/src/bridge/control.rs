// SPDX-License-Identifier: MIT
//! Requests of the control socket that are about QEMU's devices.

use driver_sys::PciAddress;
use serde_json::{Value, json};

use crate::control::{Command, written};

use super::machine::QemuMachine;
use super::vram;

/// Which device a request is about, if it is about one.
#[must_use]
pub fn device(command: &Command) -> Option<PciAddress> {
    match command {
        Command::Monitor { device }
        | Command::Screenshot { device, .. }
        | Command::Break { device, .. }
        | Command::Plug { device }
        | Command::Unplug { device }
        | Command::PlugMonitor { device, .. }
        | Command::UnplugMonitor { device }
        | Command::Qmp { device, .. } => Some(*device),
        Command::List {} | Command::Clock { .. } | Command::Step { .. } | Command::Stop {} => None,
    }
}

/// A device as `list` and `monitor` show it.
///
/// # Errors
/// A message, when there is no such device.
pub fn describe(machine: &QemuMachine, device: PciAddress) -> Result<Value, String> {
    let known = machine.describe(device).map_err(|e| e.to_string())?;
    let mode = machine.mode(device).map_err(|e| e.to_string())?;
    Ok(json!({
        "device": device,
        "model": known.model,
        "plugged": known.clients.is_some(),
        "clients": known.clients.unwrap_or(0),
        "fault": null,
        "monitor": known.model.starts_with("virtio-gpu") || vram::only_reads(&known.model),
        "mode": mode,
    }))
}

/// Carries out a request about one of the machine's devices.
///
/// # Errors
/// A message for the person who asked.
pub fn run(machine: &QemuMachine, command: Command) -> Result<Value, String> {
    match command {
        Command::Monitor { device } => describe(machine, device),
        Command::Screenshot { device, file } => {
            let picture = machine.screenshot(device).map_err(|e| e.to_string())?;
            written(&picture, device, file.as_deref())
        }
        Command::Plug { device } => {
            machine.plug(device).map_err(|e| e.to_string())?;
            Ok(json!({ "device": device }))
        }
        Command::Unplug { device } => {
            machine.unplug(device).map_err(|e| e.to_string())?;
            Ok(json!({ "device": device }))
        }
        Command::Qmp {
            device,
            execute,
            arguments,
        } => {
            let answer = machine.qmp(device, &execute, arguments);
            Ok(json!({ "device": device, "return": answer.map_err(|e| e.to_string())? }))
        }
        _ => Err("QEMU's devices can't do this; simulated ones can".to_owned()),
    }
}
