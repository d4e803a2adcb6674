// SPDX-License-Identifier: MIT
//! One ioctl under way: its argument, who called, and the objects that come with it.

use crate::device::{Device, State};
use crate::file::FileId;
use crate::sync::HostFence;
use crate::wire::Message;
use drvhost_abi::Errno;
use drvhost_abi::tables::{ObjectKind, ObjectRef};
use std::sync::{Arc, MutexGuard};

/// What a handler gets.
#[derive(Debug)]
pub struct Call<'a> {
    /// The device.
    pub device: &'a Arc<Device>,
    /// The caller's file.
    pub file: FileId,
    /// The argument; answers go there.
    pub msg: Message<&'a mut [u8]>,
    /// The call puts state back after a crash.
    pub replay: bool,
    /// The id that what is made must get.
    pub want: Option<u32>,
    /// Buffers that came with the call: place and the host's id.
    pub buffers: Vec<(u32, u64)>,
    /// Fences and events that came with the call: kind, place, and one use of each.
    pub fences: Vec<(ObjectKind, u32, Arc<HostFence>)>,
    /// Objects to give back.
    pub out: Vec<ObjectRef>,
}

/// A handler's result: what the ioctl returns.
pub type Answer = Result<u64, Errno>;

impl<'a> Call<'a> {
    /// Takes over what came with a call of the ABI.
    pub fn new(
        device: &'a Arc<Device>,
        file: FileId,
        call: &'a mut drvhost_abi::Call<'_>,
    ) -> Result<Call<'a>, Errno> {
        let mut buffers = Vec::new();
        let mut fences = Vec::new();
        for object in call.objects_in {
            let mut fence = |kind| {
                let fence = HostFence::new(device.host, object.id);
                fences.push((kind, object.place, fence));
            };
            match object.kind {
                k if k == ObjectKind::Buffer as u32 => buffers.push((object.place, object.id)),
                k if k == ObjectKind::Fence as u32 => fence(ObjectKind::Fence),
                k if k == ObjectKind::Event as u32 => fence(ObjectKind::Event),
                // A kind from a later host: whoever needs it will miss it.
                _ => {}
            }
        }
        Ok(Call {
            device,
            file,
            msg: Message::decode(call.cmd, &mut *call.payload)?,
            replay: call.replay,
            want: call.want_id,
            buffers,
            fences,
            out: Vec::new(),
        })
    }

    /// The shared state.
    pub fn lock(&self) -> MutexGuard<'a, State> {
        self.device.lock()
    }

    /// The fence or event given at a place.
    pub fn fence(&self, kind: ObjectKind, place: u32) -> Option<Arc<HostFence>> {
        let found = self
            .fences
            .iter()
            .find(|(k, p, _)| *k == kind && *p == place);
        found.map(|(_, _, fence)| fence.clone())
    }

    /// Gives an object back in the place of a descriptor.
    pub fn give(&mut self, kind: ObjectKind, place: u32, id: u64) {
        self.out.push(ObjectRef {
            kind: kind as u32,
            place,
            id,
        });
    }
}
