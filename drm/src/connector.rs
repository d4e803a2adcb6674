// SPDX-License-Identifier: MIT
//! What is plugged into the connectors, and the modes that follow.

use crate::device::{Device, State};
use crate::edid::{Edid, Limits, no_edid_modes, prefer};
use crate::gpu::Status;
use crate::kms::blob::Blob;
use crate::kms::registry::Origin;
use crate::mode::{Mode, tidy};
use drvhost_abi::Errno;
use std::sync::Arc;

/// What is known of a connector.
#[derive(Clone, Debug, Default)]
pub struct Connector {
    /// Whether something is plugged in.
    pub status: Status,
    /// Modes, preferred first.
    pub modes: Vec<Mode>,
    /// The EDID as read.
    pub edid: Option<Arc<Blob>>,
    /// Size of the picture in millimetres.
    pub size_mm: (u32, u32),
    /// The legacy DPMS property.
    pub dpms: u64,
}

/// Looks at a connector: asks the driver, reads the EDID, makes the list of modes.
pub fn probe(device: &Device, index: usize) -> Result<(), Errno> {
    let found = device.gpu.detect(index);
    let (max_width, max_height) = device.objects.pipeline.max_size;
    let limits = Limits {
        max_width,
        max_height,
        ..Limits::default()
    };
    let accept = |mode: &Mode| device.gpu.mode_valid(index, mode);
    let connected = found.status == Status::Connected;
    let edid = match Edid::parse(&found.edid) {
        Ok(edid) if connected => Some(edid),
        Err(error) if connected && !found.edid.is_empty() => {
            device.log(log::Level::Warn, &format!("the monitor's EDID: {error}"));
            None
        }
        _ => None,
    };
    let mut modes = match &edid {
        Some(edid) => edid.modes(&limits, accept),
        None => Vec::new(),
    };
    if connected && !found.modes.is_empty() {
        modes.extend(&found.modes);
        tidy(&mut modes, accept);
    } else if connected && modes.is_empty() {
        modes = no_edid_modes(max_width, max_height, &limits, accept);
        prefer(&mut modes, 1024, 768);
    }
    let mut state = device.lock();
    let State {
        connectors,
        registry,
        ..
    } = &mut *state;
    let connector = &mut connectors[index];
    connector.status = found.status;
    connector.modes = modes;
    connector.size_mm = edid.as_ref().map_or((0, 0), Edid::size_mm);
    let known = connector.edid.as_ref().map(|blob| &*blob.data);
    let raw = edid.as_ref().map(|_| &*found.edid);
    if known != raw {
        connector.edid = match raw {
            Some(raw) => Some(registry.blob(Origin::Core, raw.to_vec())?),
            None => None,
        };
    }
    Ok(())
}
