// SPDX-License-Identifier: MIT
//! A [`GpuDriver`] as a plugin: what the host loads and calls.

use crate::call::Call;
use crate::device::Device;
use crate::file::FileId;
use crate::gpu::GpuDriver;
use crate::ioctl::dispatch;
use crate::ioctl::framebuffer::take_down;
use crate::kms::commit::How;
use core::marker::PhantomData;
use drvhost_abi::tables::{DeviceV1, MmapArgs, MmapOut, NodeKind, OpenArgs};
use drvhost_abi::{Driver, Errno, Host, Instance, NodeFile};
use std::sync::{Arc, Weak};

/// Index of the render node; the card node is the first.
const RENDER: u32 = 1;

/// What a plugin exports: `export_driver!(DrmPlugin<MyGpu>, ABOUT)`.
#[derive(Debug)]
pub struct DrmPlugin<G>(PhantomData<G>);

impl<G: GpuDriver> Driver for DrmPlugin<G> {
    type Instance = DrmInstance;

    fn probe(host: Host, device: &'static DeviceV1) -> Result<DrmInstance, Errno> {
        let gpu = Box::new(G::probe(host, device)?);
        Ok(DrmInstance {
            device: Device::new(host, device, gpu)?,
        })
    }
}

/// A bound device: a card node and a render node.
#[derive(Debug)]
pub struct DrmInstance {
    /// The device.
    pub device: Arc<Device>,
}

impl Instance for DrmInstance {
    type File = DrmFile;

    fn nodes(&self) -> Vec<(NodeKind, String)> {
        let name = self.device.info.name.to_owned();
        vec![(NodeKind::Card, name.clone()), (NodeKind::Render, name)]
    }

    fn open(&self, opened: &OpenArgs) -> Result<DrmFile, Errno> {
        if opened.node > RENDER {
            return Err(Errno::ENXIO);
        }
        let id = self.device.open(opened, opened.node == RENDER);
        Ok(DrmFile::new(self.device.clone(), id))
    }
}

/// An open file. Dropping it ends all that was made through it.
#[derive(Debug)]
pub struct DrmFile {
    device: Arc<Device>,
    id: FileId,
}

impl DrmFile {
    /// A file whose state was added to the device.
    pub fn new(device: Arc<Device>, id: FileId) -> DrmFile {
        DrmFile { device, id }
    }

    /// Gives the file to the host, as one that a call opened. Returns its cookie.
    pub fn announce(self, node: u32) -> Result<u64, Errno> {
        let table = self.device.host.table();
        let file = Box::into_raw(Box::new(self));
        let mut cookie = 0;
        // SAFETY: the table's functions may be called from any thread; files of a plugin in Rust
        // are boxes of its `Instance::File`, as this one is, and the host releases them as such.
        let result = unsafe { (table.file_create)(table.ctx, node, file.cast(), &mut cookie) };
        if let Err(errno) = Errno::check(result.into()) {
            // SAFETY: the host did not take it, so it is still ours.
            drop(unsafe { Box::from_raw(file) });
            return Err(errno);
        }
        Ok(cookie)
    }
}

impl NodeFile for DrmFile {
    fn ioctl(&self, call: &mut drvhost_abi::Call<'_>) -> Result<u64, Errno> {
        let mut inner = Call::new(&self.device, self.id, call)?;
        let result = dispatch(&mut inner);
        let out = core::mem::take(&mut inner.out);
        drop(inner);
        if result.is_ok() {
            call.objects_out = out;
        }
        result
    }

    fn mmap(&self, args: &MmapArgs) -> Result<MmapOut, Errno> {
        let mut state = self.device.lock();
        let state = &mut *state;
        let file = state.files.get(&self.id).ok_or(Errno::EBADF)?;
        state.gems.resolve(&file.handles, args)
    }
}

impl Drop for DrmFile {
    fn drop(&mut self) {
        let mut state = self.device.lock();
        let fbs = match state.files.get_mut(&self.id) {
            Some(file) => {
                let mut fbs = core::mem::take(&mut file.framebuffers);
                fbs.extend(file.cursors.iter().filter_map(Weak::upgrade));
                fbs
            }
            None => return,
        };
        // What it waits for is nobody's any more.
        for vblank in &mut state.vblanks {
            vblank
                .waiting
                .retain(|waiting| waiting.owed.file != self.id);
            if let Some(flip) = &mut vblank.flip {
                flip.owed.retain(|owed| owed.file != self.id);
            }
        }
        drop(state);
        if let Err(errno) = take_down(&self.device, &fbs, How::Forced) {
            let text = format!("taking a closed file's pictures off the screen: {errno}");
            self.device.log(log::Level::Warn, &text);
        }
        let mut state = self.device.lock();
        state.master_release(self.id);
        let file = state.files.remove(&self.id);
        if let Some(file) = &file {
            for gem in file.handles.values() {
                let mut held = state.files.values().flat_map(|f| f.handles.values());
                if !held.any(|other| Arc::ptr_eq(other, gem)) {
                    state.gems.forget_name(gem);
                }
            }
        }
        drop(state);
        drop(fbs);
        drop(file);
        self.device.lock().gems.prune();
        self.device.notify();
    }
}
