// SPDX-License-Identifier: MIT
//! A program that uses the fake device, and what programs commonly do.

use super::gpu::{FakeGpu, Screen};
use crate::device::Device;
use crate::plugin::{DrmFile, DrmInstance};
use crate::testing::{FakeHost, no_device};
use crate::uapi::*;
use crate::wire::describe;
use drvhost_abi::tables::*;
use drvhost_abi::{Call, Errno, Instance, NodeFile};
use std::sync::{Arc, Mutex, MutexGuard};

pub struct Rig {
    pub host: &'static FakeHost,
    pub instance: DrmInstance,
    screens: Arc<Mutex<[Screen; 2]>>,
    next: Mutex<u64>,
}

impl Rig {
    pub fn new() -> Rig {
        let (fake, host) = FakeHost::new();
        fake.seen().now = 1_000_000_000;
        let gpu = FakeGpu::default();
        let screens = gpu.screens.clone();
        let device = Device::new(host, no_device(), Box::new(gpu)).unwrap();
        Rig {
            host: fake,
            instance: DrmInstance { device },
            screens,
            next: Mutex::new(1),
        }
    }

    pub fn screens(&self) -> MutexGuard<'_, [Screen; 2]> {
        self.screens.lock().unwrap()
    }

    /// Waits until every commit is drawn, so that only the clock is missing.
    pub fn drawn(&self) {
        let start = std::time::Instant::now();
        let drawn = || {
            let state = self.instance.device.lock();
            let mut flips = state
                .vblanks
                .iter()
                .filter_map(|vblank| vblank.flip.as_ref());
            flips.all(|flip| flip.target.is_some())
        };
        while !drawn() {
            assert!(start.elapsed().as_secs() < 20, "it is never drawn");
            std::thread::yield_now();
        }
    }

    pub fn open_as(&self, node: u32, flags: u32) -> Client {
        let mut next = self.next.lock().unwrap();
        *next += 1;
        let args = OpenArgs {
            node,
            flags,
            cookie: *next,
            pid: *next as u32,
            uid: 1000,
        };
        Client {
            file: self.instance.open(&args).unwrap(),
            cookie: *next,
        }
    }

    pub fn open(&self) -> Client {
        self.open_as(0, 0)
    }

    pub fn events(&self, cookie: u64) -> Vec<Vec<u8>> {
        let seen = self.host.seen();
        let mine = seen.events.iter().filter(|(to, _)| *to == cookie);
        mine.map(|(_, record)| record.clone()).collect()
    }
}

pub struct Client {
    pub file: DrmFile,
    pub cookie: u64,
}

/// What a call gave back.
#[derive(Debug)]
pub struct Reply {
    pub result: Result<u64, Errno>,
    pub payload: Vec<u8>,
    pub objects: Vec<ObjectRef>,
}

/// The payload of an argument with its arrays.
pub fn payload<T: Pod>(cmd: u32, arg: &T, arrays: &[Vec<u8>]) -> Vec<u8> {
    let Some(descriptor) = describe(cmd) else {
        let mut bytes = vec![0; ioctl::size(cmd)];
        arg.write_to(&mut bytes);
        return bytes;
    };
    let mut argument = vec![0; descriptor.size()];
    arg.write_to(&mut argument);
    let mut bytes = vec![0; descriptor.fixed];
    descriptor.gather(&argument, &mut bytes);
    if let Some(at) = descriptor.total_offset() {
        (arrays[2].len() as u32 / 4).write_to(&mut bytes[at..]);
    }
    bytes.extend(arrays.iter().flatten());
    bytes
}

pub fn bytes<T: Pod>(values: &[T]) -> Vec<u8> {
    crate::kms::blob::bytes_of(values)
}

impl Client {
    pub fn raw(
        &self,
        cmd: u32,
        mut payload: Vec<u8>,
        objects_in: &[ObjectRef],
        want: Option<u32>,
        replay: bool,
    ) -> Reply {
        let mut call = Call {
            cmd,
            replay,
            want_id: want,
            payload: &mut payload,
            objects_in,
            objects_out: Vec::new(),
        };
        let result = self.file.ioctl(&mut call);
        let objects = call.objects_out;
        Reply {
            result,
            payload,
            objects,
        }
    }

    pub fn full<T: Pod>(&self, cmd: u32, arg: T, arrays: &[Vec<u8>]) -> (Reply, T) {
        let reply = self.raw(cmd, payload(cmd, &arg, arrays), &[], None, false);
        let message = crate::wire::Message::decode(cmd, reply.payload.clone());
        // Arrays may no longer fit the counts of the answer: then only the fixed part is read.
        let arg = match message {
            Ok(message) => message.arg(),
            Err(_) => {
                let descriptor = describe(cmd).unwrap();
                let mut argument = vec![0; descriptor.size()];
                descriptor.scatter(&reply.payload[..descriptor.fixed], &mut argument);
                T::read_from(&argument)
            }
        };
        (reply, arg)
    }

    /// A call without arrays: its answer.
    pub fn call<T: Pod>(&self, cmd: u32, arg: T) -> Result<T, Errno> {
        let (reply, arg) = self.full(cmd, arg, &[]);
        reply.result.map(|_| arg)
    }

    /// A call without arrays whose id is given.
    pub fn replay<T: Pod>(&self, cmd: u32, arg: T, want: u32) -> Result<T, Errno> {
        let payload = payload(cmd, &arg, &[]);
        let reply = self.raw(cmd, payload, &[], Some(want), true);
        reply.result.map(|_| T::read_from(&reply.payload))
    }

    pub fn cap(&self, capability: u32, value: u64) -> Result<(), Errno> {
        let capability = capability.into();
        let arg = drm_set_client_cap { capability, value };
        self.call(ioctl::SET_CLIENT_CAP, arg).map(|_| ())
    }

    pub fn atomic_client(self) -> Client {
        self.cap(DRM_CLIENT_CAP_ATOMIC, 1).unwrap();
        self
    }

    /// Ids of connectors and CRTCs.
    pub fn resources(&self) -> (Vec<u32>, Vec<u32>) {
        let room = |n: usize| vec![0u8; n * 4];
        let arg = drm_mode_card_res {
            count_crtcs: 4,
            count_connectors: 4,
            ..Default::default()
        };
        let arrays = [vec![], room(4), room(4), vec![]];
        let (reply, arg) = self.full(ioctl::MODE_GETRESOURCES, arg, &arrays);
        reply.result.unwrap();
        let word = |at: usize| u32::read_from(&reply.payload[32 + at * 4..]);
        let crtcs = (0..arg.count_crtcs as usize).map(word).collect();
        let connectors = (4..4 + arg.count_connectors as usize).map(word);
        (connectors.collect(), crtcs)
    }

    /// Ids of all planes.
    pub fn planes(&self) -> Vec<u32> {
        let arg = drm_mode_get_plane_res {
            count_planes: 8,
            ..Default::default()
        };
        let (reply, arg) = self.full(ioctl::MODE_GETPLANERESOURCES, arg, &[vec![0; 32]]);
        reply.result.unwrap();
        (0..arg.count_planes as usize)
            .map(|i| u32::read_from(&reply.payload[4 + i * 4..]))
            .collect()
    }

    pub fn dumb(&self, width: u32, height: u32, bpp: u32) -> drm_mode_create_dumb {
        let arg = drm_mode_create_dumb {
            width,
            height,
            bpp,
            ..Default::default()
        };
        self.call(ioctl::MODE_CREATE_DUMB, arg).unwrap()
    }

    /// A framebuffer filled with one pixel value: its id, and the buffer's memory.
    pub fn fb(&self, rig: &Rig, width: u32, height: u32, format: u32, pixel: u32) -> (u32, Pixels) {
        let bpp = if format == super::gpu::RG16 { 16 } else { 32 };
        let dumb = self.dumb(width, height, bpp);
        let pixels = self.map(rig, &dumb);
        pixels.fill(pixel, bpp / 8);
        let arg = drm_mode_fb_cmd2 {
            width,
            height,
            pixel_format: format,
            handles: [dumb.handle, 0, 0, 0],
            pitches: [dumb.pitch, 0, 0, 0],
            ..Default::default()
        };
        (self.call(ioctl::MODE_ADDFB2, arg).unwrap().fb_id, pixels)
    }

    pub fn map(&self, rig: &Rig, dumb: &drm_mode_create_dumb) -> Pixels {
        let arg = drm_mode_map_dumb {
            handle: dumb.handle,
            ..Default::default()
        };
        let offset = self.call(ioctl::MODE_MAP_DUMB, arg).unwrap().offset;
        let args = MmapArgs {
            offset,
            length: dumb.size,
            write: 1,
            reserved: 0,
        };
        let out = self.file.mmap(&args).unwrap();
        assert_eq!(out.offset, 0);
        let (ptr, _, _) = rig.host.seen().buffers[&out.buffer];
        Pixels {
            ptr: ptr as *mut u8,
            size: dumb.size as usize,
        }
    }

    pub fn set_crtc(
        &self,
        crtc: u32,
        fb: u32,
        mode: Option<drm_mode_modeinfo>,
        connectors: &[u32],
    ) -> Result<(), Errno> {
        let arg = drm_mode_crtc {
            crtc_id: crtc,
            fb_id: fb,
            count_connectors: connectors.len() as u32,
            mode_valid: mode.is_some().into(),
            mode: mode.unwrap_or_default(),
            ..Default::default()
        };
        let (reply, _) = self.full(ioctl::MODE_SETCRTC, arg, &[bytes(connectors)]);
        reply.result.map(|_| ())
    }

    /// The same, as the host does it after a crash.
    pub fn replay_crtc(
        &self,
        crtc: u32,
        fb: u32,
        mode: Option<drm_mode_modeinfo>,
        connectors: &[u32],
    ) -> Result<(), Errno> {
        let arg = drm_mode_crtc {
            crtc_id: crtc,
            fb_id: fb,
            count_connectors: connectors.len() as u32,
            mode_valid: mode.is_some().into(),
            mode: mode.unwrap_or_default(),
            ..Default::default()
        };
        let cmd = ioctl::MODE_SETCRTC;
        let payload = payload(cmd, &arg, &[bytes(connectors)]);
        self.raw(cmd, payload, &[], None, true).result.map(|_| ())
    }

    pub fn flip(&self, crtc: u32, fb: u32, flags: u32, user_data: u64) -> Result<(), Errno> {
        let arg = drm_mode_crtc_page_flip {
            crtc_id: crtc,
            fb_id: fb,
            flags,
            user_data,
            ..Default::default()
        };
        self.call(ioctl::MODE_PAGE_FLIP, arg).map(|_| ())
    }

    /// An atomic commit of (object, property, value).
    pub fn atomic(&self, flags: u32, props: &[(u32, u32, u64)]) -> Result<Vec<ObjectRef>, Errno> {
        self.atomic_with(flags, props, 0, &[])
    }

    pub fn atomic_with(
        &self,
        flags: u32,
        props: &[(u32, u32, u64)],
        user_data: u64,
        objects_in: &[ObjectRef],
    ) -> Result<Vec<ObjectRef>, Errno> {
        let arg = drm_mode_atomic {
            flags,
            count_objs: props.len() as u32,
            user_data,
            ..Default::default()
        };
        let column = |f: fn(&(u32, u32, u64)) -> u32| props.iter().map(f).collect::<Vec<u32>>();
        let arrays = [
            bytes(&column(|p| p.0)),
            bytes(&column(|_| 1)),
            bytes(&column(|p| p.1)),
            bytes(&props.iter().map(|p| p.2).collect::<Vec<u64>>()),
        ];
        let cmd = ioctl::MODE_ATOMIC;
        let reply = self.raw(cmd, payload(cmd, &arg, &arrays), objects_in, None, false);
        reply.result.map(|_| reply.objects)
    }

    pub fn blob(&self, data: Vec<u8>) -> Result<u32, Errno> {
        let arg = drm_mode_create_blob {
            length: data.len() as u32,
            ..Default::default()
        };
        let (reply, arg) = self.full(ioctl::MODE_CREATEPROPBLOB, arg, &[data]);
        reply.result.map(|_| arg.blob_id)
    }

    /// The value of a property.
    pub fn value(&self, object: u32, property: u32) -> Option<u64> {
        let arg = drm_mode_obj_get_properties {
            count_props: 32,
            obj_id: object,
            ..Default::default()
        };
        let arrays = [vec![0; 128], vec![0; 256]];
        let (reply, arg) = self.full(ioctl::MODE_OBJ_GETPROPERTIES, arg, &arrays);
        reply.result.unwrap();
        (0..arg.count_props as usize)
            .find(|i| u32::read_from(&reply.payload[12 + i * 4..]) == property)
            .map(|i| u64::read_from(&reply.payload[12 + 128 + i * 8..]))
    }
}

/// A dumb buffer's memory as the program maps it.
#[derive(Clone, Copy)]
pub struct Pixels {
    ptr: *mut u8,
    size: usize,
}

impl Pixels {
    pub fn fill(&self, pixel: u32, cpp: u32) {
        let pixel = pixel.to_le_bytes();
        for at in 0..self.size {
            // SAFETY: the fake host's buffer is this large and lives while its handle does.
            unsafe { self.ptr.add(at).write(pixel[at % cpp as usize]) };
        }
    }

    pub fn set(&self, index: usize, pixel: u32) {
        assert!(index * 4 + 4 <= self.size);
        // SAFETY: checked above; the buffer lives while its handle does.
        unsafe { self.ptr.add(index * 4).cast::<u32>().write(pixel) };
    }
}
