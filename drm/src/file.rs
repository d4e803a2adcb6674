// SPDX-License-Identifier: MIT
//! What belongs to one open file.

use crate::gem::Handles;
use crate::kms::blob::Blob;
use crate::kms::framebuffer::Framebuffer;
use crate::sync::{HostFence, Syncobj};
use drvhost_abi::tables::{OPEN_HOST, OPEN_PRIVILEGED, OpenArgs};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};

/// Number of an open file in the core.
pub type FileId = u64;

/// Who opened what, with which rights, and what it made.
#[derive(Debug, Default)]
pub struct FileState {
    /// The host's name for it; events go there.
    pub cookie: u64,
    /// A render node.
    pub render: bool,
    /// The host's own: it may do what a master may.
    pub host: bool,
    /// Has CAP_SYS_ADMIN.
    pub privileged: bool,
    /// Process id.
    pub pid: u32,
    /// User id.
    pub uid: u32,
    /// May use what needs authentication.
    pub authenticated: bool,
    /// It is (or was, before it dropped it) the head of its master.
    pub is_master: bool,
    /// It was a master once, so it may become it again.
    pub was_master: bool,
    /// Its master: a number in the core's list.
    pub master: Option<u64>,
    /// Its magic number, if it asked for one.
    pub magic: u32,
    /// Client caps.
    pub caps: ClientCaps,
    /// GEM handles.
    pub handles: Handles,
    /// Framebuffers it made.
    pub framebuffers: Vec<Arc<Framebuffer>>,
    /// Cursors that it set by legacy calls; they go with it.
    pub cursors: Vec<Weak<Framebuffer>>,
    /// Blobs it made.
    pub blobs: Vec<Arc<Blob>>,
    /// Syncobj handles.
    pub syncobjs: BTreeMap<u32, Arc<Syncobj>>,
    /// Fences made for it that the host may not have taken over yet.
    pub exported: VecDeque<Arc<HostFence>>,
    /// Events that are owed to it.
    pub owed: usize,
}

/// `DRM_CLIENT_CAP_*` as set.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientCaps {
    /// Stereo modes are listed.
    pub stereo_3d: bool,
    /// All planes are listed.
    pub universal_planes: bool,
    /// Atomic commits.
    pub atomic: bool,
    /// Aspect ratios in modes.
    pub aspect_ratio: bool,
    /// Writeback connectors are listed.
    pub writeback: bool,
}

impl FileState {
    /// As opened.
    pub fn new(args: &OpenArgs, render: bool) -> FileState {
        let privileged = args.flags & OPEN_PRIVILEGED != 0;
        FileState {
            cookie: args.cookie,
            render,
            host: args.flags & OPEN_HOST != 0,
            privileged,
            pid: args.pid,
            uid: args.uid,
            authenticated: privileged,
            ..FileState::default()
        }
    }
}
