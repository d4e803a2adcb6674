// SPDX-License-Identifier: MIT
//! What a device's workers ask of the host. Workers are not trusted.

use super::device::Device;
use super::objects::{Buffer, Fence, errno};
use crate::quota::Kind;
use crate::shadow::events::{self, Arrival, split};
use drvhost_abi::Errno;
use drvhost_port::{Object, Upcalls};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// Fences that a device's worker may have at a time.
const MAX_FENCES: usize = 4096;

/// The upcalls of one device.
#[derive(Debug)]
pub(crate) struct DeviceUpcalls {
    device: Arc<Device>,
}

impl DeviceUpcalls {
    pub(crate) fn new(device: Arc<Device>) -> DeviceUpcalls {
        DeviceUpcalls { device }
    }
}

impl Upcalls for DeviceUpcalls {
    fn buffer_create(&self, file: u64, size: u64) -> Result<Object, Errno> {
        let uid = self.device.shared.file(file).map_or(0, |file| file.uid);
        let accounts = &self.device.shared.accounts;
        let objects = &self.device.objects;
        let buffer = objects.create(size, |size| accounts.charge(uid, Kind::Memory, size))?;
        objects.use_buffer(buffer.id)?;
        of_buffer(&buffer)
    }

    fn buffer_open(&self, id: u64) -> Result<Object, Errno> {
        of_buffer(&*self.device.objects.use_buffer(id)?)
    }

    fn buffer_put(&self, id: u64) {
        if self.device.objects.put_buffer(id) {
            self.device.try_collect();
        }
    }

    fn fence_create(&self, _file: u64) -> Result<Object, Errno> {
        if self.device.objects.totals().2 >= MAX_FENCES {
            return Err(Errno::ENOMEM);
        }
        of_fence(&*self.device.objects.fence()?)
    }

    fn fence_open(&self, id: u64) -> Result<Object, Errno> {
        of_fence(&*self.device.objects.use_fence(id)?)
    }

    fn fence_put(&self, id: u64) {
        self.device.objects.put_fence(id);
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

fn of_buffer(buffer: &Buffer) -> Result<Object, Errno> {
    Ok(Object {
        id: buffer.id,
        fd: buffer.fd.try_clone().map_err(|_| Errno::EMFILE)?,
        size: buffer.size,
    })
}

fn of_fence(fence: &Fence) -> Result<Object, Errno> {
    Ok(Object {
        id: fence.id,
        fd: rustix::io::fcntl_dupfd_cloexec(&fence.fd, 0).map_err(errno)?,
        size: 0,
    })
}
