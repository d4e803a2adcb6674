// SPDX-License-Identifier: MIT
//! A worker that is a model of a display driver, and that dies when told to.

use super::display::*;
use drvhost_abi::Errno;
use drvhost_abi::tables::*;
use drvhost_drm::uapi::ioctl as nr;
use drvhost_drm::uapi::*;
use drvhost_drm::wire::Message;
use drvhost_port::{Answer, CallError, Ioctl, Node, Upcalls, Worker};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Condvar, Mutex};

/// When the worker dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// Before the call had an effect.
    Before,
    /// After it had, before the answer.
    After,
    /// After the event that the call asked for was sent.
    AfterEvent,
}

#[derive(Clone, Debug, Default)]
pub struct FakeFile {
    pub args: Option<OpenArgs>,
    pub caps: BTreeMap<u64, u64>,
    pub handles: BTreeMap<u32, u64>,
    pub magic: u32,
    pub authenticated: bool,
    pub syncobjs: BTreeMap<u32, (bool, u64)>,
    pub lease: bool,
}

#[derive(Debug, Default)]
pub struct State {
    pub display: Display,
    pub files: BTreeMap<u64, FakeFile>,
    pub master: Option<u64>,
    pub names: BTreeMap<u32, u64>,
    pub sequence: u64,
    pub dead: bool,
    pub die_at: Option<(u32, Death)>,
    /// Flips whose events are to be sent: file, crtc, user data.
    pub flips: Vec<(u64, u32, u64)>,
    pub calls: Vec<u32>,
    pub seen_buffers: Vec<u64>,
    /// Buffers that the driver made and did not put back.
    pub held: std::collections::BTreeSet<u64>,
    /// Calls that wait until this is false.
    pub hold: bool,
}

#[derive(Debug)]
pub struct Fake {
    pub upcalls: Arc<dyn Upcalls>,
    pub state: Mutex<State>,
    pub changed: Condvar,
    pub expected: AtomicI32,
    nodes: Vec<Node>,
}

impl Fake {
    pub fn new(upcalls: Arc<dyn Upcalls>) -> Fake {
        let node = |index, kind| Node {
            index,
            kind,
            driver: "fake".into(),
        };
        Fake {
            upcalls,
            state: Mutex::default(),
            changed: Condvar::new(),
            expected: AtomicI32::new(0),
            nodes: vec![node(0, NodeKind::Card), node(1, NodeKind::Render)],
        }
    }

    pub fn kill(&self) {
        self.state.lock().unwrap().dead = true;
        self.changed.notify_all();
    }

    pub fn die_at(&self, cmd: u32, death: Death) {
        self.state.lock().unwrap().die_at = Some((cmd, death));
    }

    pub fn hold(&self, hold: bool) {
        self.state.lock().unwrap().hold = hold;
        self.changed.notify_all();
    }

    pub fn set_sequence(&self, sequence: u64) {
        self.state.lock().unwrap().sequence = sequence;
    }

    /// All that a client can see of it.
    pub fn visible(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let mut lines = state.display.visible();
        for (cookie, file) in &state.files {
            if file.args.is_some_and(|args| args.flags & OPEN_HOST == 0) || file.lease {
                lines.push(format!(
                    "file {cookie} {:?} {:?} {} {} {:?}",
                    file.caps, file.handles, file.magic, file.authenticated, file.syncobjs
                ));
            }
        }
        lines.push(format!("master {:?} names {:?}", state.master, state.names));
        lines
    }

    /// Sends the events of all flips.
    pub fn vblank(&self) -> usize {
        let (flips, sequence) = {
            let mut state = self.state.lock().unwrap();
            state.sequence += 1;
            (std::mem::take(&mut state.flips), state.sequence)
        };
        for (file, crtc, user_data) in &flips {
            let event = flip_event(*crtc, *user_data, sequence as u32);
            self.upcalls.post_event(*file, &event).unwrap();
        }
        flips.len()
    }
}

pub fn flip_event(crtc_id: u32, user_data: u64, sequence: u32) -> [u8; 32] {
    let mut bytes = [0; 32];
    drm_event_vblank {
        base: drm_event {
            type_: DRM_EVENT_FLIP_COMPLETE,
            length: 32,
        },
        user_data,
        sequence,
        crtc_id,
        ..Default::default()
    }
    .write_to(&mut bytes);
    bytes
}

impl Worker for Fake {
    fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    fn open(&self, args: &OpenArgs) -> Result<(), CallError> {
        let mut state = self.state.lock().unwrap();
        if state.dead {
            return Err(CallError::Died);
        }
        if state.master.is_none() && args.flags & OPEN_HOST == 0 {
            state.master = Some(args.cookie);
        }
        let file = FakeFile {
            args: Some(*args),
            ..FakeFile::default()
        };
        state.files.insert(args.cookie, file);
        Ok(())
    }

    fn ioctl(&self, file: u64, call: &Ioctl, payload: &mut [u8]) -> Result<Answer, CallError> {
        let mut state = self.state.lock().unwrap();
        while state.hold && !state.dead && call.flags == 0 && call.cmd == nr::WAIT_VBLANK {
            state = self.changed.wait(state).unwrap();
        }
        if state.dead {
            return Err(CallError::Died);
        }
        let death = state.die_at.filter(|(cmd, _)| *cmd == call.cmd);
        if let Some((_, Death::Before)) = death {
            state.dead = true;
            return Err(CallError::Died);
        }
        state.calls.push(call.cmd);
        // A buffer is made without the lock, as a driver would.
        let mut buffer = call.buffer;
        if call.cmd == nr::MODE_CREATE_DUMB && buffer == 0 {
            drop(state);
            let args: drm_mode_create_dumb = Message::decode(call.cmd, &*payload).unwrap().arg();
            let size = u64::from(args.width) * u64::from(args.height) * 4;
            let made = self.upcalls.buffer_create(file, size);
            buffer = made.map_err(CallError::Errno)?.id;
            state = self.state.lock().unwrap();
            state.held.insert(buffer);
        }
        let before = state.flips.len();
        let result = state.call(file, call, buffer, payload, &*self.upcalls);
        state.put_back(&*self.upcalls);
        if let Some((_, death)) = death
            && result.is_ok()
        {
            if death == Death::AfterEvent {
                for (file, crtc, user_data) in state.flips.split_off(before) {
                    state.sequence += 1;
                    let event = flip_event(crtc, user_data, state.sequence as u32);
                    self.upcalls.post_event(file, &event).unwrap();
                }
            }
            state.dead = true;
            return Err(CallError::Died);
        }
        result.map_err(CallError::Errno)
    }

    fn mmap(&self, file: u64, offset: u64, _: u64, _: bool) -> Result<MmapOut, CallError> {
        let state = self.state.lock().unwrap();
        if state.dead {
            return Err(CallError::Died);
        }
        let handle = (offset >> 32) as u32;
        let buffer = state.files.get(&file).and_then(|f| f.handles.get(&handle));
        match buffer {
            Some(buffer) => Ok(MmapOut {
                buffer: *buffer,
                offset: 0,
            }),
            None => Err(CallError::Errno(Errno::EINVAL)),
        }
    }

    fn release(&self, file: u64) {
        let mut state = self.state.lock().unwrap();
        let owned: Vec<u32> = state
            .display
            .fbs
            .iter()
            .filter(|(_, fb)| fb.owner == file && fb.listed)
            .map(|(id, _)| *id)
            .collect();
        for id in owned {
            state.display.remove_fb(id);
        }
        for blob in state.display.blobs.values_mut() {
            blob.listed &= blob.owner != file;
        }
        state.files.remove(&file);
        if state.master == Some(file) {
            state.master = None;
        }
        state.forget_names();
        state.display.collect();
        state.put_back(&*self.upcalls);
    }

    fn serve(&self, args: &OpenArgs, _: OwnedFd, _: OwnedFd) -> Result<(), CallError> {
        self.open(args)
    }

    fn expect(&self, change: i32) {
        self.expected.fetch_add(change, Ordering::SeqCst);
    }
}
