// SPDX-License-Identifier: MIT
//! What `drvhost list` and `drvhost show` say about nodes and who has them open.

use super::device::Device;
use serde::Serialize;
use std::sync::Arc;

/// A device as programs see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceState {
    /// PCI address.
    pub address: String,
    /// Whether a worker serves it now.
    pub running: bool,
    /// Its nodes, by name.
    pub nodes: Vec<NodeState>,
    /// Open files, in the order they were opened.
    pub files: Vec<FileState>,
    /// Card files that are in the record: those that are being closed still are.
    pub recorded: usize,
    /// Buffers.
    pub buffers: usize,
    /// Bytes of all buffers.
    pub buffer_bytes: u64,
    /// Fences and events.
    pub fences: usize,
    /// Framebuffers, also those that only the display still shows.
    pub framebuffers: usize,
    /// Property blobs, likewise.
    pub blobs: usize,
    /// Steps that set the display as it is.
    pub display_steps: usize,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeState {
    /// Its name, such as `card0`.
    pub name: String,
    /// The driver's name as programs see it.
    pub driver: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// An open file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileState {
    /// The node's name.
    pub node: String,
    /// Process that opened it.
    pub pid: u32,
    /// User that opened it.
    pub uid: u32,
    /// Processes that call on it.
    pub processes: Vec<u32>,
    /// It is master of the card.
    pub master: bool,
    /// GEM handles.
    pub handles: usize,
    /// Events that were asked for or not read yet.
    pub events: usize,
}

impl Device {
    /// The device as programs see it.
    pub fn describe(&self) -> DeviceState {
        let (nodes, files) = {
            let tables = self.shared.tables();
            let nodes = tables.nodes.iter();
            let nodes: Vec<NodeState> = nodes
                .filter(|(_, node)| std::ptr::eq(&*node.device, self))
                .map(|(name, node)| NodeState {
                    name: name.clone(),
                    driver: node.driver.clone(),
                    mode: node.access.mode,
                    uid: node.access.uid,
                    gid: node.access.gid,
                })
                .collect();
            let files = tables.files.values();
            let mut files: Vec<Arc<_>> = files
                .filter(|file| std::ptr::eq(&*file.device, self))
                .cloned()
                .collect();
            files.sort_by_key(|file| file.cookie);
            (nodes, files)
        };
        let running = self.gate.is_open();
        let (buffers, buffer_bytes, fences) = self.objects.totals();
        let shadow = self.shadow();
        let files = files
            .iter()
            .map(|file| FileState {
                node: file.node.clone(),
                pid: file.pid,
                uid: file.uid,
                processes: file.ring_list().iter().map(|ring| ring.pid).collect(),
                master: shadow.master == Some(file.cookie),
                handles: shadow
                    .files
                    .get(&file.cookie)
                    .map_or(0, |file| file.handles.len()),
                events: self.events().count(file.cookie) + file.unread(),
            })
            .collect();
        DeviceState {
            address: self.address().to_owned(),
            running,
            nodes,
            files,
            recorded: shadow.files.len(),
            buffers,
            buffer_bytes,
            fences,
            framebuffers: shadow.framebuffers.len(),
            blobs: shadow.blobs.len(),
            display_steps: shadow.log.steps(),
        }
    }
}
