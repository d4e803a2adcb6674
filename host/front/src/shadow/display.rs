// SPDX-License-Identifier: MIT
//! From successful calls to the record: the display state.

use super::log::{Key, Legacy, Link, Value};
use super::record::Done;
use super::topology::PropertyKind;
use super::wire::changed;
use super::{Shadow, wire};
use drvhost_drm::uapi::*;
use drvhost_drm::wire::Message;
use std::collections::BTreeSet;

/// The framebuffer id that means the one there is.
pub const CURRENT_FRAMEBUFFER: u32 = u32::MAX;

/// The properties that place a plane: what `SETPLANE` says, and `SETCRTC` of the primary plane.
const PLACE: [&str; 10] = [
    "FB_ID", "CRTC_ID", "CRTC_X", "CRTC_Y", "CRTC_W", "CRTC_H", "SRC_X", "SRC_Y", "SRC_W", "SRC_H",
];

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
            ioctl::MODE_SETPLANE => self.set_plane(done),
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
                self.legacy(done, key, done.request.to_vec(), Link::None, true);
            }
            ioctl::MODE_SETPROPERTY => {
                let set: drm_mode_connector_set_property = done.sent();
                return self.property(done, set.connector_id, set.prop_id, set.value);
            }
            ioctl::MODE_OBJ_SETPROPERTY => {
                let set: drm_mode_obj_set_property = done.sent();
                return self.property(done, set.obj_id, set.prop_id, set.value);
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
        let crtc = set.crtc_id;
        let message = Message::decode(done.cmd, done.request);
        let connectors: BTreeSet<u32> = message.iter().flat_map(|m| m.elements(0)).collect();
        let primary = self.topology.primary.get(&crtc).copied();
        // It says all about the CRTC, its connectors and its primary plane.
        let topology = &self.topology;
        self.log.commit.retain(|(object, property), value| {
            let name = topology.name(*property);
            if *object == crtc {
                !["MODE_ID", "ACTIVE"].contains(&name)
            } else if name == "CRTC_ID" && topology.connectors.contains(object) {
                // One that it no longer has may be in an older mode set: it stays free.
                if value.plain == u64::from(crtc) {
                    value.plain = 0;
                }
                !connectors.contains(object)
            } else {
                Some(*object) != primary || !PLACE.contains(&name)
            }
        });
        self.log.legacy.retain(|call| match call.key {
            Key::Plane(plane) => Some(plane) != primary,
            Key::Flip(other) => other != crtc,
            Key::Property(object, property) => {
                !connectors.contains(&object) || topology.name(property) != "DPMS"
            }
            _ => true,
        });
        // A connector that another CRTC had is taken away from it. Whether that is off now, the
        // driver is asked.
        let mut ask = !self.log.commit.is_empty();
        // A CRTC that goes off may take its other planes along.
        let mut calls = self.log.legacy.iter();
        ask |= set.mode_valid == 0 && calls.any(|call| matches!(call.key, Key::Plane(_)));
        for call in &mut self.log.legacy {
            if matches!(call.key, Key::Crtc(other) if other != crtc) {
                ask |= take_away(call.cmd, &mut call.payload, &connectors);
            }
        }
        let link = match set.mode_valid {
            0 => Link::None,
            _ => self.framebuffer_link(set.fb_id),
        };
        self.legacy(done, Key::Crtc(crtc), done.request.to_vec(), link, true);
        ask
    }

    fn page_flip(&mut self, done: &Done<'_>) {
        let flip: drm_mode_crtc_page_flip = done.sent();
        let link = self.framebuffer_link(flip.fb_id);
        let crtc = flip.crtc_id;
        let primary = self.topology.primary.get(&crtc).copied().unwrap_or(0);
        if self.put(primary, "FB_ID", flip.fb_id.into(), link) {
            self.prune();
            return;
        }
        for key in [Key::Plane(primary), Key::Crtc(crtc)] {
            let Some(call) = self.log.find(key) else {
                continue;
            };
            call.payload = match key {
                Key::Plane(_) => {
                    changed(call.cmd, &call.payload, |set: &mut drm_mode_set_plane| {
                        set.fb_id = flip.fb_id;
                    })
                }
                _ => changed(call.cmd, &call.payload, |set: &mut drm_mode_crtc| {
                    set.fb_id = flip.fb_id;
                }),
            };
            call.link = link;
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
        self.legacy(done, Key::Flip(crtc), payload, link, false);
    }

    fn set_plane(&mut self, done: &Done<'_>) {
        let set: drm_mode_set_plane = done.sent();
        let plane = set.plane_id;
        let link = self.framebuffer_link(set.fb_id);
        let atomic = self.log.commit.keys().any(|(object, property)| {
            *object == plane && PLACE.contains(&self.topology.name(*property))
        });
        let lit = self.log.find(Key::Crtc(set.crtc_id)).is_some();
        if !atomic && (set.fb_id == 0 || lit || self.log.commit.is_empty()) {
            self.legacy(done, Key::Plane(plane), done.request.to_vec(), link, false);
            return;
        }
        // A commit lit the CRTC, or placed the plane before: the call says the same as a commit.
        let on = set.fb_id != 0;
        let crtc = if on { set.crtc_id } else { 0 };
        let signed = |value: i32| i64::from(value) as u64;
        let said = [
            ("FB_ID", u64::from(set.fb_id), true),
            ("CRTC_ID", u64::from(crtc), true),
            ("CRTC_X", signed(set.crtc_x), on),
            ("CRTC_Y", signed(set.crtc_y), on),
            ("CRTC_W", u64::from(set.crtc_w), on),
            ("CRTC_H", u64::from(set.crtc_h), on),
            ("SRC_X", u64::from(set.src_x), on),
            ("SRC_Y", u64::from(set.src_y), on),
            ("SRC_W", u64::from(set.src_w), on),
            ("SRC_H", u64::from(set.src_h), on),
        ];
        let properties = self.topology.properties.get(&plane).cloned();
        for property in properties.unwrap_or_default() {
            let name = self.topology.name(property);
            let Some(&(name, plain, _)) = said.iter().find(|(n, _, on)| *n == name && *on) else {
                continue;
            };
            let link = if name == "FB_ID" { link } else { Link::None };
            let value = Value { plain, link };
            self.log.commit.insert((plane, property), value);
        }
        self.log.remove(Key::Plane(plane));
        self.stale = true;
        self.prune();
    }

    /// Changes a commit's value; false where no commit set it.
    fn put(&mut self, object: u32, name: &str, plain: u64, link: Link) -> bool {
        let topology = &self.topology;
        let mut commit = self.log.commit.iter_mut();
        let found = commit
            .find(|((other, property), _)| *other == object && topology.name(*property) == name);
        match found {
            Some((_, value)) => {
                *value = Value { plain, link };
                true
            }
            None => false,
        }
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
            self.legacy(done, key, payload, link, true);
        }
    }

    fn property(&mut self, done: &Done<'_>, object: u32, property: u32, plain: u64) -> bool {
        let value = self.value(property, plain);
        if let Some(known) = self.log.commit.get_mut(&(object, property)) {
            *known = value;
            self.prune();
        } else {
            let key = Key::Property(object, property);
            self.legacy(done, key, done.request.to_vec(), value.link, false);
        }
        // DPMS is a CRTC's `ACTIVE` in another spelling.
        self.topology.name(property) == "DPMS" && !self.log.commit.is_empty()
    }

    fn atomic(&mut self, done: &Done<'_>) {
        let argument: drm_mode_atomic = done.sent();
        if argument.flags & DRM_MODE_ATOMIC_TEST_ONLY != 0 {
            return;
        }
        let mut named = BTreeSet::new();
        for item in commit(done.request) {
            match self.topology.kind(item.property) {
                PropertyKind::InFence | PropertyKind::OutFence => continue,
                PropertyKind::Crtc => {
                    let crtc = u32::try_from(item.value).unwrap_or(0);
                    self.crtc_of.insert(item.object, crtc);
                }
                _ => {}
            }
            let key = (item.object, item.property);
            let value = self.value(item.property, item.value);
            self.log.commit.insert(key, value);
            self.log.remove(Key::Property(key.0, key.1));
            named.insert((item.object, self.topology.name(item.property).to_owned()));
        }
        let said = |object: u32, name: &str| named.contains(&(object, name.to_owned()));
        let primary = &self.topology.primary;
        // A commit that says all that a legacy call said takes its place.
        self.log.legacy.retain(|call| match call.key {
            Key::Crtc(crtc) => {
                let message = Message::decode(call.cmd, &call.payload[..]);
                let mut connectors = message.iter().flat_map(|m| m.elements::<u32>(0));
                let plane = primary.get(&crtc).copied().unwrap_or(0);
                let all = said(crtc, "MODE_ID")
                    && said(crtc, "ACTIVE")
                    && said(plane, "FB_ID")
                    && said(plane, "CRTC_ID")
                    && connectors.all(|connector| said(connector, "CRTC_ID"));
                !all
            }
            Key::Flip(crtc) => !said(primary.get(&crtc).copied().unwrap_or(0), "FB_ID"),
            Key::Plane(plane) => !(said(plane, "FB_ID") && said(plane, "CRTC_ID")),
            _ => true,
        });
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

    fn legacy(&mut self, done: &Done<'_>, key: Key, payload: Vec<u8>, link: Link, in_place: bool) {
        self.stale = true;
        let call = Legacy {
            key,
            cmd: done.cmd,
            payload,
            link,
        };
        self.log.push(call, in_place);
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

/// Removes connectors from a recorded mode set, as long as some are left. True: it had some.
fn take_away(cmd: u32, payload: &mut Vec<u8>, connectors: &BTreeSet<u32>) -> bool {
    let Ok(message) = Message::decode(cmd, &payload[..]) else {
        return false;
    };
    let theirs: Vec<u32> = message.elements(0).collect();
    let left: Vec<u32> = theirs
        .iter()
        .copied()
        .filter(|connector| !connectors.contains(connector))
        .collect();
    if !left.is_empty() {
        let set = drm_mode_crtc {
            count_connectors: u32::try_from(left.len()).unwrap_or(0),
            ..message.arg()
        };
        *payload = wire::payload(cmd, &set, &[&wire::words(&left)]);
    }
    left.len() != theirs.len()
}
