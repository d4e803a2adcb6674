// SPDX-License-Identifier: MIT
//! From the record to a fresh driver: opens, caps, master, leases, buffers, framebuffers, blobs
//! and sync objects under the ids that clients know (`objects`), then the display state (`display`).

mod display;
mod objects;

use super::Shadow;
use super::file::File;
use super::topology::Topology;
use super::wire::{Caller, payload, words};
use drvhost_abi::Errno;
use drvhost_abi::tables::{OpenArgs, REQUEST_REPLAY};
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
