// SPDX-License-Identifier: MIT
//! From successful calls to the record: the display state.

use super::log::{Entry, Key, Link, Value};
use super::record::Done;
use super::topology::PropertyKind;
use super::wire::changed;
use super::{Shadow, wire};
use drvhost_drm::uapi::*;
use drvhost_drm::wire::Message;
use std::collections::{BTreeMap, BTreeSet};

/// The framebuffer id that means the one there is.
pub const CURRENT_FRAMEBUFFER: u32 = u32::MAX;

/// One property of an atomic commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The object.
    pub object: u32,
    /// The property.
    pub property: u32,
    /// The value.
    pub value: u64,
}

/// The properties of an atomic commit, in the order of their values. Empty where the payload is
/// none.
pub fn commit(payload: &[u8]) -> Vec<Commit> {
    let Ok(message) = Message::decode(ioctl::MODE_ATOMIC, payload) else {
        return Vec::new();
    };
    let objects = message.elements::<u32>(0).zip(message.elements::<u32>(1));
    let owners = objects.flat_map(|(object, count)| std::iter::repeat_n(object, count as usize));
    let values = message.elements::<u32>(2).zip(message.elements::<u64>(3));
    owners
        .zip(values)
        .map(|(object, (property, value))| Commit {
            object,
            property,
            value,
        })
        .collect()
}

impl Shadow {
    /// Records a call that changes what is shown. True: the driver should be asked what is left.
    pub(super) fn record_display(&mut self, done: &Done<'_>) -> bool {
        match done.cmd {
            ioctl::MODE_SETCRTC => return self.set_crtc(done),
            ioctl::MODE_PAGE_FLIP => self.page_flip(done),
            ioctl::MODE_SETPLANE => {
                let set: drm_mode_set_plane = done.sent();
                let link = self.framebuffer_link(set.fb_id);
                self.legacy(done, Key::Plane(set.plane_id), done.request.to_vec(), link);
            }
            ioctl::MODE_CURSOR => {
                let cursor: drm_mode_cursor = done.sent();
                self.cursor::<drm_mode_cursor>(
                    done,
                    (cursor.crtc_id, cursor.flags, cursor.handle),
                    |cursor, flags| cursor.flags = flags,
                );
            }
            ioctl::MODE_CURSOR2 => {
                let cursor: drm_mode_cursor2 = done.sent();
                self.cursor::<drm_mode_cursor2>(
                    done,
                    (cursor.crtc_id, cursor.flags, cursor.handle),
                    |cursor, flags| cursor.flags = flags,
                );
            }
            ioctl::MODE_SETGAMMA => {
                let lut: drm_mode_crtc_lut = done.sent();
                let key = Key::Gamma(lut.crtc_id);
                self.legacy(done, key, done.request.to_vec(), Link::None);
            }
            ioctl::MODE_SETPROPERTY => {
                let set: drm_mode_connector_set_property = done.sent();
                self.property(done, set.connector_id, set.prop_id, set.value);
            }
            ioctl::MODE_OBJ_SETPROPERTY => {
                let set: drm_mode_obj_set_property = done.sent();
                self.property(done, set.obj_id, set.prop_id, set.value);
            }
            ioctl::MODE_ATOMIC => self.atomic(done),
            _ => {}
        }
        false
    }

    /// The CRTCs that a commit touches, each of which sends an event if one is asked for: those
    /// it names, and those that its planes and connectors are on before and after.
    pub fn crtcs_of(&self, commit: &[Commit]) -> BTreeSet<u32> {
        let mut crtcs = BTreeSet::new();
        for item in commit {
            if self.topology.crtcs.contains(&item.object) {
                crtcs.insert(item.object);
            } else if let Some(crtc) = self.crtc_of.get(&item.object) {
                crtcs.insert(*crtc);
            }
            if self.topology.kind(item.property) == PropertyKind::Crtc {
                crtcs.insert(u32::try_from(item.value).unwrap_or(0));
            }
        }
        crtcs.remove(&0);
        crtcs
    }

    fn set_crtc(&mut self, done: &Done<'_>) -> bool {
        let set: drm_mode_crtc = done.sent();
        let message = Message::decode(done.cmd, done.request);
        let connectors: BTreeSet<u32> = message.iter().flat_map(|m| m.elements(0)).collect();
        // A connector that another CRTC had is taken away from it.
        let mut taken = false;
        for entry in self.log.entries() {
            taken |= match entry {
                Entry::Atomic(values) => values.keys().any(|key| connectors.contains(&key.0)),
                Entry::Legacy {
                    key: Key::Crtc(crtc),
                    cmd,
                    payload,
                    ..
                } if *crtc != set.crtc_id => {
                    let message = Message::decode(*cmd, &payload[..]);
                    let mut theirs = message.iter().flat_map(|m| m.elements::<u32>(0));
                    theirs.any(|connector| connectors.contains(&connector))
                }
                Entry::Legacy { .. } => false,
            };
        }
        let link = match set.mode_valid {
            0 => Link::None,
            _ => self.framebuffer_link(set.fb_id),
        };
        let key = Key::Crtc(set.crtc_id);
        self.legacy(done, key, done.request.to_vec(), link);
        taken
    }

    fn page_flip(&mut self, done: &Done<'_>) {
        let flip: drm_mode_crtc_page_flip = done.sent();
        let new = self.framebuffer_link(flip.fb_id);
        let crtc = flip.crtc_id;
        // The mode set itself can show the new framebuffer, if nothing that came later may have
        // changed the plane.
        let entries = self.log.entries_mut();
        let set =
            |entry: &Entry| matches!(entry, Entry::Legacy { key: Key::Crtc(c), .. } if *c == crtc);
        let overwrites = |entry: &Entry| {
            matches!(
                entry,
                Entry::Atomic(_)
                    | Entry::Legacy {
                        key: Key::Plane(_) | Key::Flip(_),
                        ..
                    }
            )
        };
        if let Some(at) = entries.iter().position(set)
            && !entries[at..].iter().any(overwrites)
            && let Entry::Legacy {
                cmd, payload, link, ..
            } = &mut entries[at]
        {
            *payload = changed(*cmd, payload, |set: &mut drm_mode_crtc| {
                set.fb_id = flip.fb_id;
            });
            *link = new;
            self.prune();
            return;
        }
        let payload = changed(
            done.cmd,
            done.request,
            |flip: &mut drm_mode_crtc_page_flip| {
                flip.flags = 0;
                flip.user_data = 0;
            },
        );
        self.legacy(done, Key::Flip(crtc), payload, new);
    }

    fn cursor<T: Pod>(
        &mut self,
        done: &Done<'_>,
        (crtc, flags, handle): (u32, u32, u32),
        set_flags: impl Fn(&mut T, u32),
    ) {
        for (flag, key) in [
            (DRM_MODE_CURSOR_BO, Key::CursorImage(crtc)),
            (DRM_MODE_CURSOR_MOVE, Key::CursorMove(crtc)),
        ] {
            if flags & flag == 0 {
                continue;
            }
            let link = match self.buffer_of(done.file, handle) {
                Some(buffer) if flag == DRM_MODE_CURSOR_BO => Link::Cursor(buffer),
                _ => Link::None,
            };
            let payload = changed(done.cmd, done.request, |cursor: &mut T| {
                set_flags(cursor, flag);
            });
            self.legacy(done, key, payload, link);
        }
    }

    fn property(&mut self, done: &Done<'_>, object: u32, property: u32, value: u64) {
        let link = self.value(property, value).link;
        let key = Key::Property(object, property);
        self.legacy(done, key, done.request.to_vec(), link);
    }

    fn atomic(&mut self, done: &Done<'_>) {
        let argument: drm_mode_atomic = done.sent();
        if argument.flags & DRM_MODE_ATOMIC_TEST_ONLY != 0 {
            return;
        }
        let mut values = BTreeMap::new();
        for item in commit(done.request) {
            match self.topology.kind(item.property) {
                PropertyKind::InFence | PropertyKind::OutFence => continue,
                PropertyKind::Crtc => {
                    let crtc = u32::try_from(item.value).unwrap_or(0);
                    self.crtc_of.insert(item.object, crtc);
                }
                _ => {}
            }
            let value = self.value(item.property, item.value);
            values.insert((item.object, item.property), value);
        }
        let named: BTreeSet<(u32, &str)> = values
            .keys()
            .map(|(object, property)| (*object, self.topology.name(*property)))
            .collect();
        // A commit that says all that a legacy call said takes its place.
        let shown = |crtc: u32| {
            values.iter().any(|((object, property), value)| {
                self.topology.name(*property) == "CRTC_ID"
                    && value.plain == u64::from(crtc)
                    && named.contains(&(*object, "FB_ID"))
            })
        };
        let superseded = |entry: &Entry| match entry {
            Entry::Legacy {
                key: Key::Crtc(crtc),
                cmd,
                payload,
                ..
            } => {
                let message = Message::decode(*cmd, &payload[..]);
                let mut connectors = message.iter().flat_map(|m| m.elements::<u32>(0));
                named.contains(&(*crtc, "MODE_ID"))
                    && named.contains(&(*crtc, "ACTIVE"))
                    && shown(*crtc)
                    && connectors.all(|connector| named.contains(&(connector, "CRTC_ID")))
            }
            Entry::Legacy {
                key: Key::Flip(crtc),
                ..
            } => named.contains(&(*crtc, "MODE_ID")) && shown(*crtc),
            Entry::Legacy {
                key: Key::Plane(plane),
                ..
            } => ["FB_ID", "CRTC_ID", "CRTC_W", "SRC_W"]
                .iter()
                .all(|name| named.contains(&(*plane, name))),
            _ => false,
        };
        self.log.atomic(values.clone(), superseded);
        self.prune();
    }

    /// A property's value with what it refers to.
    pub(super) fn value(&self, property: u32, plain: u64) -> Value {
        let id = u32::try_from(plain).unwrap_or(0);
        let link = match self.topology.kind(property) {
            PropertyKind::Framebuffer => self.framebuffer_link(id),
            PropertyKind::Blob => self.blob(id).map_or(Link::None, Link::Blob),
            _ => Link::None,
        };
        Value { plain, link }
    }

    pub(super) fn framebuffer_link(&self, id: u32) -> Link {
        self.framebuffer(id).map_or(Link::None, Link::Framebuffer)
    }

    fn legacy(&mut self, done: &Done<'_>, key: Key, payload: Vec<u8>, link: Link) {
        self.stale = true;
        self.log.legacy(key, done.cmd, payload, link);
        self.prune();
    }

    /// Asks the driver which CRTCs planes and connectors are on, where legacy calls may have
    /// changed that.
    pub fn refresh(&mut self, caller: &wire::Caller<'_>) -> Result<(), drvhost_port::CallError> {
        let objects = [&self.topology.planes[..], &self.topology.connectors].concat();
        for object in objects {
            for (property, value) in super::topology::properties(caller, object)? {
                if self.topology.kind(property) == PropertyKind::Crtc {
                    let crtc = u32::try_from(value).unwrap_or(0);
                    self.crtc_of.insert(object, crtc);
                }
            }
        }
        self.stale = false;
        Ok(())
    }
}
