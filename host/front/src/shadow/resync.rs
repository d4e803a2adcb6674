// SPDX-License-Identifier: MIT
//! After calls that change more than they name, the log is corrected by what the driver says is
//! left: the end of a framebuffer turns off what shows it, and a mode set takes connectors away
//! from other CRTCs.

use super::Shadow;
use super::log::{Key, Link, Log};
use super::topology::{PropertyKind, properties};
use super::wire::{Caller, changed, payload};
use drvhost_drm::uapi::{drm_mode_crtc, drm_mode_get_plane, drm_mode_set_plane, ioctl};
use drvhost_port::CallError;
use std::collections::BTreeMap;

/// What a key should say now.
enum Now {
    Same,
    Off,
    Gone,
}

impl Shadow {
    /// Corrects the log. If the worker dies meanwhile nothing is lost but time: replay ends
    /// framebuffers as their clients did, which turns off the same things.
    pub fn resync(&mut self, caller: &Caller<'_>) -> Result<(), CallError> {
        let mut log = std::mem::take(&mut self.log);
        let result = self.correct(caller, &mut log);
        self.log = log;
        self.stale = true;
        self.prune();
        result
    }

    /// Whether a framebuffer's end turned off what showed it.
    fn has_ended(&self, serial: u64) -> bool {
        let framebuffer = self.framebuffers.get(&serial);
        framebuffer.is_none_or(|framebuffer| framebuffer.removed == Some(true))
    }

    fn correct(&self, caller: &Caller<'_>, log: &mut Log) -> Result<(), CallError> {
        let mut objects = BTreeMap::new();
        for ((object, property), value) in &mut log.commit {
            let name = self.topology.name(*property);
            if !["FB_ID", "CRTC_ID", "MODE_ID", "ACTIVE"].contains(&name) {
                continue;
            }
            if !objects.contains_key(object) {
                let now: BTreeMap<u32, u64> = properties(caller, *object)?.into_iter().collect();
                objects.insert(*object, now);
            }
            let now = objects.get(object).and_then(|now| now.get(property));
            let Some(now) = now.copied() else { continue };
            let blob = self.topology.kind(*property) == PropertyKind::Blob;
            // The driver may show a mode under an id of its own.
            if value.plain != now && (!blob || now == 0) {
                *value = self.value(*property, now);
            }
        }
        let mut gone = Vec::new();
        for call in &mut log.legacy {
            // A framebuffer's end may leave its CRTC on, without a picture. What is gone with its
            // file can't be shown again, and must not be kept for it.
            let ended = matches!(call.link, Link::Framebuffer(serial) if self.has_ended(serial));
            match now(caller, call.key, ended)? {
                Now::Same => {}
                Now::Gone => gone.push(call.key),
                Now::Off => {
                    call.link = Link::None;
                    turn_off(call.key, call.cmd, &mut call.payload);
                }
            }
        }
        for key in gone {
            log.remove(key);
        }
        Ok(())
    }
}

fn now(caller: &Caller<'_>, key: Key, ended: bool) -> Result<Now, CallError> {
    let shows = |crtc_id| {
        let cmd = ioctl::MODE_GETCRTC;
        let get = drm_mode_crtc {
            crtc_id,
            ..Default::default()
        };
        let answer = caller.call(cmd, payload(cmd, &get, &[]))?;
        let crtc: drm_mode_crtc = super::wire::fixed_part(cmd, &answer);
        Ok(crtc.mode_valid != 0 && !(ended && crtc.fb_id == 0))
    };
    Ok(match key {
        Key::Crtc(crtc) if !shows(crtc)? => Now::Off,
        Key::Flip(crtc) if !shows(crtc)? => Now::Gone,
        Key::Plane(plane_id) => {
            let cmd = ioctl::MODE_GETPLANE;
            let get = drm_mode_get_plane {
                plane_id,
                ..Default::default()
            };
            let answer = caller.call(cmd, payload(cmd, &get, &[]))?;
            match super::wire::fixed_part::<drm_mode_get_plane>(cmd, &answer).fb_id {
                0 => Now::Off,
                _ => Now::Same,
            }
        }
        _ => Now::Same,
    })
}

fn turn_off(key: Key, cmd: u32, bytes: &mut Vec<u8>) {
    match key {
        Key::Crtc(crtc_id) => {
            let off = drm_mode_crtc {
                crtc_id,
                ..Default::default()
            };
            *bytes = payload(cmd, &off, &[]);
        }
        Key::Plane(_) => {
            *bytes = changed(cmd, bytes, |set: &mut drm_mode_set_plane| {
                set.fb_id = 0;
                set.crtc_id = 0;
            });
        }
        _ => {}
    }
}

/// The framebuffer that a CRTC shows: what `SETCRTC` means by "the one there is".
pub fn current_framebuffer(caller: &Caller<'_>, crtc_id: u32) -> Result<u32, CallError> {
    let cmd = ioctl::MODE_GETCRTC;
    let get = drm_mode_crtc {
        crtc_id,
        ..Default::default()
    };
    let answer = caller.call(cmd, payload(cmd, &get, &[]))?;
    let answer: drm_mode_crtc = super::wire::fixed_part(cmd, &answer);
    Ok(answer.fb_id)
}
