// SPDX-License-Identifier: MIT
//! Properties of objects: what they are, and setting them in a change.
//!
//! Error numbers are those of Linux's `drm_atomic_uapi.c`.

use super::blob::Blob;
use super::objects::{Object, Objects};
use super::property::{self as prop, Kind, PropId, property};
use super::transaction::Transaction;
use crate::device::State;
use crate::file::FileId;
use crate::mode::{Mode, ModeTiming};
use crate::sync::HostFence;
use crate::uapi::*;
use drvhost_abi::Errno;
use std::sync::Arc;

/// Something in a property's place in the call that is not its value.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Index of the value in the call.
    pub index: u32,
    /// The fence that was given there.
    pub fence: Option<Arc<HostFence>>,
}

fn id_of(blob: &Option<Arc<Blob>>) -> u64 {
    blob.as_ref().map_or(0, |blob| u64::from(blob.id))
}

#[allow(clippy::cast_sign_loss)] // signed values travel as their bits
fn signed(value: i32) -> u64 {
    i64::from(value) as u64
}

impl State {
    /// The value of an object's property.
    pub fn value(&self, objects: &Objects, object: Object, id: PropId) -> u64 {
        let crtc_id = |crtc: Option<usize>| crtc.map_or(0, |crtc| u64::from(objects.crtcs[crtc]));
        match object {
            Object::Plane(index) => {
                let plane = &self.kms.planes[index];
                match id {
                    prop::TYPE => objects.pipeline.planes[index].kind as u64,
                    prop::FB_ID => plane.fb.as_ref().map_or(0, |fb| u64::from(fb.id)),
                    prop::IN_FENCE_FD => u64::MAX,
                    prop::CRTC_ID => crtc_id(plane.crtc),
                    prop::CRTC_X => signed(plane.crtc_x),
                    prop::CRTC_Y => signed(plane.crtc_y),
                    prop::CRTC_W => plane.crtc_w.into(),
                    prop::CRTC_H => plane.crtc_h.into(),
                    prop::SRC_X => plane.src_x.into(),
                    prop::SRC_Y => plane.src_y.into(),
                    prop::SRC_W => plane.src_w.into(),
                    prop::SRC_H => plane.src_h.into(),
                    prop::IN_FORMATS => objects.in_formats[index].0.into(),
                    _ => 0,
                }
            }
            Object::Crtc(index) => {
                let crtc = &self.kms.crtcs[index];
                match id {
                    prop::ACTIVE => crtc.active.into(),
                    prop::MODE_ID => id_of(&crtc.mode_blob),
                    prop::VRR_ENABLED => crtc.vrr.into(),
                    prop::GAMMA_LUT => id_of(&crtc.gamma),
                    prop::GAMMA_LUT_SIZE => objects.pipeline.crtcs[index].gamma_size.into(),
                    _ => 0,
                }
            }
            Object::Connector(index) => match id {
                prop::EDID => id_of(&self.connectors[index].edid),
                prop::DPMS => self.connectors[index].dpms,
                prop::LINK_STATUS => self.kms.connectors[index].link_status,
                prop::CRTC_ID => crtc_id(self.kms.connectors[index].crtc),
                _ => 0,
            },
            Object::Encoder(_) => 0,
        }
    }

    /// Whether a program may set a property to a value: it is in range, and what it names exists.
    pub fn acceptable(&self, objects: &Objects, id: PropId, value: u64) -> bool {
        let Some(property) = property(id) else {
            return false;
        };
        let named = u32::try_from(value).unwrap_or(0);
        property.accepts(value)
            && (value == 0
                || match property.kind {
                    Kind::Blob => self.blob(objects, named).is_some(),
                    Kind::Object(DRM_MODE_OBJECT_FB) => {
                        self.registry.find_framebuffer(named).is_some()
                    }
                    Kind::Object(kind) => objects.find(named).is_some_and(|o| o.kind() == kind),
                    _ => true,
                })
    }

    /// The contents of a blob, whoever made it.
    pub fn blob(&self, objects: &Objects, id: u32) -> Option<Vec<u8>> {
        if let Some(blob) = self.registry.find_blob(id) {
            return Some(blob.data.to_vec());
        }
        let formats = objects.in_formats.iter().find(|(known, _)| *known == id);
        formats.map(|(_, data)| data.clone())
    }

    /// Sets a property in a change. The object is known to have it.
    #[allow(clippy::too_many_arguments)] // what an atomic property assignment consists of
    pub fn set(
        &self,
        objects: &Objects,
        file: FileId,
        tx: &mut Transaction,
        object: Object,
        id: PropId,
        value: u64,
        place: Place,
    ) -> Result<(), Errno> {
        if !self.acceptable(objects, id, value) {
            return Err(Errno::EINVAL);
        }
        match object {
            Object::Plane(index) => self.set_plane(objects, file, tx, index, id, value, place),
            Object::Crtc(index) => self.set_crtc(tx, index, id, value, place),
            Object::Connector(index) => self.set_connector(objects, file, tx, index, id, value),
            Object::Encoder(_) => Err(Errno::EINVAL),
        }
    }

    /// The CRTC that a property names: `EACCES` where the file sees none such.
    fn named_crtc(
        &self,
        objects: &Objects,
        file: FileId,
        value: u64,
    ) -> Result<Option<usize>, Errno> {
        match u32::try_from(value) {
            Ok(0) => Ok(None),
            Ok(id) => self
                .find_crtc(objects, file, id)
                .map(Some)
                .map_err(|_| Errno::EACCES),
            Err(_) => Err(Errno::EACCES),
        }
    }

    fn named_blob(&self, value: u64) -> Result<Option<Arc<Blob>>, Errno> {
        match u32::try_from(value) {
            Ok(0) => Ok(None),
            Ok(id) => self.registry.find_blob(id).map(Some).ok_or(Errno::EINVAL),
            Err(_) => Err(Errno::EINVAL),
        }
    }

    #[allow(clippy::too_many_arguments)] // what an atomic property assignment consists of
    #[allow(clippy::cast_possible_truncation)] // ranges were checked by `acceptable`
    fn set_plane(
        &self,
        objects: &Objects,
        file: FileId,
        tx: &mut Transaction,
        index: usize,
        id: PropId,
        value: u64,
        place: Place,
    ) -> Result<(), Errno> {
        let plane = tx.plane(index);
        match id {
            prop::FB_ID => {
                let fb = self.registry.find_framebuffer(value as u32);
                if value != 0 && fb.is_none() {
                    return Err(Errno::EACCES);
                }
                plane.fb = fb;
            }
            prop::IN_FENCE_FD => match place.fence {
                // An exported syncobj is no sync file.
                Some(fence) if self.tokens.contains_key(&fence.id) => return Err(Errno::EINVAL),
                Some(fence) => tx.in_fences.push(fence),
                None if value == u64::MAX => {}
                None => return Err(Errno::EINVAL),
            },
            prop::CRTC_ID => {
                let crtc = self.named_crtc(objects, file, value)?;
                tx.set_plane_crtc(index, crtc);
            }
            prop::CRTC_X => plane.crtc_x = value as i32,
            prop::CRTC_Y => plane.crtc_y = value as i32,
            prop::CRTC_W => plane.crtc_w = value as u32,
            prop::CRTC_H => plane.crtc_h = value as u32,
            prop::SRC_X => plane.src_x = value as u32,
            prop::SRC_Y => plane.src_y = value as u32,
            prop::SRC_W => plane.src_w = value as u32,
            prop::SRC_H => plane.src_h = value as u32,
            prop::FB_DAMAGE_CLIPS => {
                plane.damage = self.named_blob(value)?;
                let whole = |blob: &Arc<Blob>| blob.elements::<drm_mode_rect>().is_some();
                if !plane.damage.as_ref().is_none_or(whole) {
                    return Err(Errno::EINVAL);
                }
            }
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    fn set_crtc(
        &self,
        tx: &mut Transaction,
        index: usize,
        id: PropId,
        value: u64,
        place: Place,
    ) -> Result<(), Errno> {
        let crtc = tx.crtc(index);
        match id {
            prop::ACTIVE => crtc.active = value != 0,
            prop::VRR_ENABLED => crtc.vrr = value != 0,
            prop::GAMMA_LUT => crtc.gamma = self.named_blob(value)?,
            prop::MODE_ID => {
                let blob = self.named_blob(value)?;
                let mode = match &blob {
                    None => None,
                    Some(blob) => {
                        let mode: Mode = blob.value().ok_or(Errno::EINVAL)?;
                        mode.validate().map_err(|_| Errno::EINVAL)?;
                        Some(mode)
                    }
                };
                tx.set_mode_blob(index, mode, blob);
            }
            prop::OUT_FENCE_PTR if value != 0 => tx.out_fences.push((index, place.index)),
            prop::OUT_FENCE_PTR => {}
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    fn set_connector(
        &self,
        objects: &Objects,
        file: FileId,
        tx: &mut Transaction,
        index: usize,
        id: PropId,
        value: u64,
    ) -> Result<(), Errno> {
        let connector = tx.connector(index);
        match id {
            prop::CRTC_ID => {
                let crtc = self.named_crtc(objects, file, value)?;
                tx.set_connector_crtc(index, crtc);
            }
            // A program may say that a bad link is good again, never the reverse.
            prop::LINK_STATUS if connector.link_status != 0 => connector.link_status = value,
            prop::LINK_STATUS => {}
            // DPMS has a way of its own, outside of atomic commits.
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }
}
