// SPDX-License-Identifier: MIT
//! The device's table ([`DeviceV1`]) over [`driver_sys::PciDevice`]. `ctx` is the [`Process`].

use super::host_table::{process, status, store};
use super::{Bound, Process, lock};
use crate::wire::recorder::AccessRecord;
use driver_sys::{BarKind, IrqKind, Width};
use drvhost_abi::tables::{
    BAR_MAPPABLE, BAR_MEMORY, BAR_PORT, BAR_PREFETCHABLE, BarInfo, DeviceV1, DmaMap, PciId,
};
use drvhost_abi::{ABI_VERSION, Errno};
use std::ffi::c_void;
use std::os::fd::AsFd;

/// Makes the table.
pub(super) fn table(
    process: &'static Process,
    address: driver_sys::PciAddress,
    ids: &driver_sys::PciIds,
) -> DeviceV1 {
    let mut text = [0; 16];
    for (to, from) in text.iter_mut().take(15).zip(address.to_string().bytes()) {
        *to = from;
    }
    DeviceV1 {
        size: size_of::<DeviceV1>() as u32,
        abi_version: ABI_VERSION,
        ctx: std::ptr::from_ref(process).cast_mut().cast(),
        address: text,
        id: PciId {
            vendor: ids.vendor.into(),
            device: ids.device.into(),
            subvendor: ids.subvendor.into(),
            subdevice: ids.subdevice.into(),
            class: ids.class,
            class_mask: 0,
        },
        revision: ids.revision.into(),
        reserved: 0,
        config_read,
        config_write,
        bar_info,
        bar_map,
        bar_read,
        bar_write,
        irq_count,
        irq_enable,
        irq_disable,
        dma_alloc,
        dma_free,
        reset,
    }
}

impl Process {
    pub(super) fn bound(&self) -> Result<&Bound, Errno> {
        self.bound.get().ok_or(Errno::ENODEV)
    }
}

pub(super) fn device_errno(error: &driver_sys::Error) -> Errno {
    Errno(error.errno())
}

fn bar_number(bar: u32) -> Result<u8, Errno> {
    u8::try_from(bar)
        .ok()
        .filter(|bar| *bar < 6)
        .ok_or(Errno::EINVAL)
}

// In what follows the driver promises what the table's documentation asks of it: `ctx` is the
// table's, and pointers are valid for their lengths during the call.

unsafe extern "C" fn config_read(ctx: *mut c_void, offset: u32, data: *mut u8, len: usize) -> i32 {
    // SAFETY: the driver's promise (see above).
    let (process, data) = unsafe { (process(ctx), std::slice::from_raw_parts_mut(data, len)) };
    status(process.bound().and_then(|bound| {
        bound
            .device
            .config_read(offset as usize, data)
            .map_err(|error| device_errno(&error))
    }))
}

unsafe extern "C" fn config_write(
    ctx: *mut c_void,
    offset: u32,
    data: *const u8,
    len: usize,
) -> i32 {
    // SAFETY: the driver's promise.
    let (process, data) = unsafe { (process(ctx), std::slice::from_raw_parts(data, len)) };
    status(process.bound().and_then(|bound| {
        bound
            .device
            .config_write(offset as usize, data)
            .map_err(|error| device_errno(&error))
    }))
}

unsafe extern "C" fn bar_info(ctx: *mut c_void, bar: u32, out: *mut BarInfo) -> i32 {
    // SAFETY: the driver's promise.
    let process = unsafe { process(ctx) };
    let info = || {
        let bar = bar_number(bar)?;
        let info = process
            .bound()?
            .device
            .bar_info(bar)
            .map_err(|error| device_errno(&error))?;
        let mut flags = match info.kind {
            BarKind::None => 0,
            BarKind::Port => BAR_PORT,
            BarKind::Memory {
                prefetchable: true, ..
            } => BAR_MEMORY | BAR_PREFETCHABLE,
            BarKind::Memory { .. } => BAR_MEMORY,
        };
        if info.mappable {
            flags |= BAR_MAPPABLE;
        }
        Ok(BarInfo {
            size: info.size,
            flags,
            reserved: 0,
        })
    };
    // SAFETY: the driver's promise.
    unsafe { store(info(), out) }
}

unsafe extern "C" fn bar_map(ctx: *mut c_void, bar: u32, out: *mut *mut u8) -> i32 {
    // SAFETY: the driver's promise.
    let process = unsafe { process(ctx) };
    let map = || {
        let number = bar_number(bar)?;
        let bound = process.bound()?;
        let mut bars = lock(&bound.bars);
        let place = bars.get_mut(usize::from(number)).ok_or(Errno::EINVAL)?;
        if let Some(address) = place {
            return Ok(std::ptr::with_exposed_provenance_mut(*address));
        }
        let mapping = bound
            .device
            .bar_map(number)
            .map_err(|error| device_errno(&error))?;
        let pointer = mapping.as_ptr();
        *place = Some(pointer.expose_provenance());
        // The table promises a mapping that stays until the process ends.
        std::mem::forget(mapping);
        Ok(pointer)
    };
    // SAFETY: the driver's promise.
    unsafe { store(map(), out) }
}

/// The widest access that `offset` and what is left allow.
fn width(offset: u64, left: usize) -> Width {
    let fits =
        |width: &&Width| width.bytes() <= left && offset.is_multiple_of(width.bytes() as u64);
    let widths = [Width::U64, Width::U32, Width::U16];
    widths.iter().find(fits).copied().unwrap_or(Width::U8)
}

fn record(process: &Process, bar: u8, write: bool, at: (u64, Width), value: u64, ok: bool) {
    let (offset, width) = at;
    let width = width.bytes() as u8;
    process.recorder.access(AccessRecord {
        bar,
        width,
        write,
        ok,
        offset,
        value,
    });
}

unsafe extern "C" fn bar_read(
    ctx: *mut c_void,
    bar: u32,
    offset: u64,
    data: *mut u8,
    len: usize,
) -> i32 {
    // SAFETY: the driver's promise.
    let (process, data) = unsafe { (process(ctx), std::slice::from_raw_parts_mut(data, len)) };
    let mut read = || {
        let bar = bar_number(bar)?;
        let device = &process.bound()?.device;
        // One access where the length is a width, aligned or not: the device judges it.
        if let Some(width) = Width::from_bytes(data.len()) {
            let value = device.bar_read(bar, offset, width);
            let seen = value.as_ref().copied().unwrap_or(0);
            record(process, bar, false, (offset, width), seen, value.is_ok());
            let value = value.map_err(|error| device_errno(&error))?;
            data.copy_from_slice(&value.to_le_bytes()[..width.bytes()]);
            return Ok(());
        }
        let result = device.bar_read_bytes(bar, offset, data);
        let first = data
            .first_chunk()
            .map_or(0, |first| u64::from_le_bytes(*first));
        // All of it is one line in the record: where it begins, and with what.
        record(
            process,
            bar,
            false,
            (offset, Width::U64),
            first,
            result.is_ok(),
        );
        result.map_err(|error| device_errno(&error))
    };
    status(read())
}

unsafe extern "C" fn bar_write(
    ctx: *mut c_void,
    bar: u32,
    offset: u64,
    data: *const u8,
    len: usize,
) -> i32 {
    // SAFETY: the driver's promise.
    let (process, data) = unsafe { (process(ctx), std::slice::from_raw_parts(data, len)) };
    let write = || {
        let bar = bar_number(bar)?;
        let device = &process.bound()?.device;
        let mut done = 0;
        while done < data.len() {
            let at = offset.checked_add(done as u64).ok_or(Errno::EINVAL)?;
            let left = data.len() - done;
            let width = Width::from_bytes(data.len()).unwrap_or_else(|| width(at, left));
            let mut bytes = [0; 8];
            bytes[..width.bytes()].copy_from_slice(&data[done..done + width.bytes()]);
            let value = u64::from_le_bytes(bytes);
            let result = device.bar_write(bar, at, width, value);
            record(process, bar, true, (at, width), value, result.is_ok());
            result.map_err(|error| device_errno(&error))?;
            done += width.bytes();
        }
        Ok(())
    };
    status(write())
}

unsafe extern "C" fn irq_count(ctx: *mut c_void, kind: u32) -> i32 {
    // SAFETY: the driver's promise.
    let process = unsafe { process(ctx) };
    let count = || {
        let kind = IrqKind::from_index(kind).ok_or(Errno::EINVAL)?;
        let info = process
            .bound()?
            .device
            .irq_info(kind)
            .map_err(|error| device_errno(&error))?;
        Ok(i32::try_from(info.count).unwrap_or(i32::MAX))
    };
    count().unwrap_or_else(|errno: Errno| -errno.0)
}

unsafe extern "C" fn irq_enable(
    ctx: *mut c_void,
    kind: u32,
    count: u32,
    handler: unsafe extern "C" fn(arg: *mut c_void, vector: u32),
    arg: *mut c_void,
) -> i32 {
    // SAFETY: the driver's promise.
    let process = unsafe { process(ctx) };
    let kind = IrqKind::from_index(kind).ok_or(Errno::EINVAL);
    status(kind.and_then(|kind| process.irq_enable(kind, count, handler, arg)))
}

unsafe extern "C" fn irq_disable(ctx: *mut c_void) -> i32 {
    // SAFETY: the driver's promise.
    status(unsafe { process(ctx) }.irq_disable())
}

unsafe extern "C" fn dma_alloc(ctx: *mut c_void, size: u64, align: u64, out: *mut DmaMap) -> i32 {
    // SAFETY: the driver's promise.
    let process = unsafe { process(ctx) };
    let alloc = || {
        if !align.is_power_of_two() {
            return Err(Errno::EINVAL);
        }
        let device = &process.bound()?.device;
        // A buffer of the host's, so that clients can map it and it outlives this process.
        let (buffer, fd) = process.buffer_create(size)?;
        let mapped = device.dma_map(fd.as_fd(), 0, buffer.size);
        let iova = match mapped {
            Ok(iova) if iova.is_multiple_of(align) => iova,
            Ok(iova) => {
                // The backends align to pages only; saying so beats a device that goes astray.
                let _ = device.dma_unmap(iova);
                let _ = process.buffer_put(buffer.id);
                return Err(Errno::EOPNOTSUPP);
            }
            Err(error) => {
                let _ = process.buffer_put(buffer.id);
                return Err(device_errno(&error));
            }
        };
        lock(&process.bound()?.dma).insert(iova, buffer.id);
        Ok(DmaMap {
            iova,
            ptr: buffer.ptr,
            size: buffer.size,
            buffer: buffer.id,
        })
    };
    // SAFETY: the driver's promise.
    unsafe { store(alloc(), out) }
}

unsafe extern "C" fn dma_free(ctx: *mut c_void, iova: u64) -> i32 {
    // SAFETY: the driver's promise; no pointer into the memory is used afterwards.
    let process = unsafe { process(ctx) };
    let free = || {
        let buffer = lock(&process.bound()?.dma)
            .remove(&iova)
            .ok_or(Errno::EINVAL)?;
        let result = process.bound()?.device.dma_unmap(iova);
        // Without the device's consent the memory must stay: it may still write there.
        result.map_err(|error| device_errno(&error))?;
        process.buffer_put(buffer)
    };
    status(free())
}

unsafe extern "C" fn reset(ctx: *mut c_void) -> i32 {
    // SAFETY: the driver's promise.
    let process = unsafe { process(ctx) };
    status(
        process
            .bound()
            .and_then(|bound| bound.device.reset().map_err(|error| device_errno(&error))),
    )
}
