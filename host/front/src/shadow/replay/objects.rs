// SPDX-License-Identifier: MIT
//! What files made, put back under the ids that they know.

use super::super::Shadow;
use super::super::file::{Blob, File, Framebuffer};
use super::super::wire::{changed, fixed_part, longs, payload, words};
use super::Replay;
use drvhost_abi::tables::{ObjectKind, ObjectRef};
use drvhost_drm::uapi::*;
use drvhost_port::{CallError, Ioctl};
use std::collections::{BTreeMap, BTreeSet};

impl Replay<'_> {
    pub(super) fn handles(
        &mut self,
        shadow: &Shadow,
        cookie: u64,
        file: &File,
    ) -> Result<(), CallError> {
        for (&handle, record) in &file.handles {
            if record.buffer == 0 {
                self.lost(format!(
                    "GEM handle {handle} of file {cookie}: its memory was the driver's own"
                ));
                continue;
            }
            match self.handle(shadow, cookie, record.buffer, handle)? {
                Some(got) if got == handle => {}
                Some(got) => self.lost(format!(
                    "GEM handle {handle} of file {cookie}: the driver gave {got}"
                )),
                None => {}
            }
        }
        Ok(())
    }

    /// Gives a file a handle of a buffer: made where the driver does not know it yet, imported
    /// where it does.
    pub(super) fn handle(
        &mut self,
        shadow: &Shadow,
        cookie: u64,
        buffer: u64,
        want_id: u32,
    ) -> Result<Option<u32>, CallError> {
        let what = || format!("GEM handle {want_id} of file {cookie}");
        if self.known.insert(buffer)
            && let Some(dumb) = shadow.dumb.get(&buffer)
        {
            let cmd = ioctl::MODE_CREATE_DUMB;
            let call = Ioctl {
                cmd,
                want_id,
                buffer,
                ..Ioctl::default()
            };
            let args = drm_mode_create_dumb {
                handle: 0,
                pitch: 0,
                size: 0,
                ..dumb.args
            };
            let answer = self.wanted(cookie, call, payload(cmd, &args, &[]), what)?;
            let Some(answer) = answer else {
                self.known.remove(&buffer);
                return Ok(None);
            };
            let got: drm_mode_create_dumb = fixed_part(cmd, &answer);
            if (got.pitch, got.size) != (dumb.args.pitch, dumb.args.size) {
                self.lost(format!(
                    "buffer {buffer}: the driver now lays it out in another way"
                ));
            }
            return Ok(Some(got.handle));
        }
        let cmd = ioctl::PRIME_FD_TO_HANDLE;
        let call = Ioctl {
            cmd,
            want_id,
            objects: vec![ObjectRef {
                kind: ObjectKind::Buffer as u32,
                place: 0,
                id: buffer,
            }],
            ..Ioctl::default()
        };
        let bytes = payload(cmd, &drm_prime_handle::default(), &[]);
        let answer = self.wanted(cookie, call, bytes, what)?;
        Ok(answer.map(|answer| fixed_part::<drm_prime_handle>(cmd, &answer).handle))
    }

    pub(super) fn syncobjs(&mut self, cookie: u64, file: &File) -> Result<(), CallError> {
        for (&handle, state) in &file.syncobjs {
            let cmd = ioctl::SYNCOBJ_CREATE;
            let call = Ioctl {
                cmd,
                want_id: handle,
                ..Ioctl::default()
            };
            let create = drm_syncobj_create {
                handle: 0,
                flags: u32::from(state.fence && state.point == 0),
            };
            let what = || format!("sync object {handle} of file {cookie}");
            let made = self.wanted(cookie, call, payload(cmd, &create, &[]), what)?;
            if made.is_some() && state.point > 0 {
                let cmd = ioctl::SYNCOBJ_TIMELINE_SIGNAL;
                let call = Ioctl {
                    cmd,
                    ..Ioctl::default()
                };
                let argument = drm_syncobj_timeline_array {
                    count_handles: 1,
                    ..Default::default()
                };
                let arrays: [&[u8]; 2] = [&words(&[handle]), &longs(&[state.point])];
                self.wanted(cookie, call, payload(cmd, &argument, &arrays), what)?;
            }
        }
        Ok(())
    }

    pub(super) fn names(&mut self, shadow: &Shadow) -> Result<(), CallError> {
        for (&name, &buffer) in &shadow.names {
            let held = shadow.files.iter().find_map(|(cookie, file)| {
                let mut handles = file.handles.iter();
                let (handle, _) = handles.find(|(_, handle)| handle.buffer == buffer)?;
                Some((*cookie, *handle))
            });
            let Some((cookie, handle)) = held else {
                continue;
            };
            let cmd = ioctl::GEM_FLINK;
            let call = Ioctl {
                cmd,
                want_id: name,
                ..Ioctl::default()
            };
            let flink = drm_gem_flink { handle, name: 0 };
            let what = || format!("name {name} of buffer {buffer}");
            self.wanted(cookie, call, payload(cmd, &flink, &[]), what)?;
        }
        Ok(())
    }

    /// First what clients know by id, then what only the log refers to: under its old id where
    /// that is free, else under any. Framebuffers and blobs share one space of ids.
    pub(super) fn framebuffers_and_blobs(&mut self, shadow: &Shadow) -> Result<(), CallError> {
        let mut taken = BTreeSet::new();
        for (serial, fb) in &shadow.framebuffers {
            if fb.removed.is_none() {
                taken.insert(fb.id);
                self.framebuffer(shadow, *serial, fb, fb.id)?;
            }
        }
        for (serial, blob) in &shadow.blobs {
            if !blob.removed {
                taken.insert(blob.id);
                self.blob(*serial, blob, blob.id)?;
            }
        }
        let (mut fbs, mut blobs) = (Vec::new(), Vec::new());
        for (serial, fb) in &shadow.framebuffers {
            if fb.removed.is_none() {
                continue;
            }
            if taken.insert(fb.id) {
                self.framebuffer(shadow, *serial, fb, fb.id)?;
            } else {
                fbs.push((*serial, fb));
            }
        }
        for (serial, blob) in &shadow.blobs {
            if !blob.removed {
                continue;
            }
            if taken.insert(blob.id) {
                self.blob(*serial, blob, blob.id)?;
            } else {
                blobs.push((*serial, blob));
            }
        }
        for (serial, fb) in fbs {
            self.framebuffer(shadow, serial, fb, 0)?;
        }
        for (serial, blob) in blobs {
            self.blob(serial, blob, 0)?;
        }
        Ok(())
    }

    pub(super) fn blob(&mut self, serial: u64, blob: &Blob, want_id: u32) -> Result<(), CallError> {
        let cmd = ioctl::MODE_CREATEPROPBLOB;
        let call = Ioctl {
            cmd,
            want_id,
            ..Ioctl::default()
        };
        let owner = if blob.removed { self.host } else { blob.owner };
        let bytes = changed(cmd, &blob.payload, |blob: &mut drm_mode_create_blob| {
            blob.blob_id = 0;
        });
        let what = || format!("property blob {}", blob.id);
        if let Some(answer) = self.wanted(owner, call, bytes, what)? {
            let made: drm_mode_create_blob = fixed_part(cmd, &answer);
            self.blobs.insert(serial, made.blob_id);
        }
        Ok(())
    }

    /// Makes a framebuffer. Its owner may have closed the handles, and used their numbers again:
    /// then it gets handles for as long as this takes.
    pub(super) fn framebuffer(
        &mut self,
        shadow: &Shadow,
        serial: u64,
        fb: &Framebuffer,
        want_id: u32,
    ) -> Result<(), CallError> {
        let owner = match fb.removed {
            Some(_) => self.host,
            None => fb.owner,
        };
        let held = shadow.files.get(&owner).map(|file| &file.handles);
        let mut handles = [0; 4];
        let mut passing = BTreeMap::new();
        for (handle, &buffer) in handles.iter_mut().zip(&fb.buffers) {
            let mut own = held.into_iter().flatten();
            *handle = if buffer == 0 {
                0
            } else if let Some((own, _)) = own.find(|(_, own)| own.buffer == buffer) {
                *own
            } else if let Some(passing) = passing.get(&buffer) {
                *passing
            } else {
                let Some(got) = self.handle(shadow, owner, buffer, 0)? else {
                    continue;
                };
                passing.insert(buffer, got);
                got
            };
        }
        let bytes = match fb.cmd {
            ioctl::MODE_ADDFB => changed(fb.cmd, &fb.payload, |fb: &mut drm_mode_fb_cmd| {
                fb.fb_id = 0;
                fb.handle = handles[0];
            }),
            _ => changed(fb.cmd, &fb.payload, |fb: &mut drm_mode_fb_cmd2| {
                fb.fb_id = 0;
                fb.handles = handles;
            }),
        };
        let call = Ioctl {
            cmd: fb.cmd,
            want_id,
            ..Ioctl::default()
        };
        let what = || format!("framebuffer {} of file {}", fb.id, fb.owner);
        if let Some(answer) = self.wanted(owner, call, bytes, what)? {
            let id = match fb.cmd {
                ioctl::MODE_ADDFB => fixed_part::<drm_mode_fb_cmd>(fb.cmd, &answer).fb_id,
                _ => fixed_part::<drm_mode_fb_cmd2>(fb.cmd, &answer).fb_id,
            };
            self.framebuffers.insert(serial, id);
        }
        for handle in passing.into_values() {
            self.close_handle(owner, handle)?;
        }
        Ok(())
    }

    pub(super) fn close_handle(&mut self, file: u64, handle: u32) -> Result<(), CallError> {
        let cmd = ioctl::GEM_CLOSE;
        let close = drm_gem_close { handle, pad: 0 };
        self.quiet(file, cmd, payload(cmd, &close, &[])).map(drop)
    }
}
