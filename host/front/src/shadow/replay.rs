// SPDX-License-Identifier: MIT
//! From the record to a fresh driver: opens, caps, master, leases, buffers, framebuffers, blobs
//! and sync objects under the ids that clients know, then the display state.

use super::Shadow;
use super::file::{Blob, File, Framebuffer};
use super::log::{Key, Legacy, Link, Value};
use super::topology::Topology;
use super::wire::{Caller, changed, fixed_part, longs, payload, words};
use drvhost_abi::Errno;
use drvhost_abi::tables::{ObjectKind, ObjectRef, OpenArgs, REQUEST_REPLAY};
use drvhost_drm::uapi::*;
use drvhost_port::{Answer, CallError, Ioctl, Restored, Worker};
use std::collections::{BTreeMap, BTreeSet};

/// Client caps that the host's own file asks for, so that it sees and may set everything.
const HOST_CAPS: [u32; 5] = [
    DRM_CLIENT_CAP_UNIVERSAL_PLANES,
    DRM_CLIENT_CAP_ATOMIC,
    DRM_CLIENT_CAP_ASPECT_RATIO,
    DRM_CLIENT_CAP_WRITEBACK_CONNECTORS,
    DRM_CLIENT_CAP_STEREO_3D,
];

struct Replay<'a> {
    worker: &'a dyn Worker,
    host: u64,
    lease_cookie: &'a dyn Fn(u64),
    restored: Restored,
    /// Buffers that the driver knows already.
    known: BTreeSet<u64>,
    framebuffers: BTreeMap<u64, u32>,
    blobs: BTreeMap<u64, u32>,
}

impl Shadow {
    /// Puts the record into a worker. `host` opens the host's own file; `lease_cookie` is told
    /// the cookie that the next file made by a call must get. `Err`: the worker died, or cannot
    /// open files.
    pub fn replay(
        &mut self,
        worker: &dyn Worker,
        host: &OpenArgs,
        lease_cookie: &dyn Fn(u64),
    ) -> Result<Restored, CallError> {
        let mut replay = Replay {
            worker,
            host: host.cookie,
            lease_cookie,
            restored: Restored::default(),
            known: BTreeSet::new(),
            framebuffers: BTreeMap::new(),
            blobs: BTreeMap::new(),
        };
        worker.open(host)?;
        for cap in HOST_CAPS {
            let cap = drm_set_client_cap {
                capability: cap.into(),
                value: 1,
            };
            let cmd = ioctl::SET_CLIENT_CAP;
            // Drivers lack some of them; nothing of theirs was recorded then.
            replay.quiet(host.cookie, cmd, payload(cmd, &cap, &[]))?;
        }
        let caller = Caller {
            worker,
            file: host.cookie,
        };
        match Topology::learn(&caller, &self.topology) {
            Ok(topology) => {
                let missing = self.topology.missing(&topology);
                replay.restored.lost.extend(missing);
                self.topology = topology;
                self.stale = true;
            }
            Err(CallError::Died) => return Err(CallError::Died),
            // A card without display objects.
            Err(CallError::Errno(errno)) => {
                log::debug!("the driver lists no display objects: {errno}");
            }
        }
        replay.open_files(self)?;
        for (cookie, file) in &self.files {
            replay.handles(self, *cookie, file)?;
            replay.syncobjs(*cookie, file)?;
        }
        replay.names(self)?;
        replay.framebuffers_and_blobs(self)?;
        for call in &self.log.legacy {
            replay.legacy(call)?;
        }
        if !self.log.commit.is_empty() {
            replay.commit(&self.log.commit)?;
        }
        replay.finish(self)?;
        Ok(replay.restored)
    }
}

impl Replay<'_> {
    /// One call; the answered payload, or the driver's refusal.
    fn call(
        &mut self,
        file: u64,
        call: Ioctl,
        mut bytes: Vec<u8>,
    ) -> Result<Result<(Answer, Vec<u8>), Errno>, CallError> {
        self.restored.calls += 1;
        let call = Ioctl {
            flags: REQUEST_REPLAY,
            ..call
        };
        match self.worker.ioctl(file, &call, &mut bytes) {
            Ok(answer) => Ok(Ok((answer, bytes))),
            Err(CallError::Errno(errno)) => Ok(Err(errno)),
            Err(CallError::Died) => Err(CallError::Died),
        }
    }

    fn quiet(&mut self, file: u64, cmd: u32, bytes: Vec<u8>) -> Result<bool, CallError> {
        let call = Ioctl {
            cmd,
            ..Ioctl::default()
        };
        Ok(self.call(file, call, bytes)?.is_ok())
    }

    /// A call whose refusal means that `what` is lost.
    fn wanted(
        &mut self,
        file: u64,
        call: Ioctl,
        bytes: Vec<u8>,
        what: impl FnOnce() -> String,
    ) -> Result<Option<Vec<u8>>, CallError> {
        match self.call(file, call, bytes)? {
            Ok((_, answer)) => Ok(Some(answer)),
            Err(errno) => {
                self.lost(format!("{}: {errno}", what()));
                Ok(None)
            }
        }
    }

    fn lost(&mut self, what: String) {
        self.restored.lost.push(what);
    }

    /// Opens files so that who was master may be it again, and who is master is.
    fn open_files(&mut self, shadow: &Shadow) -> Result<(), CallError> {
        let files = shadow.files.iter();
        let files = files.filter(|(_, file)| file.lease.is_none());
        let (mut order, mut others): (Vec<_>, Vec<_>) =
            files.partition(|(cookie, file)| file.was_master && shadow.master != Some(**cookie));
        let is_master = |(cookie, _): &(&u64, &File)| shadow.master == Some(**cookie);
        if let Some(at) = others.iter().position(is_master) {
            order.push(others.remove(at));
        } else if order.is_empty() && !others.is_empty() {
            order.push(others.remove(0));
        }
        // Whoever opens a card without a master becomes it: each of these in turn, and the last
        // of them keeps the others from it.
        let last = order.last().map(|(cookie, _)| **cookie);
        for (cookie, file) in order {
            self.open(file)?;
            if Some(*cookie) != last {
                self.quiet(*cookie, ioctl::DROP_MASTER, Vec::new())?;
            }
        }
        for (_, file) in others {
            self.open(file)?;
        }
        if let Some(master) = last {
            self.authenticate(shadow, master)?;
        }
        if let Some(cookie) = last.filter(|cookie| shadow.master != Some(*cookie)) {
            self.quiet(cookie, ioctl::DROP_MASTER, Vec::new())?;
        }
        for (cookie, file) in &shadow.files {
            if file.lease.is_none() {
                self.caps(*cookie, file)?;
            }
        }
        for (cookie, file) in &shadow.files {
            if let Some(lease) = &file.lease {
                // Only the master of now may lease out; in a replay whoever is steps back.
                let other_master = shadow.master != Some(lease.lessor);
                if other_master {
                    self.quiet(lease.lessor, ioctl::SET_MASTER, Vec::new())?;
                }
                (self.lease_cookie)(*cookie);
                let call = Ioctl {
                    cmd: ioctl::MODE_CREATE_LEASE,
                    want_id: lease.id,
                    ..Ioctl::default()
                };
                let made = self.wanted(lease.lessor, call, lease.payload.clone(), || {
                    format!("lease {} of file {}", lease.id, lease.lessor)
                })?;
                match (other_master, shadow.master) {
                    (true, Some(master)) => {
                        self.quiet(master, ioctl::SET_MASTER, Vec::new())?;
                    }
                    (true, None) => {
                        self.quiet(lease.lessor, ioctl::DROP_MASTER, Vec::new())?;
                    }
                    (false, _) => {}
                }
                if made.is_some() {
                    self.restored.files += 1;
                    self.caps(*cookie, file)?;
                }
            }
        }
        Ok(())
    }

    fn open(&mut self, file: &File) -> Result<(), CallError> {
        self.worker.open(&file.args)?;
        self.restored.files += 1;
        Ok(())
    }

    fn caps(&mut self, cookie: u64, file: &File) -> Result<(), CallError> {
        for &(capability, value) in &file.caps {
            let cap = drm_set_client_cap { capability, value };
            let cmd = ioctl::SET_CLIENT_CAP;
            let call = Ioctl {
                cmd,
                ..Ioctl::default()
            };
            self.wanted(cookie, call, payload(cmd, &cap, &[]), || {
                format!("client cap {capability} of file {cookie}")
            })?;
        }
        if let Some(name) = &file.name {
            self.quiet(cookie, ioctl::SET_CLIENT_NAME, name.clone())?;
        }
        Ok(())
    }

    /// Magics are numbers of the master's; `master` is the one that the files were opened under.
    fn authenticate(&mut self, shadow: &Shadow, master: u64) -> Result<(), CallError> {
        for (cookie, file) in &shadow.files {
            let Some(magic) = file.magic.filter(|_| file.lease.is_none()) else {
                continue;
            };
            let cmd = ioctl::GET_MAGIC;
            let call = Ioctl {
                cmd,
                want_id: magic,
                ..Ioctl::default()
            };
            let auth = drm_auth::default();
            let what = || format!("magic {magic} of file {cookie}");
            let got = self.wanted(*cookie, call, payload(cmd, &auth, &[]), what)?;
            if got.is_some() && file.authenticated {
                let cmd = ioctl::AUTH_MAGIC;
                let call = Ioctl {
                    cmd,
                    ..Ioctl::default()
                };
                let bytes = payload(cmd, &drm_auth { magic }, &[]);
                let what = || format!("authentication of file {cookie}");
                self.wanted(master, call, bytes, what)?;
            }
        }
        Ok(())
    }

    fn handles(&mut self, shadow: &Shadow, cookie: u64, file: &File) -> Result<(), CallError> {
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
    fn handle(
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

    fn syncobjs(&mut self, cookie: u64, file: &File) -> Result<(), CallError> {
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

    fn names(&mut self, shadow: &Shadow) -> Result<(), CallError> {
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
    fn framebuffers_and_blobs(&mut self, shadow: &Shadow) -> Result<(), CallError> {
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

    fn blob(&mut self, serial: u64, blob: &Blob, want_id: u32) -> Result<(), CallError> {
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
    fn framebuffer(
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

    fn close_handle(&mut self, file: u64, handle: u32) -> Result<(), CallError> {
        let cmd = ioctl::GEM_CLOSE;
        let close = drm_gem_close { handle, pad: 0 };
        self.quiet(file, cmd, payload(cmd, &close, &[])).map(drop)
    }

    fn legacy(&mut self, call: &Legacy) -> Result<(), CallError> {
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

    fn commit(&mut self, values: &BTreeMap<(u32, u32), Value>) -> Result<(), CallError> {
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

    fn resolve(&self, link: Link, plain: u64) -> u64 {
        let id = match link {
            Link::Framebuffer(serial) => self.framebuffers.get(&serial),
            Link::Blob(serial) => self.blobs.get(&serial),
            _ => None,
        };
        id.map_or(plain, |id| u64::from(*id))
    }

    /// A legacy call's payload with the ids of now, and a handle that must be closed after it.
    fn linked(&mut self, call: &Legacy) -> Result<(Vec<u8>, Option<u32>), CallError> {
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

    /// Ends what clients ended before, in the way they did.
    fn finish(&mut self, shadow: &Shadow) -> Result<(), CallError> {
        for (serial, fb) in &shadow.framebuffers {
            let (Some(off), Some(&fb_id)) = (fb.removed, self.framebuffers.get(serial)) else {
                continue;
            };
            if off {
                self.quiet(self.host, ioctl::MODE_RMFB, words(&[fb_id]))?;
            } else {
                let cmd = ioctl::MODE_CLOSEFB;
                let close = drm_mode_closefb { fb_id, pad: 0 };
                self.quiet(self.host, cmd, payload(cmd, &close, &[]))?;
            }
        }
        for (serial, blob) in &shadow.blobs {
            if let (true, Some(&blob_id)) = (blob.removed, self.blobs.get(serial)) {
                let cmd = ioctl::MODE_DESTROYPROPBLOB;
                let destroy = drm_mode_destroy_blob { blob_id };
                self.quiet(self.host, cmd, payload(cmd, &destroy, &[]))?;
            }
        }
        Ok(())
    }
}
