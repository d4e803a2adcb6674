// SPDX-License-Identifier: MIT
//! `MODE_GETCONNECTOR`: what is plugged in.

use super::resources::count;
use crate::call::{Answer, Call};
use crate::connector::probe;
use crate::edid::for_client;
use crate::kms::objects::Object;
use crate::uapi::*;

/// `MODE_GETCONNECTOR`. Without room for modes the master has the hardware looked at.
pub fn get_connector(call: &mut Call<'_>) -> Answer {
    let objects = &call.device.objects;
    let mut arg: drm_mode_get_connector = call.msg.arg();
    let mut state = call.lock();
    let index = state.find_connector(objects, call.file, arg.connector_id)?;
    let may_probe = state.is_current_master(call.file) || state.file(call.file)?.host;
    if arg.count_modes == 0 && may_probe {
        drop(state);
        probe(call.device, index)?;
        state = call.lock();
    }
    let caps = state.file(call.file)?.caps;
    let description = &objects.pipeline.connectors[index];
    let connector = &state.connectors[index];
    let modes = for_client(&connector.modes, caps.aspect_ratio);
    let encoders: Vec<u32> = description
        .encoders
        .iter()
        .map(|encoder| objects.encoders[*encoder])
        .collect();
    let crtc = state.kms.connectors[index].crtc;
    let encoder = crtc.and_then(|crtc| objects.encoder_for(index, crtc));
    let (ids, values) = state.properties(objects, Object::Connector(index), caps.atomic);
    arg.count_modes = count(modes.len());
    arg.count_props = count(ids.len());
    arg.count_encoders = count(encoders.len());
    arg.encoder_id = encoder.map_or(0, |encoder| objects.encoders[encoder]);
    arg.connector_type = description.kind;
    arg.connector_type_id = objects.connector_type_id(index);
    arg.connection = connector.status as u32;
    (arg.mm_width, arg.mm_height) = connector.size_mm;
    arg.subpixel = SUBPIXEL_UNKNOWN;
    drop(state);
    call.msg.set_arg(&arg);
    call.msg.write_array(0, &encoders)?;
    call.msg.write_array(1, &modes)?;
    call.msg.write_array(2, &ids)?;
    call.msg.write_array(3, &values)?;
    Ok(0)
}
