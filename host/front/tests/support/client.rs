// SPDX-License-Identifier: MIT
//! A program that has a node open.

use drvhost_channel::program::{ATTACH, Answer, Ask, CALL, FdNote, LIST, MAGIC, MMAP, OPEN};
use drvhost_channel::ring::{Head, Ring, RingClient, Slots};
use drvhost_channel::{packet, paths};
use drvhost_drm::uapi::*;
use drvhost_front::shadow::wire::{fixed_part, longs, payload, words};
use rustix::event::{PollFd, PollFlags};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect,
    socket_with,
};
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use zerocopy::{FromBytes, IntoBytes};

#[derive(Debug)]
pub struct Client {
    pub dir: PathBuf,
    pub socket: OwnedFd,
    pub ring: RingClient,
    pub memory: OwnedFd,
    pub token: [u64; 2],
}

#[derive(Debug)]
pub struct Answered {
    pub head: Answer,
    pub notes: Vec<FdNote>,
    pub payload: Vec<u8>,
    pub fds: Vec<OwnedFd>,
}

pub fn dial(dir: &Path) -> OwnedFd {
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    let address = SocketAddrUnix::new(dir.join(paths::FRONT)).unwrap();
    connect(&socket, &address).unwrap();
    socket
}

pub fn ask(dir: &Path, ask: Ask, payload: &[u8], fds: &[BorrowedFd<'_>]) -> Answered {
    let socket = dial(dir);
    let ask = Ask {
        magic: MAGIC,
        ..ask
    };
    let parts = [IoSlice::new(ask.as_bytes()), IoSlice::new(payload)];
    packet::send(&socket, &parts, fds, SendFlags::empty()).unwrap();
    let mut buffer = vec![0; 1 << 21];
    let (len, fds) = packet::receive(&socket, &mut buffer, RecvFlags::empty()).unwrap();
    let (head, rest) = Answer::read_from_prefix(&buffer[..len]).unwrap();
    let (notes, payload) = rest.split_at(head.notes as usize * size_of::<FdNote>());
    Answered {
        head,
        notes: notes
            .chunks_exact(size_of::<FdNote>())
            .map(|note| FdNote::read_from_bytes(note).unwrap())
            .collect(),
        payload: payload.to_vec(),
        fds,
    }
}

impl Client {
    pub fn open(dir: &Path, node: &str) -> Result<Client, i64> {
        let open = Ask {
            op: OPEN,
            ..Ask::default()
        };
        let mut answer = ask(dir, open, node.as_bytes(), &[]);
        if answer.head.result < 0 {
            return Err(answer.head.result);
        }
        let memory = answer.fds.pop().unwrap();
        Ok(Client {
            dir: dir.to_owned(),
            socket: answer.fds.pop().unwrap(),
            ring: RingClient::new(Ring::open(&memory, Slots::Program).unwrap()),
            memory,
            token: answer.head.token,
        })
    }

    /// A client of a file that arrived as its event socket.
    pub fn attach(dir: &Path, socket: OwnedFd) -> Result<Client, i64> {
        let attach = Ask {
            op: ATTACH,
            ..Ask::default()
        };
        let mut answer = ask(dir, attach, &[], &[socket.as_fd()]);
        if answer.head.result < 0 {
            return Err(answer.head.result);
        }
        let memory = answer.fds.pop().unwrap();
        Ok(Client {
            dir: dir.to_owned(),
            socket,
            ring: RingClient::new(Ring::open(&memory, Slots::Program).unwrap()),
            memory,
            token: answer.head.token,
        })
    }

    pub fn list(dir: &Path) -> String {
        let list = Ask {
            op: LIST,
            ..Ask::default()
        };
        String::from_utf8(ask(dir, list, &[], &[]).payload).unwrap()
    }

    /// A call through the ring.
    pub fn raw(&self, cmd: u32, bytes: &mut [u8]) -> i64 {
        let head = Head {
            cmd,
            ..Head::default()
        };
        match self.ring.call(&head, &[], bytes, &|| true) {
            Ok((answer, _)) => answer.result,
            Err(_) => -19,
        }
    }

    pub fn call<T: Pod>(&self, cmd: u32, argument: &T, arrays: &[&[u8]]) -> Result<T, i64> {
        let mut bytes = payload(cmd, argument, arrays);
        match self.raw(cmd, &mut bytes) {
            0.. => Ok(fixed_part(cmd, &bytes)),
            error => Err(error),
        }
    }

    /// A call over a connection.
    pub fn pass(&self, cmd: u32, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Answered {
        let call = Ask {
            op: CALL,
            token: self.token,
            cmd,
            ..Ask::default()
        };
        ask(&self.dir, call, bytes, fds)
    }

    pub fn mmap(&self, offset: u64, length: u64) -> Answered {
        let map = Ask {
            op: MMAP,
            token: self.token,
            cmd: 1,
            offset,
            length,
            ..Ask::default()
        };
        ask(&self.dir, map, &[], &[])
    }

    /// The next event; `None` where there is none now.
    pub fn event(&self) -> Option<Vec<u8>> {
        let mut buffer = [0; 1024];
        match packet::receive(&self.socket, &mut buffer, RecvFlags::DONTWAIT) {
            Ok((len, _)) if len > 0 => Some(buffer[..len].to_vec()),
            _ => None,
        }
    }

    pub fn hung_up(&self) -> bool {
        let mut poll = [PollFd::new(&self.socket, PollFlags::IN)];
        let now = rustix::time::Timespec::default();
        rustix::event::poll(&mut poll, Some(&now)).unwrap();
        poll[0].revents().contains(PollFlags::HUP)
    }

    pub fn create_dumb(&self, width: u32, height: u32) -> Result<drm_mode_create_dumb, i64> {
        let args = drm_mode_create_dumb {
            width,
            height,
            bpp: 32,
            ..Default::default()
        };
        self.call(ioctl::MODE_CREATE_DUMB, &args, &[])
    }

    pub fn add_fb(&self, dumb: &drm_mode_create_dumb) -> Result<u32, i64> {
        let fb = drm_mode_fb_cmd {
            width: dumb.width,
            height: dumb.height,
            pitch: dumb.pitch,
            bpp: 32,
            depth: 24,
            handle: dumb.handle,
            ..Default::default()
        };
        Ok(self.call(ioctl::MODE_ADDFB, &fb, &[])?.fb_id)
    }

    pub fn rm_fb(&self, id: u32) -> Result<u32, i64> {
        self.call(ioctl::MODE_RMFB, &id, &[])
    }

    pub fn close_fb(&self, fb_id: u32) -> Result<(), i64> {
        let close = drm_mode_closefb { fb_id, pad: 0 };
        self.call(ioctl::MODE_CLOSEFB, &close, &[]).map(drop)
    }

    pub fn gem_close(&self, handle: u32) -> Result<(), i64> {
        let close = drm_gem_close { handle, pad: 0 };
        self.call(ioctl::GEM_CLOSE, &close, &[]).map(drop)
    }

    pub fn set_crtc(&self, crtc: u32, fb: u32, connectors: &[u32], mode: u8) -> Result<(), i64> {
        let set = drm_mode_crtc {
            crtc_id: crtc,
            fb_id: fb,
            mode_valid: u32::from(mode != 0),
            count_connectors: connectors.len() as u32,
            mode: drm_mode_modeinfo {
                clock: mode.into(),
                ..Default::default()
            },
            ..Default::default()
        };
        self.call(ioctl::MODE_SETCRTC, &set, &[&words(connectors)])
            .map(drop)
    }

    pub fn flip(&self, crtc_id: u32, fb_id: u32, user_data: u64) -> Result<(), i64> {
        let flip = drm_mode_crtc_page_flip {
            crtc_id,
            fb_id,
            flags: DRM_MODE_PAGE_FLIP_EVENT,
            user_data,
            ..Default::default()
        };
        self.call(ioctl::MODE_PAGE_FLIP, &flip, &[]).map(drop)
    }

    pub fn blob(&self, data: &[u8]) -> Result<u32, i64> {
        let blob = drm_mode_create_blob {
            length: data.len() as u32,
            ..Default::default()
        };
        Ok(self
            .call(ioctl::MODE_CREATEPROPBLOB, &blob, &[data])?
            .blob_id)
    }

    pub fn destroy_blob(&self, blob_id: u32) -> Result<(), i64> {
        let blob = drm_mode_destroy_blob { blob_id };
        self.call(ioctl::MODE_DESTROYPROPBLOB, &blob, &[]).map(drop)
    }

    pub fn atomic(&self, items: &[(u32, u32, u64)], flags: u32, user: u64) -> Result<(), i64> {
        match self.raw(ioctl::MODE_ATOMIC, &mut commit(items, flags, user)) {
            0.. => Ok(()),
            error => Err(error),
        }
    }

    pub fn cap(&self, capability: u64, value: u64) -> Result<(), i64> {
        let cap = drm_set_client_cap { capability, value };
        self.call(ioctl::SET_CLIENT_CAP, &cap, &[]).map(drop)
    }
}

/// The payload of an atomic commit.
pub fn commit(items: &[(u32, u32, u64)], flags: u32, user_data: u64) -> Vec<u8> {
    let mut objects: Vec<u32> = Vec::new();
    let mut counts: Vec<u32> = Vec::new();
    for (object, ..) in items {
        if objects.last() == Some(object) {
            *counts.last_mut().unwrap() += 1;
        } else {
            objects.push(*object);
            counts.push(1);
        }
    }
    let properties: Vec<u32> = items.iter().map(|item| item.1).collect();
    let values: Vec<u64> = items.iter().map(|item| item.2).collect();
    let argument = drm_mode_atomic {
        flags,
        count_objs: objects.len() as u32,
        user_data,
        ..Default::default()
    };
    let arrays: [&[u8]; 4] = [
        &words(&objects),
        &words(&counts),
        &words(&properties),
        &longs(&values),
    ];
    let mut bytes = payload(ioctl::MODE_ATOMIC, &argument, &arrays);
    bytes[24..28].copy_from_slice(&(items.len() as u32).to_le_bytes());
    bytes
}
