// SPDX-License-Identifier: MIT
//! The plugin's side of the device table, over a table of the test's own.

#![cfg(feature = "abi")]
#![allow(clippy::unwrap_used)] // a test

use std::ffi::c_void;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

use driver_sys::abi::AbiDevice;
use driver_sys::{BarKind, Error, IrqKind, PciDevice, Width};
use drvhost_abi::ABI_VERSION;
use drvhost_abi::tables::{BAR_MAPPABLE, BAR_MEMORY, BarInfo, DeviceV1, DmaMap, PciId};

static WRITTEN: AtomicU64 = AtomicU64::new(0);
static FREED: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" fn config_read(_: *mut c_void, offset: u32, data: *mut u8, len: usize) -> i32 {
    if offset as usize + len > 256 {
        return -22;
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(data, len) }.fill(offset as u8);
    0
}

unsafe extern "C" fn config_write(_: *mut c_void, _: u32, _: *const u8, _: usize) -> i32 {
    -19
}

unsafe extern "C" fn bar_info(_: *mut c_void, bar: u32, out: *mut BarInfo) -> i32 {
    if bar > 5 {
        return -22;
    }
    let flags = BAR_MEMORY | BAR_MAPPABLE;
    let info = BarInfo {
        size: 4096,
        flags,
        reserved: 0,
    };
    // SAFETY: the caller's promise.
    unsafe { out.write(if bar == 0 { info } else { BarInfo::default() }) };
    0
}

unsafe extern "C" fn bar_map(_: *mut c_void, _: u32, out: *mut *mut u8) -> i32 {
    let memory: &'static mut [u64] = Box::leak(vec![7u64; 512].into_boxed_slice());
    // SAFETY: the caller's promise.
    unsafe { out.write(memory.as_mut_ptr().cast()) };
    0
}

unsafe extern "C" fn bar_read(
    _: *mut c_void,
    _: u32,
    offset: u64,
    data: *mut u8,
    len: usize,
) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(data, len) }
        .copy_from_slice(&(offset * 3).to_le_bytes()[..len]);
    0
}

unsafe extern "C" fn bar_write(_: *mut c_void, _: u32, _: u64, data: *const u8, len: usize) -> i32 {
    let mut bytes = [0; 8];
    // SAFETY: the caller's promise.
    bytes[..len].copy_from_slice(unsafe { std::slice::from_raw_parts(data, len) });
    WRITTEN.store(u64::from_le_bytes(bytes), Ordering::SeqCst);
    0
}

unsafe extern "C" fn irq_count(_: *mut c_void, kind: u32) -> i32 {
    if kind == IrqKind::Msi as u32 { 4 } else { 0 }
}

unsafe extern "C" fn irq_enable(
    _: *mut c_void,
    kind: u32,
    count: u32,
    handler: unsafe extern "C" fn(arg: *mut c_void, vector: u32),
    arg: *mut c_void,
) -> i32 {
    if kind != IrqKind::Msi as u32 || count > 4 {
        return -22;
    }
    // SAFETY: interrupts are on from here.
    unsafe { handler(arg, 1) };
    0
}

unsafe extern "C" fn irq_disable(_: *mut c_void) -> i32 {
    0
}

unsafe extern "C" fn dma_alloc(_: *mut c_void, size: u64, _: u64, out: *mut DmaMap) -> i32 {
    let memory: &'static mut [u64] = Box::leak(vec![0u64; 512].into_boxed_slice());
    let ptr = memory.as_mut_ptr().cast();
    // SAFETY: the caller's promise.
    unsafe {
        out.write(DmaMap {
            iova: 0x10_0000,
            ptr,
            size: size.max(4096),
            buffer: 77,
        })
    };
    0
}

unsafe extern "C" fn dma_free(_: *mut c_void, iova: u64) -> i32 {
    FREED.store(iova, Ordering::SeqCst);
    0
}

unsafe extern "C" fn reset(_: *mut c_void) -> i32 {
    -95
}

fn table() -> DeviceV1 {
    let mut address = [0; 16];
    address[..12].copy_from_slice(b"0000:00:02.0");
    DeviceV1 {
        size: size_of::<DeviceV1>() as u32,
        abi_version: ABI_VERSION,
        ctx: std::ptr::null_mut(),
        address,
        id: PciId {
            vendor: 0x1234,
            device: 0x1111,
            subvendor: 0,
            subdevice: 0,
            class: 0x03_8000,
            class_mask: 0,
        },
        revision: 2,
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

fn leak(table: DeviceV1) -> &'static DeviceV1 {
    Box::leak(Box::new(table))
}

#[test]
fn calls_go_through() {
    let device = AbiDevice::new(leak(table())).unwrap();
    assert_eq!(device.address().to_string(), "0000:00:02.0");
    assert_eq!((device.ids().vendor, device.ids().revision), (0x1234, 2));
    let mut data = [0; 4];
    device.config_read(0x50, &mut data).unwrap();
    assert_eq!(data, [0x50; 4]);
    let read = device.config_read(254, &mut data);
    assert!(matches!(read, Err(Error::Refused { errno: 22, .. })));
    assert!(matches!(
        device.config_write(0, &data),
        Err(Error::Gone { .. })
    ));
    assert!(matches!(
        device.reset(),
        Err(Error::Refused { errno: 95, .. })
    ));
    let kind = BarKind::Memory {
        prefetchable: false,
        wide: false,
    };
    assert_eq!(device.bar_info(0).unwrap().kind, kind);
    assert_eq!(device.bar_info(1).unwrap().kind, BarKind::None);
    let mapping = device.bar_map(0).unwrap();
    assert_eq!((mapping.len(), mapping.read_u64(4088).unwrap()), (4096, 7));
    assert_eq!(device.bar_read(0, 0x100, Width::U16).unwrap(), 0x300);
    device.bar_write(0, 0, Width::U32, 0x1_2345_6789).unwrap();
    assert_eq!(WRITTEN.load(Ordering::SeqCst), 0x2345_6789);
}

#[test]
fn interrupts_arrive_as_descriptors() {
    let device = AbiDevice::new(leak(table())).unwrap();
    assert_eq!(device.irq_info(IrqKind::Msi).unwrap().count, 4);
    assert!(device.irq_enable(IrqKind::Msix, 1).is_err());
    let fds = device.irq_enable(IrqKind::Msi, 2).unwrap();
    let mut count = [0; 8];
    rustix::io::read(fds[1].as_fd(), &mut count).unwrap();
    assert_eq!(u64::from_ne_bytes(count), 1);
    assert!(
        rustix::io::read(fds[0].as_fd(), &mut count).is_err(),
        "nothing fired"
    );
    assert!(device.irq_enable(IrqKind::Msi, 1).is_err());
    device.irq_disable(IrqKind::Msi).unwrap();
    assert!(device.irq_enable(IrqKind::Msi, 1).is_ok());
}

#[test]
fn memory_is_freed_when_nobody_sees_it() {
    let device = AbiDevice::new(leak(table())).unwrap();
    let buffer = device.dma_alloc(100, 8).unwrap();
    assert_eq!(
        (buffer.buffer, buffer.mapping.len(), buffer.iova),
        (77, 4096, 0x10_0000)
    );
    assert!(matches!(
        device.dma_unmap(buffer.iova),
        Err(Error::Invalid { .. })
    ));
    assert_eq!(FREED.load(Ordering::SeqCst), 0);
    drop(buffer);
    device.dma_unmap(0x10_0000).unwrap();
    assert_eq!(FREED.load(Ordering::SeqCst), 0x10_0000);
    assert!(device.dma_unmap(0x10_0000).is_err());
}

#[test]
fn other_tables_are_refused() {
    for table in [
        DeviceV1 {
            abi_version: ABI_VERSION + 1,
            ..table()
        },
        DeviceV1 { size: 8, ..table() },
        DeviceV1 {
            address: [b'x'; 16],
            ..table()
        },
    ] {
        assert!(AbiDevice::new(leak(table)).is_err());
    }
}
