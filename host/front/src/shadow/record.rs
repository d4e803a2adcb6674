// SPDX-License-Identifier: MIT
//! From successful calls to the record: everything but the display state.

use super::Shadow;
use super::file::{Blob, Dumb, File, Framebuffer, Handle, Lease, Syncobj};
use super::wire::argument;
use crate::quota::Charge;
use drvhost_abi::tables::{ObjectKind, ObjectRef};
use drvhost_drm::uapi::*;
use drvhost_drm::wire::Message;

/// A call that succeeded.
#[derive(Debug)]
pub struct Done<'a> {
    /// The file's cookie.
    pub file: u64,
    /// The ioctl number, as the codec's table has it.
    pub cmd: u32,
    /// The payload that was sent.
    pub request: &'a [u8],
    /// The payload that came back. Its lists are as long as the request's.
    pub reply: &'a [u8],
    /// `CREATE_DUMB`: the buffer.
    pub buffer: u64,
    /// Objects given with the call.
    pub objects_in: &'a [ObjectRef],
    /// Objects that came back.
    pub objects_out: &'a [ObjectRef],
    /// What it counts against the owner's quota.
    pub charge: Option<Charge>,
}

impl Done<'_> {
    pub(super) fn sent<T: Pod>(&self) -> T {
        argument(self.cmd, self.request)
    }

    pub(super) fn got<T: Pod>(&self) -> T {
        super::wire::fixed_part(self.cmd, self.reply)
    }

    fn object(objects: &[ObjectRef], kind: ObjectKind) -> u64 {
        let mut objects = objects.iter();
        let found = objects.find(|object| object.kind == kind as u32);
        found.map_or(0, |object| object.id)
    }
}

impl Shadow {
    /// Records a call. True: it changed more than it names, so the driver should be asked
    /// ([`Shadow::resync`]).
    pub fn record(&mut self, mut done: Done<'_>) -> bool {
        match done.cmd {
            ioctl::MODE_CREATE_DUMB => self.create_dumb(&done),
            ioctl::GEM_CLOSE => self.close_handle(&done, done.sent::<drm_gem_close>().handle),
            ioctl::MODE_DESTROY_DUMB => {
                self.close_handle(&done, done.sent::<drm_mode_destroy_dumb>().handle);
            }
            ioctl::PRIME_FD_TO_HANDLE => {
                let buffer = Done::object(done.objects_in, ObjectKind::Buffer);
                self.handle(&done, done.got::<drm_prime_handle>().handle, buffer);
            }
            ioctl::GEM_FLINK => {
                let flink: drm_gem_flink = done.got();
                if let Some(buffer) = self.buffer_of(done.file, flink.handle) {
                    self.names.insert(flink.name, buffer);
                }
            }
            ioctl::GEM_OPEN => {
                let open: drm_gem_open = done.got();
                if let Some(buffer) = self.names.get(&open.name).copied() {
                    self.handle(&done, open.handle, buffer);
                }
            }
            ioctl::MODE_GETFB => {
                let fb: drm_mode_fb_cmd = done.got();
                self.handles_of_framebuffer(&done, fb.fb_id, [fb.handle, 0, 0, 0]);
            }
            ioctl::MODE_GETFB2 => {
                let fb: drm_mode_fb_cmd2 = done.got();
                self.handles_of_framebuffer(&done, fb.fb_id, fb.handles);
            }
            ioctl::MODE_ADDFB => {
                let fb: drm_mode_fb_cmd = done.got();
                self.add_framebuffer(&done, fb.fb_id, [fb.handle, 0, 0, 0]);
            }
            ioctl::MODE_ADDFB2 => {
                let (fb, sent): (drm_mode_fb_cmd2, drm_mode_fb_cmd2) = (done.got(), done.sent());
                self.add_framebuffer(&done, fb.fb_id, sent.handles);
            }
            ioctl::MODE_RMFB => return self.remove_framebuffer(done.sent(), true),
            ioctl::MODE_CLOSEFB => {
                return self.remove_framebuffer(done.sent::<drm_mode_closefb>().fb_id, false);
            }
            ioctl::MODE_CREATEPROPBLOB => {
                let serial = self.next_serial();
                let blob = Blob {
                    id: done.got::<drm_mode_create_blob>().blob_id,
                    owner: done.file,
                    removed: false,
                    payload: done.request.to_vec(),
                    charge: done.charge.take().map(std::sync::Arc::new),
                };
                self.blobs.insert(serial, blob);
            }
            ioctl::MODE_DESTROYPROPBLOB => {
                let id = done.sent::<drm_mode_destroy_blob>().blob_id;
                let mut blobs = self.blobs.values_mut();
                if let Some(blob) = blobs.find(|blob| blob.id == id && !blob.removed) {
                    blob.removed = true;
                }
                self.prune();
            }
            ioctl::SET_MASTER => {
                self.master = Some(done.file);
                self.with_file(&done, |file| file.was_master = true);
            }
            ioctl::DROP_MASTER => {
                if self.master == Some(done.file) {
                    self.master = None;
                }
            }
            ioctl::GET_MAGIC => {
                let magic = done.got::<drm_auth>().magic;
                self.with_file(&done, |file| file.magic = Some(magic));
            }
            ioctl::AUTH_MAGIC => {
                let magic = done.sent::<drm_auth>().magic;
                let mut files = self.files.values_mut();
                if let Some(file) = files.find(|file| file.magic == Some(magic)) {
                    file.authenticated = true;
                }
            }
            ioctl::SET_CLIENT_CAP => {
                let cap: drm_set_client_cap = done.sent();
                self.with_file(&done, |file| {
                    match file
                        .caps
                        .iter_mut()
                        .find(|(number, _)| *number == cap.capability)
                    {
                        Some((_, value)) => *value = cap.value,
                        None => file.caps.push((cap.capability, cap.value)),
                    }
                });
            }
            ioctl::SET_CLIENT_NAME => {
                let name = done.request.to_vec();
                self.with_file(&done, |file| file.name = Some(name));
            }
            ioctl::MODE_CREATE_LEASE => self.create_lease(&done),
            _ => return self.record_syncobj(&done) || self.record_display(&done),
        }
        false
    }

    fn record_syncobj(&mut self, done: &Done<'_>) -> bool {
        let Some(file) = self.files.get_mut(&done.file) else {
            return false;
        };
        let syncobjs = &mut file.syncobjs;
        let message = Message::decode(done.cmd, done.request);
        let handles: Vec<u32> = message.iter().flat_map(|m| m.elements(0)).collect();
        match done.cmd {
            ioctl::SYNCOBJ_CREATE => {
                let create: drm_syncobj_create = done.got();
                let state = Syncobj {
                    fence: done.sent::<drm_syncobj_create>().flags & 1 != 0,
                    point: 0,
                };
                syncobjs.insert(create.handle, state);
            }
            ioctl::SYNCOBJ_DESTROY => {
                syncobjs.remove(&done.sent::<drm_syncobj_destroy>().handle);
            }
            ioctl::SYNCOBJ_FD_TO_HANDLE => {
                let handle = done.got::<drm_syncobj_handle>().handle;
                syncobjs.entry(handle).or_default().fence = true;
            }
            ioctl::SYNCOBJ_RESET => {
                for handle in handles {
                    syncobjs.insert(handle, Syncobj::default());
                }
            }
            ioctl::SYNCOBJ_SIGNAL => {
                for handle in handles {
                    syncobjs.entry(handle).or_default().fence = true;
                }
            }
            ioctl::SYNCOBJ_TIMELINE_SIGNAL => {
                let points: Vec<u64> = message.iter().flat_map(|m| m.elements(1)).collect();
                for (handle, point) in handles.into_iter().zip(points) {
                    let state = syncobjs.entry(handle).or_default();
                    state.point = state.point.max(point);
                    state.fence = true;
                }
            }
            ioctl::SYNCOBJ_TRANSFER => {
                let transfer: drm_syncobj_transfer = done.sent();
                let state = syncobjs.entry(transfer.dst_handle).or_default();
                state.point = state.point.max(transfer.dst_point);
                state.fence = true;
            }
            _ => {}
        }
        false
    }

    fn with_file(&mut self, done: &Done<'_>, change: impl FnOnce(&mut File)) {
        if let Some(file) = self.files.get_mut(&done.file) {
            change(file);
        }
    }

    fn create_dumb(&mut self, done: &Done<'_>) {
        let args: drm_mode_create_dumb = done.got();
        let handle = Handle {
            buffer: done.buffer,
            dumb: true,
        };
        self.with_file(done, |file| {
            file.handles.insert(args.handle, handle);
        });
        if done.buffer != 0 {
            self.dumb.insert(done.buffer, Dumb { args });
        }
    }

    fn handle(&mut self, done: &Done<'_>, handle: u32, buffer: u64) {
        self.with_file(done, |file| {
            let new = Handle {
                buffer,
                dumb: false,
            };
            file.handles.entry(handle).or_insert(new);
        });
    }

    fn close_handle(&mut self, done: &Done<'_>, handle: u32) {
        self.with_file(done, |file| {
            file.handles.remove(&handle);
        });
        self.forget_names();
        self.prune();
    }

    fn handles_of_framebuffer(&mut self, done: &Done<'_>, id: u32, handles: [u32; 4]) {
        let serial = self.framebuffer(id);
        let Some(framebuffer) = serial.and_then(|serial| self.framebuffers.get(&serial)) else {
            return;
        };
        for (handle, buffer) in handles.into_iter().zip(framebuffer.buffers) {
            // Zero for those who may not have the handle.
            if handle != 0 && buffer != 0 {
                self.handle(done, handle, buffer);
            }
        }
    }

    fn add_framebuffer(&mut self, done: &Done<'_>, id: u32, handles: [u32; 4]) {
        let serial = self.next_serial();
        let buffers = handles.map(|handle| self.buffer_of(done.file, handle).unwrap_or(0));
        let framebuffer = Framebuffer {
            id,
            owner: done.file,
            removed: None,
            cmd: done.cmd,
            payload: done.request.to_vec(),
            buffers,
        };
        self.framebuffers.insert(serial, framebuffer);
    }

    fn remove_framebuffer(&mut self, id: u32, off: bool) -> bool {
        let mut framebuffers = self.framebuffers.values_mut();
        if let Some(fb) = framebuffers.find(|fb| fb.id == id && fb.removed.is_none()) {
            fb.removed = Some(off);
        }
        self.prune();
        off && self.shows_removed()
    }

    fn create_lease(&mut self, done: &Done<'_>) {
        let cookie = Done::object(done.objects_out, ObjectKind::File);
        let Some(lessor) = self.files.get(&done.file) else {
            return;
        };
        let args = drvhost_abi::tables::OpenArgs {
            cookie,
            ..lessor.args
        };
        let mut file = File::new(args);
        file.authenticated = true;
        file.lease = Some(Lease {
            lessor: done.file,
            id: done.got::<drm_mode_create_lease>().lessee_id,
            payload: done.request.to_vec(),
        });
        self.files.insert(cookie, file);
    }
}
