// SPDX-License-Identifier: MIT
//! What a device's workers ask of the host. Workers are not trusted.

use super::device::Device;
use super::fences::Fence;
use super::objects::{Buffer, errno};
use crate::quota::Kind;
use crate::shadow::events::{self, Arrival, split};
use drvhost_abi::Errno;
use drvhost_port::{Object, Upcalls};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// The upcalls of one device.
#[derive(Debug)]
pub(crate) struct DeviceUpcalls {
    device: Arc<Device>,
}

impl DeviceUpcalls {
    pub(crate) fn new(device: Arc<Device>) -> DeviceUpcalls {
        DeviceUpcalls { device }
    }

    /// Whose file it is. What a driver makes for itself is root's.
    fn uid(&self, file: u64) -> u32 {
        self.device.shared.file(file).map_or(0, |file| file.uid)
    }

    /// A buffer on its way to the worker. A use that does not get there has ended.
    fn give_buffer(&self, buffer: &Buffer) -> Result<Object, Errno> {
        let fd = rustix::io::fcntl_dupfd_cloexec(&buffer.fd, 0);
        let fd = fd.inspect_err(|_| self.buffer_put(buffer.id));
        Ok(Object {
            id: buffer.id,
            fd: fd.map_err(errno)?,
            size: buffer.size,
        })
    }

    /// The same for a fence.
    fn give_fence(&self, fence: &Fence) -> Result<Object, Errno> {
        let fd = rustix::io::fcntl_dupfd_cloexec(&fence.fd, 0);
        let fd = fd.inspect_err(|_| self.fence_put(fence.id));
        Ok(Object {
            id: fence.id,
            fd: fd.map_err(errno)?,
            size: 0,
        })
    }
}

impl Upcalls for DeviceUpcalls {
    fn buffer_create(&self, file: u64, size: u64) -> Result<Object, Errno> {
        let uid = self.uid(file);
        let accounts = &self.device.shared.accounts;
        let objects = &self.device.objects;
        let buffer = objects.create(size, |size| accounts.buffer(uid, size))?;
        objects.use_buffer(buffer.id)?;
        self.give_buffer(&buffer)
    }

    fn buffer_open(&self, id: u64) -> Result<Object, Errno> {
        self.give_buffer(&*self.device.objects.use_buffer(id)?)
    }

    fn buffer_put(&self, id: u64) {
        if self.device.objects.put_buffer(id) {
            self.device.try_collect();
        }
    }

    fn fence_create(&self, file: u64) -> Result<Object, Errno> {
        let uid = self.uid(file);
        let accounts = &self.device.shared.accounts;
        let charge = || accounts.charge(uid, Kind::Fences, 1);
        self.give_fence(&*self.device.objects.fences.create(file, charge)?)
    }

    fn fence_open(&self, id: u64) -> Result<Object, Errno> {
        self.give_fence(&*self.device.objects.fences.open(id)?)
    }

    fn fence_put(&self, id: u64) {
        self.device.objects.fences.put(id);
    }

    fn post_event(&self, file: u64, data: &[u8]) -> Result<(), Errno> {
        let device = &self.device;
        let open = device.shared.file(file).ok_or(Errno::ENOENT)?;
        if !Arc::ptr_eq(&open.device, device) {
            return Err(Errno::ENOENT);
        }
        for event in split(data)? {
            let arrival = device.events().arrived(file, event)?;
            if arrival == Arrival::Awaited
                && events::is_flip(event)
                && let Some(worker) = device.worker()
            {
                worker.expect(-1);
            }
            // Linux has room for what was asked for; more than that a driver may not send.
            let room = open.unread() * events::EVENT_SIZE < 2 * events::EVENT_SPACE;
            if arrival != Arrival::Late && room {
                open.send(&device.shared, event);
            } else {
                log::debug!("{}: event for file {file} dropped", device.address());
            }
        }
        Ok(())
    }

    fn file_create(&self, node: u32) -> Result<u64, Errno> {
        let again = self.device.lease_cookie.swap(0, Ordering::Relaxed);
        if again != 0 {
            return Ok(again);
        }
        let mut newborn = self
            .device
            .newborn
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if newborn.len() >= 64 {
            return Err(Errno::EMFILE);
        }
        let cookie = self.device.shared.number();
        newborn.insert(cookie, node);
        Ok(cookie)
    }

    fn hotplug(&self) {
        // Not in the record, which is locked while it is replayed.
        self.device.relearn.store(true, Ordering::Relaxed);
        self.device.shared.hotplug(self.device.address());
    }
}

/// The upcalls of a device that was removed.
#[derive(Debug)]
pub(crate) struct Gone;

impl Upcalls for Gone {
    fn buffer_create(&self, _file: u64, _size: u64) -> Result<Object, Errno> {
        Err(Errno::ENODEV)
    }
    fn buffer_open(&self, _id: u64) -> Result<Object, Errno> {
        Err(Errno::ENODEV)
    }
    fn buffer_put(&self, _id: u64) {}
    fn fence_create(&self, _file: u64) -> Result<Object, Errno> {
        Err(Errno::ENODEV)
    }
    fn fence_open(&self, _id: u64) -> Result<Object, Errno> {
        Err(Errno::ENODEV)
    }
    fn fence_put(&self, _id: u64) {}
    fn post_event(&self, _file: u64, _data: &[u8]) -> Result<(), Errno> {
        Err(Errno::ENODEV)
    }
    fn file_create(&self, _node: u32) -> Result<u64, Errno> {
        Err(Errno::ENODEV)
    }
    fn hotplug(&self) {}
}
