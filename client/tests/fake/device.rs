// SPDX-License-Identifier: MIT
//! The fake device: dumb buffers, events on demand, descriptors both ways.

use drvhost_channel::packet;
use drvhost_channel::program::{
    FdNote, IN_FIELD, IN_VALUE, NEEDS_CONNECTION, OUT_FIELD, OUT_POINTER,
};
use drvhost_drm::uapi::{self, DRM_CAP_DUMB_BUFFER, ioctl};
use drvhost_drm::wire::Message;
use rustix::net::SendFlags;
use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use zerocopy::IntoBytes;

/// A private ioctl of eight bytes that answers with their complement.
const ECHO: u32 = 3 << 30 | 8 << 16 | (b'd' as u32) << 8 | 0x40;
/// A property that takes a descriptor.
const IN_FENCE: u32 = 1000;
/// A property whose value points to where a descriptor goes.
const OUT_FENCE: u32 = 1001;

/// Where the first buffer's fake offset is; each has its own 4 GiB.
const FAKE: u64 = 1 << 32;

#[derive(Default)]
pub struct Device {
    buffers: Vec<OwnedFd>,
}

type Called = (i64, Vec<FdNote>, Vec<u8>, Vec<OwnedFd>);

/// One ioctl through a ring.
pub fn ioctl(device: &Mutex<Device>, events: &OwnedFd, cmd: u32, payload: &[u8]) -> (i64, Vec<u8>) {
    if cmd == ECHO {
        return (0, payload.iter().map(|byte| !byte).collect());
    }
    let mut message = match Message::decode(cmd, payload.to_vec()) {
        Ok(message) => message,
        Err(errno) => return (-i64::from(errno.0), Vec::new()),
    };
    let mut result = 0;
    match cmd {
        ioctl::VERSION => {
            let mut version: uapi::drm_version = message.arg();
            version.version_major = 4;
            (version.name_len, version.date_len, version.desc_len) = (4, 8, 5);
            message.write_array(0, b"fake").unwrap();
            message.write_array(1, b"20260101").unwrap();
            message.write_array(2, b"tests").unwrap();
            message.set_arg(&version);
        }
        ioctl::GET_CAP => {
            let mut cap: uapi::drm_get_cap = message.arg();
            if cap.capability == u64::from(DRM_CAP_DUMB_BUFFER) {
                cap.value = 1;
            } else {
                result = -i64::from(libc::EINVAL);
            }
            message.set_arg(&cap);
        }
        ioctl::MODE_GETRESOURCES => {
            let mut resources: uapi::drm_mode_card_res = message.arg();
            (resources.min_width, resources.max_width) = (1, 4096);
            (resources.min_height, resources.max_height) = (1, 2048);
            message.set_arg(&resources);
        }
        ioctl::SET_CLIENT_CAP | ioctl::MODE_GETPLANERESOURCES => {}
        ioctl::MODE_CREATE_DUMB => {
            let mut dumb: uapi::drm_mode_create_dumb = message.arg();
            dumb.pitch = dumb.width * dumb.bpp / 8;
            dumb.size = u64::from(dumb.pitch * dumb.height).next_multiple_of(4096);
            let memory = drvhost_channel::memory::sealed("dumb", dumb.size).unwrap();
            let mut device = device.lock().unwrap();
            device.buffers.push(memory);
            dumb.handle = device.buffers.len() as u32;
            message.set_arg(&dumb);
        }
        ioctl::MODE_MAP_DUMB => {
            let mut dumb: uapi::drm_mode_map_dumb = message.arg();
            dumb.offset = u64::from(dumb.handle) * FAKE;
            message.set_arg(&dumb);
        }
        ioctl::WAIT_VBLANK => {
            // As many events as the sequence says.
            let wait: uapi::drm_wait_vblank_request = message.arg();
            for sequence in 0..wait.sequence {
                let event: [u32; 8] = [1, 32, wait.signal as u32, 0, 0, 0, sequence, 0];
                let parts = [IoSlice::new(event.as_bytes())];
                packet::send(events, &parts, &[], SendFlags::empty()).unwrap();
            }
        }
        ioctl::MODE_GETPROPBLOB => {
            let mut blob: uapi::drm_mode_get_blob = message.arg();
            let bytes: Vec<u8> = (0..blob.blob_id).map(|index| index as u8).collect();
            message.write_array(0, &bytes).unwrap();
            blob.length = blob.blob_id;
            message.set_arg(&blob);
        }
        ioctl::MODE_ATOMIC => {
            let ids = message.elements::<u32>(2);
            let values = message.elements::<u64>(3);
            let notes: Vec<FdNote> = (0..)
                .zip(ids.zip(values))
                .filter_map(|(place, (id, value))| {
                    let kind = match id {
                        IN_FENCE => IN_VALUE,
                        OUT_FENCE => OUT_POINTER,
                        _ => return None,
                    };
                    Some(FdNote { kind, place, value })
                })
                .collect();
            if !notes.is_empty() {
                return (-i64::from(NEEDS_CONNECTION), notes.as_bytes().to_vec());
            }
        }
        _ => result = -i64::from(libc::EOPNOTSUPP),
    }
    (result, message.into_payload())
}

impl Device {
    /// One ioctl over a connection.
    pub fn call(
        &mut self,
        cmd: u32,
        notes: &[FdNote],
        payload: &[u8],
        fds: Vec<OwnedFd>,
    ) -> Called {
        let mut message = Message::decode(cmd, payload.to_vec()).unwrap();
        let (mut answers, mut given) = (Vec::new(), Vec::new());
        let mut fds = fds.into_iter();
        match cmd {
            ioctl::PRIME_HANDLE_TO_FD => {
                let prime: uapi::drm_prime_handle = message.arg();
                match self.buffers.get(prime.handle as usize - 1) {
                    Some(buffer) => given.push(buffer.try_clone().unwrap()),
                    None => return (-i64::from(libc::ENOENT), Vec::new(), Vec::new(), Vec::new()),
                }
                answers.push(FdNote {
                    kind: OUT_FIELD,
                    place: 8,
                    value: 0,
                });
            }
            ioctl::PRIME_FD_TO_HANDLE => {
                assert_eq!((notes.len(), notes[0].kind), (1, IN_FIELD));
                let mut prime: uapi::drm_prime_handle = message.arg();
                self.buffers.push(fds.next().unwrap());
                prime.handle = self.buffers.len() as u32;
                message.set_arg(&prime);
            }
            ioctl::MODE_ATOMIC => {
                let mut passed: Vec<OwnedFd> = fds.collect();
                for note in notes {
                    match note.kind {
                        IN_VALUE => assert!(!passed.is_empty()),
                        _ => {
                            answers.push(*note);
                            given.push(passed.remove(0));
                        }
                    }
                }
            }
            _ => panic!("{cmd:x}"),
        }
        (0, answers, message.into_payload(), given)
    }

    /// The buffer behind a fake offset.
    pub fn buffer_at(&self, offset: u64, length: u64) -> Option<OwnedFd> {
        let index = usize::try_from(offset / FAKE).ok()?.checked_sub(1)?;
        let buffer = self.buffers.get(index)?;
        let size = rustix::fs::fstat(buffer).unwrap().st_size as u64;
        (length <= size).then(|| buffer.try_clone().unwrap())
    }
}
