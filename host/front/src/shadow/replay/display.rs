// SPDX-License-Identifier: MIT
//! The display state, put back: legacy calls, then one commit.

use super::super::Shadow;
use super::super::log::{Key, Legacy, Link, Value};
use super::super::wire::{changed, longs, payload, words};
use super::Replay;
use drvhost_drm::uapi::*;
use drvhost_port::{CallError, Ioctl};
use std::collections::BTreeMap;

impl Replay<'_> {
    pub(super) fn legacy(&mut self, call: &Legacy) -> Result<(), CallError> {
        let (bytes, cursor) = self.linked(call)?;
        let ioctl = Ioctl {
            cmd: call.cmd,
            ..Ioctl::default()
        };
        let what = || format!("display state {:?}", call.key);
        self.wanted(self.host, ioctl, bytes, what)?;
        if let Some(handle) = cursor {
            self.close_handle(self.host, handle)?;
        }
        Ok(())
    }

    pub(super) fn commit(&mut self, values: &BTreeMap<(u32, u32), Value>) -> Result<(), CallError> {
        let mut objects: Vec<u32> = Vec::new();
        let mut counts: Vec<u32> = Vec::new();
        let (mut properties, mut numbers) = (Vec::new(), Vec::new());
        for ((object, property), value) in values {
            if objects.last() != Some(object) {
                objects.push(*object);
                counts.push(0);
            }
            if let Some(count) = counts.last_mut() {
                *count += 1;
            }
            properties.push(*property);
            numbers.push(self.resolve(value.link, value.plain));
        }
        let argument = drm_mode_atomic {
            flags: DRM_MODE_ATOMIC_ALLOW_MODESET,
            count_objs: u32::try_from(objects.len()).unwrap_or(0),
            ..Default::default()
        };
        let arrays: [&[u8]; 4] = [
            &words(&objects),
            &words(&counts),
            &words(&properties),
            &longs(&numbers),
        ];
        let cmd = ioctl::MODE_ATOMIC;
        let mut bytes = payload(cmd, &argument, &arrays);
        // The wire's own field: how many properties there are in all.
        let total = u32::try_from(properties.len()).unwrap_or(0);
        bytes[24..28].copy_from_slice(&total.to_le_bytes());
        let call = Ioctl {
            cmd,
            ..Ioctl::default()
        };
        let what = || "the state that atomic commits set".to_owned();
        self.wanted(self.host, call, bytes, what).map(drop)
    }

    pub(super) fn resolve(&self, link: Link, plain: u64) -> u64 {
        let id = match link {
            Link::Framebuffer(serial) => self.framebuffers.get(&serial),
            Link::Blob(serial) => self.blobs.get(&serial),
            _ => None,
        };
        id.map_or(plain, |id| u64::from(*id))
    }

    /// A legacy call's payload with the ids of now, and a handle that must be closed after it.
    pub(super) fn linked(&mut self, call: &Legacy) -> Result<(Vec<u8>, Option<u32>), CallError> {
        let Legacy {
            key,
            cmd,
            payload: ref bytes,
            link,
        } = *call;
        let id = u32::try_from(self.resolve(link, 0)).unwrap_or(0);
        let bytes = match (key, link) {
            (Key::Crtc(_), Link::Framebuffer(_)) => {
                changed(cmd, bytes, |set: &mut drm_mode_crtc| set.fb_id = id)
            }
            (Key::Flip(_), Link::Framebuffer(_)) => {
                changed(cmd, bytes, |flip: &mut drm_mode_crtc_page_flip| {
                    flip.fb_id = id
                })
            }
            (Key::Plane(_), Link::Framebuffer(_)) => {
                changed(cmd, bytes, |set: &mut drm_mode_set_plane| set.fb_id = id)
            }
            (Key::Property(..), Link::Blob(_)) if cmd == ioctl::MODE_SETPROPERTY => {
                changed(cmd, bytes, |set: &mut drm_mode_connector_set_property| {
                    set.value = id.into();
                })
            }
            (Key::Property(..), Link::Blob(_)) => {
                changed(cmd, bytes, |set: &mut drm_mode_obj_set_property| {
                    set.value = id.into();
                })
            }
            (Key::CursorImage(_), Link::Cursor(buffer)) => {
                let empty = Shadow::default();
                let handle = self.handle(&empty, self.host, buffer, 0)?;
                let number = handle.unwrap_or(0);
                let bytes = match cmd {
                    ioctl::MODE_CURSOR => changed(cmd, bytes, |cursor: &mut drm_mode_cursor| {
                        cursor.handle = number;
                    }),
                    _ => changed(cmd, bytes, |cursor: &mut drm_mode_cursor2| {
                        cursor.handle = number;
                    }),
                };
                return Ok((bytes, handle));
            }
            _ => bytes.clone(),
        };
        Ok((bytes, None))
    }
}
