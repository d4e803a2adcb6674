// SPDX-License-Identifier: MIT
//! The fake driver's calls.

use super::display::*;
use super::fake::{FakeFile, State};
use drvhost_abi::Errno;
use drvhost_abi::tables::*;
use drvhost_drm::uapi::ioctl as nr;
use drvhost_drm::uapi::names::fixed;
use drvhost_drm::uapi::*;
use drvhost_drm::wire::Message;
use drvhost_port::{Answer, Ioctl, Upcalls};

fn free(taken: impl Fn(u32) -> bool, want: u32, first: u32) -> Result<u32, Errno> {
    match want {
        0 => Ok((first..).find(|id| !taken(*id)).unwrap()),
        _ if taken(want) => Err(Errno::EEXIST),
        _ => Ok(want),
    }
}

impl State {
    pub(super) fn put_back(&mut self, upcalls: &dyn Upcalls) {
        let handles = self.files.values().flat_map(|file| file.handles.values());
        let mut used: std::collections::BTreeSet<u64> = handles.copied().collect();
        used.extend(self.display.fbs.values().flat_map(|fb| fb.buffers));
        used.extend(self.display.cursors.values());
        self.held.retain(|buffer| {
            let kept = used.contains(buffer);
            if !kept {
                upcalls.buffer_put(*buffer);
            }
            kept
        });
    }

    pub(super) fn forget_names(&mut self) {
        let files = &self.files;
        self.names.retain(|_, buffer| {
            files
                .values()
                .any(|f| f.handles.values().any(|b| b == buffer))
        });
    }

    fn handle(&mut self, file: u64, want: u32, buffer: u64) -> Result<u32, Errno> {
        let handles = &mut self.files.get_mut(&file).ok_or(Errno::EBADF)?.handles;
        let handle = free(|id| handles.contains_key(&id), want, 1)?;
        handles.insert(handle, buffer);
        Ok(handle)
    }

    fn buffer(&self, file: u64, handle: u32) -> Result<u64, Errno> {
        let file = self.files.get(&file).ok_or(Errno::EBADF)?;
        file.handles.get(&handle).copied().ok_or(Errno::ENOENT)
    }

    pub(super) fn call(
        &mut self,
        file: u64,
        call: &Ioctl,
        buffer: u64,
        payload: &mut [u8],
        upcalls: &dyn Upcalls,
    ) -> Result<Answer, Errno> {
        let mut m = Message::decode(call.cmd, payload)?;
        let want = call.want_id;
        let mut answer = Answer::default();
        match call.cmd {
            nr::VERSION => {
                let mut v: drm_version = m.arg();
                m.write_array(0, b"fake")?;
                v.name_len = 4;
                v.date_len = 0;
                v.desc_len = 0;
                m.set_arg(&v);
            }
            nr::GET_CAP => {
                let mut cap: drm_get_cap = m.arg();
                cap.value = cap.capability + 100;
                m.set_arg(&cap);
            }
            nr::SET_CLIENT_CAP => {
                let cap: drm_set_client_cap = m.arg();
                let file = self.files.get_mut(&file).ok_or(Errno::EBADF)?;
                file.caps.insert(cap.capability, cap.value);
            }
            nr::SET_MASTER => match self.master {
                Some(master) if master != file && call.flags == 0 => return Err(Errno::EBUSY),
                _ => self.master = Some(file),
            },
            nr::DROP_MASTER => {
                if self.master != Some(file) {
                    return Err(Errno::EINVAL);
                }
                self.master = None;
            }
            nr::GET_MAGIC => {
                let files = &self.files;
                let own = files.get(&file).map_or(0, |f| f.magic);
                let taken = |id| files.values().any(|f| f.magic == id);
                let magic = match own {
                    0 => free(taken, want, 1)?,
                    own => own,
                };
                self.files.get_mut(&file).unwrap().magic = magic;
                m.set_arg(&drm_auth { magic });
            }
            nr::AUTH_MAGIC => {
                let magic = m.arg::<drm_auth>().magic;
                let mut files = self.files.values_mut();
                let found = files.find(|f| f.magic == magic && magic != 0);
                found.ok_or(Errno::EINVAL)?.authenticated = true;
            }
            nr::MODE_CREATE_DUMB => {
                let mut args: drm_mode_create_dumb = m.arg();
                args.handle = self.handle(file, want, buffer)?;
                args.pitch = args.width * 4;
                args.size = u64::from(args.pitch) * u64::from(args.height);
                m.set_arg(&args);
            }
            nr::MODE_MAP_DUMB => {
                let mut map: drm_mode_map_dumb = m.arg();
                self.buffer(file, map.handle)?;
                map.offset = u64::from(map.handle) << 32;
                m.set_arg(&map);
            }
            nr::GEM_CLOSE | nr::MODE_DESTROY_DUMB => {
                let handle = u32::read_from(m.argument_bytes());
                let file = self.files.get_mut(&file).ok_or(Errno::EBADF)?;
                file.handles.remove(&handle).ok_or(Errno::EINVAL)?;
                self.forget_names();
            }
            nr::GEM_FLINK => {
                let mut flink: drm_gem_flink = m.arg();
                let buffer = self.buffer(file, flink.handle)?;
                let known = self.names.iter().find(|(_, b)| **b == buffer);
                flink.name = match known {
                    Some((name, _)) => *name,
                    None => free(|id| self.names.contains_key(&id), want, 1)?,
                };
                self.names.insert(flink.name, buffer);
                m.set_arg(&flink);
            }
            nr::GEM_OPEN => {
                let mut open: drm_gem_open = m.arg();
                let buffer = *self.names.get(&open.name).ok_or(Errno::ENOENT)?;
                open.handle = self.handle(file, want, buffer)?;
                m.set_arg(&open);
            }
            nr::PRIME_HANDLE_TO_FD => {
                let prime: drm_prime_handle = m.arg();
                answer.objects.push(ObjectRef {
                    kind: ObjectKind::Buffer as u32,
                    place: 0,
                    id: self.buffer(file, prime.handle)?,
                });
            }
            nr::PRIME_FD_TO_HANDLE => {
                let mut prime: drm_prime_handle = m.arg();
                let buffer = call.objects.first().ok_or(Errno::EBADF)?.id;
                self.seen_buffers.push(buffer);
                let handles = &self.files.get(&file).ok_or(Errno::EBADF)?.handles;
                let own = handles.iter().find(|(_, b)| **b == buffer);
                prime.handle = match own {
                    Some((own, _)) if want == 0 => *own,
                    _ => self.handle(file, want, buffer)?,
                };
                m.set_arg(&prime);
            }
            nr::MODE_ADDFB => {
                let mut args: drm_mode_fb_cmd = m.arg();
                let buffer = self.buffer(file, args.handle)?;
                args.fb_id = self.add_fb(file, want, [buffer, 0, 0, 0], args.width)?;
                m.set_arg(&args);
            }
            nr::MODE_RMFB => {
                let id = m.arg::<u32>();
                let fb = self.display.fbs.get(&id).filter(|fb| fb.listed);
                fb.ok_or(Errno::ENOENT)?;
                self.display.remove_fb(id);
                self.display.collect();
            }
            nr::MODE_CLOSEFB => {
                let id = m.arg::<drm_mode_closefb>().fb_id;
                let fb = self.display.fbs.get_mut(&id).filter(|fb| fb.listed);
                fb.ok_or(Errno::ENOENT)?.listed = false;
                self.display.collect();
            }
            nr::MODE_CREATEPROPBLOB => {
                let mut args: drm_mode_create_blob = m.arg();
                let display = &mut self.display;
                args.blob_id = free(|id| display.has(id), want, 0x10000)?;
                let blob = Blob {
                    owner: file,
                    data: m.array(0).to_vec(),
                    listed: true,
                };
                display.blobs.insert(args.blob_id, blob);
                m.set_arg(&args);
            }
            nr::MODE_DESTROYPROPBLOB => {
                let id = m.arg::<drm_mode_destroy_blob>().blob_id;
                let blob = self.display.blobs.get_mut(&id).filter(|b| b.listed);
                blob.ok_or(Errno::ENOENT)?.listed = false;
                self.display.collect();
            }
            nr::MODE_GETCRTC => {
                let mut crtc: drm_mode_crtc = m.arg();
                let id = crtc.crtc_id;
                crtc.mode_valid = self.display.modes.contains_key(&id).into();
                crtc.fb_id = self.display.value(Display::primary(id), FB_ID) as u32;
                m.set_arg(&crtc);
            }
            nr::MODE_SETCRTC => {
                let args: drm_mode_crtc = m.arg();
                let connectors: Vec<u32> = m.elements(0).collect();
                let on = args.mode_valid != 0;
                if !CRTCS.contains(&args.crtc_id) {
                    return Err(Errno::ENOENT);
                }
                if on == connectors.is_empty() {
                    return Err(Errno::EINVAL);
                }
                let fb = match args.fb_id {
                    u32::MAX => self.display.value(Display::primary(args.crtc_id), FB_ID) as u32,
                    fb => fb,
                };
                if on && !self.display.fbs.contains_key(&fb) {
                    return Err(Errno::ENOENT);
                }
                let mode = on.then(|| vec![args.mode.clock as u8]);
                self.display.set_crtc(args.crtc_id, fb, &connectors, mode);
                self.display.collect();
            }
            nr::MODE_PAGE_FLIP => {
                let flip: drm_mode_crtc_page_flip = m.arg();
                if !self.display.modes.contains_key(&flip.crtc_id) {
                    return Err(Errno::EBUSY);
                }
                let fb = self.display.fbs.get(&flip.fb_id);
                fb.ok_or(Errno::ENOENT)?;
                let primary = Display::primary(flip.crtc_id);
                self.display.set(primary, FB_ID, flip.fb_id.into());
                self.display.set(primary, CRTC_ID, flip.crtc_id.into());
                if flip.flags & DRM_MODE_PAGE_FLIP_EVENT != 0 {
                    self.flips.push((file, flip.crtc_id, flip.user_data));
                }
                self.display.collect();
            }
            nr::MODE_GETPLANE => {
                let mut plane: drm_mode_get_plane = m.arg();
                plane.fb_id = self.display.value(plane.plane_id, FB_ID) as u32;
                plane.crtc_id = self.display.value(plane.plane_id, CRTC_ID) as u32;
                plane.count_format_types = 0;
                plane.possible_crtcs = match plane.plane_id {
                    30 => 1,
                    31 => 2,
                    _ => 3,
                };
                m.set_arg(&plane);
            }
            nr::MODE_SETPLANE => {
                let set: drm_mode_set_plane = m.arg();
                if !PLANES.contains(&set.plane_id) {
                    return Err(Errno::ENOENT);
                }
                if set.fb_id == 0 {
                    let primary = set.plane_id < 32;
                    if primary && self.display.modes.contains_key(&(set.plane_id + 10)) {
                        return Err(Errno::EINVAL);
                    }
                    self.display.plane_off(set.plane_id);
                } else {
                    self.display.fbs.get(&set.fb_id).ok_or(Errno::ENOENT)?;
                    let foreign = set.plane_id < 32 && set.plane_id != set.crtc_id - 10;
                    if foreign || !self.display.modes.contains_key(&set.crtc_id) {
                        return Err(Errno::EINVAL);
                    }
                    self.display.set(set.plane_id, FB_ID, set.fb_id.into());
                    self.display.set(set.plane_id, CRTC_ID, set.crtc_id.into());
                }
                self.display.collect();
            }
            nr::MODE_CURSOR => {
                let cursor: drm_mode_cursor = m.arg();
                if cursor.flags & DRM_MODE_CURSOR_BO != 0 {
                    match cursor.handle {
                        0 => self.display.cursors.remove(&cursor.crtc_id),
                        handle => {
                            let buffer = self.buffer(file, handle)?;
                            self.display.cursors.insert(cursor.crtc_id, buffer)
                        }
                    };
                }
                if cursor.flags & DRM_MODE_CURSOR_MOVE != 0 {
                    let place = (cursor.x, cursor.y);
                    self.display.cursor_places.insert(cursor.crtc_id, place);
                }
            }
            nr::MODE_SETGAMMA => {
                let lut: drm_mode_crtc_lut = m.arg();
                self.display.gamma.insert(lut.crtc_id, m.array(0).to_vec());
            }
            nr::MODE_OBJ_SETPROPERTY => {
                let set: drm_mode_obj_set_property = m.arg();
                self.check(set.obj_id, set.prop_id, set.value)?;
                self.display.commit(set.obj_id, set.prop_id, set.value);
                self.display.collect();
            }
            nr::MODE_ATOMIC => {
                let args: drm_mode_atomic = m.arg();
                let items = drvhost_front::shadow::display::commit(m.payload());
                for item in &items {
                    self.check(item.object, item.property, item.value)?;
                }
                let mut trial = self.display.clone();
                for item in &items {
                    trial.commit(item.object, item.property, item.value);
                }
                if !trial.is_valid() {
                    return Err(Errno::EINVAL);
                }
                if args.flags & DRM_MODE_ATOMIC_TEST_ONLY == 0 {
                    let mut crtcs = std::collections::BTreeSet::new();
                    for (place, item) in items.iter().enumerate() {
                        let crtc = self.display.value(item.object, CRTC_ID);
                        let object = u64::from(item.object);
                        crtcs.extend([crtc].into_iter().filter(|_| !CRTCS.contains(&item.object)));
                        crtcs.extend([object].into_iter().filter(|o| (40..50).contains(o)));
                        match item.property {
                            IN_FENCE_FD => {}
                            OUT_FENCE_PTR => {
                                if item.value != 0 {
                                    answer.objects.push(ObjectRef {
                                        kind: ObjectKind::Fence as u32,
                                        place: place as u32,
                                        id: upcalls.fence_create(file)?.id,
                                    });
                                }
                            }
                            CRTC_ID => {
                                crtcs.insert(item.value);
                                self.display.commit(item.object, item.property, item.value);
                            }
                            _ => self.display.commit(item.object, item.property, item.value),
                        }
                    }
                    crtcs.remove(&0);
                    if args.flags & DRM_MODE_PAGE_FLIP_EVENT != 0 {
                        let flips = crtcs.into_iter().map(|c| (file, c as u32, args.user_data));
                        self.flips.extend(flips);
                    }
                    self.display.collect();
                }
            }
            nr::MODE_GETRESOURCES => {
                let mut res: drm_mode_card_res = m.arg();
                m.write_array(1, &CRTCS)?;
                m.write_array(2, &CONNECTORS)?;
                res.count_fbs = self.display.fbs.len() as u32;
                res.count_crtcs = 2;
                res.count_connectors = 2;
                m.set_arg(&res);
            }
            nr::MODE_GETPLANERESOURCES => {
                let mut res: drm_mode_get_plane_res = m.arg();
                m.write_array(0, &PLANES)?;
                res.count_planes = 4;
                m.set_arg(&res);
            }
            nr::MODE_OBJ_GETPROPERTIES => {
                let mut args: drm_mode_obj_get_properties = m.arg();
                let list = properties(args.obj_id);
                let values: Vec<u64> = list
                    .iter()
                    .map(|property| self.display.value(args.obj_id, *property))
                    .collect();
                m.write_array(0, list)?;
                m.write_array(1, &values)?;
                args.count_props = list.len() as u32;
                m.set_arg(&args);
            }
            nr::MODE_GETPROPERTY => {
                let mut args: drm_mode_get_property = m.arg();
                let known = PROPERTIES.iter().find(|(id, ..)| *id == args.prop_id);
                let (_, name, flags) = known.ok_or(Errno::ENOENT)?;
                args.name = fixed(name);
                args.flags = *flags;
                args.count_values = 2;
                m.set_arg(&args);
            }
            nr::SYNCOBJ_CREATE => {
                let mut args: drm_syncobj_create = m.arg();
                let objs = &mut self.files.get_mut(&file).ok_or(Errno::EBADF)?.syncobjs;
                args.handle = free(|id| objs.contains_key(&id), want, 1)?;
                objs.insert(args.handle, (args.flags & 1 != 0, 0));
                m.set_arg(&args);
            }
            nr::SYNCOBJ_DESTROY => {
                let handle = m.arg::<drm_syncobj_destroy>().handle;
                let objs = &mut self.files.get_mut(&file).ok_or(Errno::EBADF)?.syncobjs;
                objs.remove(&handle).ok_or(Errno::EINVAL)?;
            }
            nr::SYNCOBJ_SIGNAL | nr::SYNCOBJ_RESET => {
                let objs = &mut self.files.get_mut(&file).ok_or(Errno::EBADF)?.syncobjs;
                let handles: Vec<u32> = m.elements(0).collect();
                if handles.iter().any(|handle| !objs.contains_key(handle)) {
                    return Err(Errno::ENOENT);
                }
                for handle in handles {
                    objs.insert(handle, (call.cmd == nr::SYNCOBJ_SIGNAL, 0));
                }
            }
            nr::SYNCOBJ_TIMELINE_SIGNAL => {
                let objs = &mut self.files.get_mut(&file).ok_or(Errno::EBADF)?.syncobjs;
                let list: Vec<(u32, u64)> = m.elements(0).zip(m.elements(1)).collect();
                for (handle, point) in list {
                    let state = objs.get_mut(&handle).ok_or(Errno::ENOENT)?;
                    *state = (true, state.1.max(point));
                }
            }
            nr::MODE_CREATE_LEASE => {
                let mut args: drm_mode_create_lease = m.arg();
                let cookie = upcalls.file_create(0)?;
                let leased = FakeFile {
                    lease: true,
                    authenticated: true,
                    ..FakeFile::default()
                };
                self.files.insert(cookie, leased);
                args.lessee_id = if want == 0 { 1 } else { want };
                m.set_arg(&args);
                answer.objects.push(ObjectRef {
                    kind: ObjectKind::File as u32,
                    place: 0,
                    id: cookie,
                });
            }
            nr::WAIT_VBLANK => {
                let mut reply = drm_wait_vblank_reply::read_from(m.payload());
                reply.sequence = self.sequence as u32;
                m.set_arg(&reply);
            }
            _ => return Err(Errno::EINVAL),
        }
        Ok(answer)
    }

    fn check(&self, object: u32, property: u32, value: u64) -> Result<(), Errno> {
        if !properties(object).contains(&property) {
            return Err(Errno::ENOENT);
        }
        let id = value as u32;
        let known = match property {
            _ if value == 0 => true,
            FB_ID => self.display.fbs.contains_key(&id),
            MODE_ID | GAMMA_LUT => self.display.blobs.contains_key(&id) || id == INTERNAL,
            _ => true,
        };
        known.then_some(()).ok_or(Errno::EINVAL)
    }

    fn add_fb(
        &mut self,
        owner: u64,
        want: u32,
        buffers: [u64; 4],
        width: u32,
    ) -> Result<u32, Errno> {
        let id = free(|id| self.display.has(id), want, 0x10000)?;
        let fb = Fb {
            owner,
            buffers,
            width,
            listed: true,
        };
        self.display.fbs.insert(id, fb);
        Ok(id)
    }
}
