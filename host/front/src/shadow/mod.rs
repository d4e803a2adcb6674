// SPDX-License-Identifier: MIT
//! The record of what must survive a worker's crash: what each open file made, and how the
//! display was set. It knows no sockets and no descriptors, so it serves every system's front.
//!
//! Only what succeeded is recorded. A call that the worker's death cut off is made again by its
//! caller after the record was replayed. Read in this order:
//! * [`mod@file`]: what is recorded about a file, and about what files make;
//! * [`log`]: the display state as a last-writer log;
//! * [`record`] and [`display`]: from successful calls to the record;
//! * [`replay`]: from the record to a fresh driver;
//! * [`resync`]: where a call changed more than it names, the driver is asked what is left;
//! * [`topology`]: the display's objects and properties;
//! * [`events`]: the events that programs wait for;
//! * [`offsets`]: where programs map buffers;
//! * [`wire`]: payloads of the host's own calls.

pub mod display;
pub mod events;
pub mod file;
pub mod log;
pub mod offsets;
pub mod record;
pub mod replay;
pub mod resync;
pub mod topology;
pub mod wire;

pub use events::Events;
pub use record::Done;

use drvhost_abi::tables::OpenArgs;
use file::{Blob, Dumb, File, Framebuffer};
use log::{Link, Log};
use offsets::Offsets;
use std::collections::{BTreeMap, BTreeSet};
use topology::Topology;

/// The record of one device.
#[derive(Debug, Default)]
pub struct Shadow {
    /// Open files by cookie; cookies go up, so they are in the order of opening.
    pub files: BTreeMap<u64, File>,
    /// The file that is master.
    pub master: Option<u64>,
    /// Framebuffers by serial, in the order they were made.
    pub framebuffers: BTreeMap<u64, Framebuffer>,
    /// Blobs by serial.
    pub blobs: BTreeMap<u64, Blob>,
    /// How buffers were made.
    pub dumb: BTreeMap<u64, Dumb>,
    /// Buffers by `FLINK` name.
    pub names: BTreeMap<u32, u64>,
    /// The display state.
    pub log: Log,
    /// The display's objects.
    pub topology: Topology,
    /// Where buffers are mapped.
    pub offsets: Offsets,
    /// Planes' and connectors' CRTCs as last seen, where they are known.
    pub crtc_of: BTreeMap<u32, u32>,
    /// `crtc_of` may be old: a legacy call came in between.
    pub stale: bool,
    serial: u64,
}

impl Shadow {
    /// A card file was opened.
    pub fn opened(&mut self, args: OpenArgs) {
        let mut file = File::new(args);
        if self.master.is_none() {
            // Whoever opens a card without a master becomes it.
            self.master = Some(args.cookie);
            file.was_master = true;
        }
        self.files.insert(args.cookie, file);
    }

    /// A file was closed. True: what it showed is off now, so the driver should be asked.
    pub fn closed(&mut self, cookie: u64) -> bool {
        if self.files.remove(&cookie).is_none() {
            return false;
        }
        if self.master == Some(cookie) {
            self.master = None;
        }
        for framebuffer in self.framebuffers.values_mut() {
            if framebuffer.owner == cookie && framebuffer.removed.is_none() {
                framebuffer.removed = Some(true);
            }
        }
        for blob in self.blobs.values_mut() {
            blob.removed |= blob.owner == cookie;
        }
        self.forget_names();
        self.prune();
        self.shows_removed()
    }

    /// The buffer of a handle; `None` where the handle is not known.
    pub fn buffer_of(&self, file: u64, handle: u32) -> Option<u64> {
        let handle = self.files.get(&file)?.handles.get(&handle)?;
        Some(handle.buffer).filter(|buffer| *buffer != 0)
    }

    /// Whether a file has a handle of a buffer.
    pub fn has_buffer(&self, file: u64, buffer: u64) -> bool {
        let file = self.files.get(&file);
        file.is_some_and(|file| file.handles.values().any(|handle| handle.buffer == buffer))
    }

    /// The buffers that the record refers to.
    pub fn buffers(&self) -> BTreeSet<u64> {
        let handles = self.files.values().flat_map(|file| file.handles.values());
        let mut buffers: BTreeSet<u64> = handles.map(|handle| handle.buffer).collect();
        for framebuffer in self.framebuffers.values() {
            buffers.extend(framebuffer.buffers);
        }
        for link in self.log.links() {
            if let Link::Cursor(buffer) = link {
                buffers.insert(buffer);
            }
        }
        buffers.remove(&0);
        buffers
    }

    /// The serial of the framebuffer that clients know by an id.
    pub fn framebuffer(&self, id: u32) -> Option<u64> {
        let mut framebuffers = self.framebuffers.iter();
        let found = framebuffers.find(|(_, fb)| fb.id == id && fb.removed.is_none());
        // One that was closed keeps its id while it is shown.
        let mut closed = self.framebuffers.iter().rev();
        let found = found.or_else(|| closed.find(|(_, fb)| fb.id == id));
        found.map(|(serial, _)| *serial)
    }

    /// The serial of the blob that clients know by an id.
    pub fn blob(&self, id: u32) -> Option<u64> {
        let mut blobs = self.blobs.iter();
        let found = blobs.find(|(_, blob)| blob.id == id && !blob.removed);
        let mut removed = self.blobs.iter().rev();
        let found = found.or_else(|| removed.find(|(_, blob)| blob.id == id));
        found.map(|(serial, _)| *serial)
    }

    /// Forgets what no client has and the log does not refer to.
    pub fn prune(&mut self) {
        let removed = self.framebuffers.values().any(|fb| fb.removed.is_some())
            || self.blobs.values().any(|blob| blob.removed);
        if removed {
            let links = self.log.links();
            self.framebuffers.retain(|serial, fb| {
                fb.removed.is_none() || links.contains(&Link::Framebuffer(*serial))
            });
            self.blobs
                .retain(|serial, blob| !blob.removed || links.contains(&Link::Blob(*serial)));
        }
        if !self.dumb.is_empty() {
            let used = self.buffers();
            self.dumb.retain(|buffer, _| used.contains(buffer));
        }
    }

    /// Whether the log refers to a framebuffer whose end turned off what showed it.
    fn shows_removed(&self) -> bool {
        let mut framebuffers = self.framebuffers.values();
        framebuffers.any(|framebuffer| framebuffer.removed == Some(true))
    }

    /// A name lives as long as its object has handles.
    fn forget_names(&mut self) {
        if !self.names.is_empty() {
            let handles = self.files.values().flat_map(|file| file.handles.values());
            let held: BTreeSet<u64> = handles.map(|handle| handle.buffer).collect();
            self.names.retain(|_, buffer| held.contains(buffer));
        }
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }
}
