// SPDX-License-Identifier: MIT
//! What sysfs shows of a card's connectors: asked from the driver over the host's own file, and
//! remembered for when it cannot answer.

use super::device::Device;
use crate::shadow::topology::Topology;
use crate::shadow::wire::{Caller, elements};
use drvhost_drm::uapi::names::{connector_type, from_fixed};
use drvhost_drm::uapi::{drm_mode_get_blob, drm_mode_get_connector, drm_mode_modeinfo, ioctl};
use drvhost_port::CallError;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long whoever asks waits before it gets what was known before: a driver may hang, and the
/// watchdog takes its time.
const PATIENCE: Duration = Duration::from_millis(500);

/// A connector as programs find it in sysfs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorState {
    /// The connector's object id.
    pub id: u32,
    /// Type and number, such as `Virtual-1`.
    pub name: String,
    /// `connected`, `disconnected` or `unknown`.
    pub status: &'static str,
    /// Whether an encoder drives it.
    pub enabled: bool,
    /// `On`, `Standby`, `Suspend` or `Off`.
    pub dpms: &'static str,
    /// The modes' names, in the driver's order.
    pub modes: Vec<String>,
    /// The EDID, or nothing.
    pub edid: Vec<u8>,
}

/// What is known of a device's connectors.
#[derive(Debug, Default)]
pub(crate) struct Connectors {
    state: Mutex<State>,
    answered: Condvar,
}

#[derive(Debug, Default)]
struct State {
    known: Vec<ConnectorState>,
    /// A thread asks the driver now.
    asking: bool,
}

impl Connectors {
    fn finish(&self, answer: Option<Vec<ConnectorState>>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = answer {
            state.known = answer;
        }
        state.asking = false;
        self.answered.notify_all();
    }
}

impl Device {
    /// The card's connectors as they are; as they were last seen if the driver does not answer
    /// at once or there is none. Looks for monitors, as programs do that list modes.
    pub fn connectors(&self) -> Vec<ConnectorState> {
        let connectors = &self.connectors;
        let lock = connectors.state.lock();
        let mut state = lock.unwrap_or_else(PoisonError::into_inner);
        if !state.asking && self.gate.is_open() {
            state.asking = self.shared.device(self).is_some_and(ask);
        }
        let wait = connectors
            .answered
            .wait_timeout_while(state, PATIENCE, |state| state.asking);
        let (state, _) = wait.unwrap_or_else(PoisonError::into_inner);
        state.known.clone()
    }
}

/// Asks from a thread of its own. False: there is none.
fn ask(device: Arc<Device>) -> bool {
    let thread = std::thread::Builder::new().name("connectors".into());
    let spawned = thread.spawn(move || {
        let pass = device.gate.enter_anyway();
        let answer = pass.worker().and_then(|worker| {
            let topology = device.shadow().topology.clone();
            let answer = list(&device.host(&**worker), &topology);
            let address = device.address();
            answer
                .inspect_err(|error| log::debug!("{address}: connectors: {error:?}"))
                .ok()
        });
        drop(pass);
        device.connectors.finish(answer);
    });
    spawned.is_ok()
}

fn list(caller: &Caller<'_>, topology: &Topology) -> Result<Vec<ConnectorState>, CallError> {
    let connectors = topology.connectors.iter();
    connectors
        .map(|id| connector(caller, topology, *id))
        .collect()
}

fn connector(
    caller: &Caller<'_>,
    topology: &Topology,
    id: u32,
) -> Result<ConnectorState, CallError> {
    let mut fixed = drm_mode_get_connector::default();
    let cmd = ioctl::MODE_GETCONNECTOR;
    let [_, modes, properties, values] = caller.lists(
        cmd,
        [4, size_of::<drm_mode_modeinfo>(), 4, 8],
        |[count_encoders, count_modes, count_props, _]| drm_mode_get_connector {
            connector_id: id,
            count_encoders,
            count_modes,
            count_props,
            ..Default::default()
        },
        |answer: &drm_mode_get_connector| {
            let encoders = answer.count_encoders;
            fixed = *answer;
            [
                encoders,
                answer.count_modes,
                answer.count_props,
                answer.count_props,
            ]
        },
    )?;
    let values = elements::<u64>(&values);
    let properties = elements::<u32>(&properties).into_iter().zip(values);
    let properties: BTreeMap<&str, u64> = properties
        .map(|(property, value)| (topology.name(property), value))
        .collect();
    let value = |name: &str| properties.get(name).copied().unwrap_or(0);
    let modes = elements::<drm_mode_modeinfo>(&modes);
    let kind = connector_type(fixed.connector_type).unwrap_or("Unknown");
    Ok(ConnectorState {
        id,
        name: format!("{kind}-{}", fixed.connector_type_id),
        status: status(fixed.connection),
        enabled: fixed.encoder_id != 0,
        dpms: dpms(value("DPMS")),
        modes: modes.iter().map(|mode| from_fixed(&mode.name)).collect(),
        edid: match u32::try_from(value("EDID")) {
            Ok(blob @ 1..) => contents(caller, blob)?,
            _ => Vec::new(),
        },
    })
}

/// A blob's bytes.
fn contents(caller: &Caller<'_>, blob_id: u32) -> Result<Vec<u8>, CallError> {
    let [bytes] = caller.lists(
        ioctl::MODE_GETPROPBLOB,
        [1],
        |[length]| drm_mode_get_blob {
            blob_id,
            length,
            ..Default::default()
        },
        |answer: &drm_mode_get_blob| [answer.length],
    )?;
    Ok(bytes)
}

/// `drm_mode.h`, as the kernel writes it in sysfs.
fn status(connection: u32) -> &'static str {
    match connection {
        1 => "connected",
        2 => "disconnected",
        _ => "unknown",
    }
}

/// `DRM_MODE_DPMS_*`.
fn dpms(value: u64) -> &'static str {
    match value {
        0 => "On",
        1 => "Standby",
        2 => "Suspend",
        _ => "Off",
    }
}
