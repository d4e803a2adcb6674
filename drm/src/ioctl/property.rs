// SPDX-License-Identifier: MIT
//! Properties and blobs.

use super::resources::count;
use crate::call::{Answer, Call};
use crate::device::State;
use crate::kms::commit::How;
use crate::kms::objects::{Object, Objects};
use crate::kms::property::{self as prop, Kind, PropId, property};
use crate::kms::registry::Origin;
use crate::kms::set::Place;
use crate::kms::transaction::Transaction;
use crate::uapi::names::fixed;
use crate::uapi::*;
use drvhost_abi::Errno;
use std::sync::Arc;

/// The longest blob, in bytes: what fits into a call.
const MOST: usize = crate::wire::MAX_PAYLOAD;

impl State {
    /// An object's properties and their values, as a program with or without the atomic cap sees
    /// them.
    pub fn properties(
        &self,
        objects: &Objects,
        object: Object,
        atomic: bool,
    ) -> (Vec<PropId>, Vec<u64>) {
        let shown = |id: &PropId| atomic || property(*id).is_some_and(|p| !p.atomic);
        let ids: Vec<PropId> = objects
            .properties(object)
            .into_iter()
            .filter(shown)
            .collect();
        let values = ids.iter().map(|id| self.value(objects, object, *id));
        let values = values.collect();
        (ids, values)
    }

    /// Any object by id and type (zero: any type) that the file sees.
    fn any(&self, objects: &Objects, file: u64, id: u32, kind: u32) -> Result<Object, Errno> {
        let object = self.find(objects, file, id).ok_or(Errno::ENOENT)?;
        if kind != DRM_MODE_OBJECT_ANY && kind != object.kind() {
            return Err(Errno::ENOENT);
        }
        Ok(object)
    }
}

/// `MODE_GETPROPERTY`.
pub fn get_property(call: &mut Call<'_>) -> Answer {
    let mut arg: drm_mode_get_property = call.msg.arg();
    let property = property(arg.prop_id).ok_or(Errno::ENOENT)?;
    let values = property.values();
    arg.flags = property.flags();
    arg.name = fixed(property.name);
    arg.count_values = count(values.len());
    let mut enums = Vec::new();
    if let Kind::Enum(names) = property.kind {
        enums.extend(names.iter().map(|(value, name)| drm_mode_property_enum {
            value: *value,
            name: fixed(name),
        }));
        arg.count_enum_blobs = count(enums.len());
    }
    if let Kind::Blob = property.kind {
        arg.count_enum_blobs = 0;
    }
    call.msg.set_arg(&arg);
    call.msg.write_array(0, &values)?;
    call.msg.write_array(1, &enums)?;
    Ok(0)
}

/// `MODE_OBJ_GETPROPERTIES`.
pub fn obj_get_properties(call: &mut Call<'_>) -> Answer {
    let objects = &call.device.objects;
    let mut arg: drm_mode_obj_get_properties = call.msg.arg();
    let mut state = call.lock();
    let atomic = state.file(call.file)?.caps.atomic;
    if state.registry.find_framebuffer(arg.obj_id).is_some() {
        return Err(Errno::EINVAL);
    }
    let object = state.any(objects, call.file, arg.obj_id, arg.obj_type)?;
    if let Object::Encoder(_) = object {
        return Err(Errno::EINVAL);
    }
    let (ids, values) = state.properties(objects, object, atomic);
    drop(state);
    arg.count_props = count(ids.len());
    call.msg.set_arg(&arg);
    call.msg.write_array(0, &ids)?;
    call.msg.write_array(1, &values)?;
    Ok(0)
}

/// `MODE_SETPROPERTY`: of a connector.
pub fn set_property(call: &mut Call<'_>) -> Answer {
    let arg: drm_mode_connector_set_property = call.msg.arg();
    assign(
        call,
        arg.connector_id,
        DRM_MODE_OBJECT_CONNECTOR,
        arg.prop_id,
        arg.value,
    )
}

/// `MODE_OBJ_SETPROPERTY`.
pub fn obj_set_property(call: &mut Call<'_>) -> Answer {
    let arg: drm_mode_obj_set_property = call.msg.arg();
    assign(call, arg.obj_id, arg.obj_type, arg.prop_id, arg.value)
}

fn assign(call: &mut Call<'_>, object: u32, kind: u32, id: PropId, value: u64) -> Answer {
    let device = call.device;
    let objects = &device.objects;
    let file = call.file;
    let state = call.lock();
    let object = state.any(objects, file, object, kind)?;
    if !objects.properties(object).contains(&id) || !state.acceptable(objects, id, value) {
        return Err(Errno::EINVAL);
    }
    drop(state);
    let how = if call.replay {
        How::Forced
    } else {
        How::Blocking
    };
    if let (Object::Connector(connector), prop::DPMS) = (object, id) {
        return set_dpms(call, connector, value, how);
    }
    device.commit(how, |state| {
        let mut tx = Transaction::new(&state.kms);
        state.set(objects, file, &mut tx, object, id, value, Place::default())?;
        // Fences need a call that can carry them.
        if !tx.out_fences.is_empty() {
            return Err(Errno::EINVAL);
        }
        Ok(tx)
    })?;
    Ok(0)
}

/// The legacy DPMS property: its CRTC is active while any of its connectors is on.
fn set_dpms(call: &Call<'_>, connector: usize, value: u64, how: How) -> Answer {
    // Between on and off nothing is left in atomic mode setting.
    let dpms = if value == 0 { 0 } else { 3 };
    let mut state = call.lock();
    if core::mem::replace(&mut state.connectors[connector].dpms, dpms) == dpms {
        return Ok(0);
    }
    let Some(crtc) = state.kms.connectors[connector].crtc else {
        return Ok(0);
    };
    drop(state);
    call.device.commit(how, |state| {
        let mut tx = Transaction::new(&state.kms);
        let routed = state.kms.connectors.iter().zip(&state.connectors);
        tx.crtc(crtc).active = routed
            .filter(|(routing, _)| routing.crtc == Some(crtc))
            .any(|(_, connector)| connector.dpms == 0);
        Ok(tx)
    })?;
    call.lock().connectors[connector].dpms = dpms;
    Ok(0)
}

/// `MODE_GETPROPBLOB`.
pub fn get_blob(call: &mut Call<'_>) -> Answer {
    let mut arg: drm_mode_get_blob = call.msg.arg();
    let data = call.lock().blob(&call.device.objects, arg.blob_id);
    let data = data.ok_or(Errno::ENOENT)?;
    arg.length = count(data.len());
    call.msg.set_arg(&arg);
    call.msg.write_array(0, &data)?;
    Ok(0)
}

/// `MODE_CREATEPROPBLOB`.
pub fn create_blob(call: &mut Call<'_>) -> Answer {
    let mut arg: drm_mode_create_blob = call.msg.arg();
    let data = call.msg.array(0).to_vec();
    if data.is_empty() || data.len() > MOST {
        return Err(Errno::EINVAL);
    }
    let mut state = call.lock();
    let blob = state.registry.blob(Origin::Client(call.want), data)?;
    arg.blob_id = blob.id;
    state.file(call.file)?.blobs.push(blob);
    drop(state);
    call.msg.set_arg(&arg);
    Ok(0)
}

/// `MODE_DESTROYPROPBLOB`: `EPERM` for another's.
pub fn destroy_blob(call: &mut Call<'_>) -> Answer {
    let arg: drm_mode_destroy_blob = call.msg.arg();
    let mut state = call.lock();
    if state.blob(&call.device.objects, arg.blob_id).is_none() {
        return Err(Errno::ENOENT);
    }
    let blob = state.registry.find_blob(arg.blob_id).ok_or(Errno::EPERM)?;
    let mine = &mut state.file(call.file)?.blobs;
    let at = mine.iter().position(|held| Arc::ptr_eq(held, &blob));
    mine.swap_remove(at.ok_or(Errno::EPERM)?);
    Ok(0)
}
