// SPDX-License-Identifier: MIT
//! The smallest driver in Rust that uses all of the host's services; for tests.
//!
//! | number | what the ioctl does |
//! |---|---|
//! | [`ECHO`] | adds one to each byte, gives the node's index |
//! | [`BUFFER`] | makes a buffer of the size in the payload, fills it, gives it back |
//! | [`WAIT`] | waits until the deadline in the payload |
//! | [`EVENT`] | posts the payload as an event |
//! | [`FENCE`] | makes a fence, has a thread signal it, waits for it |
//! | [`REGISTER`] | reads four bytes of BAR 2 at the offset in the payload |
//! | [`PARAM`] | the length of parameter `greeting` |
//! | [`DMA`] | allocates and frees memory for DMA; gives its buffer |
//! | [`FENCE_WAIT`] | waits for the fence given with the call, until the deadline in the payload |
//! | [`IRQ_ON`] | turns MSI vector 0 on; each interrupt is an event with the vector's number |
//! | [`IRQ_OFF`] | turns interrupts off |
//! | [`FIRMWARE`] | the length of the firmware file that the payload names |
//! | [`NEW_FILE`] | makes a file on node 1, as a lease does |

use drvhost_abi::plugin::About;
use drvhost_abi::tables::{
    ANY_ID, DeviceV1, DmaMap, IrqKind, MmapArgs, NodeKind, ObjectKind, ObjectRef, PciId,
};
use drvhost_abi::{Buffer, Call, Driver, Errno, Host, Instance, Mapped, NodeFile, Opened};
use std::ffi::c_void;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};

/// See the table above.
pub const ECHO: u32 = 1;
/// See the table above.
pub const BUFFER: u32 = 2;
/// See the table above.
pub const WAIT: u32 = 3;
/// See the table above.
pub const EVENT: u32 = 4;
/// See the table above.
pub const FENCE: u32 = 5;
/// See the table above.
pub const REGISTER: u32 = 6;
/// See the table above.
pub const PARAM: u32 = 7;
/// See the table above.
pub const DMA: u32 = 8;
/// See the table above.
pub const FENCE_WAIT: u32 = 9;
/// See the table above.
pub const IRQ_ON: u32 = 10;
/// See the table above.
pub const IRQ_OFF: u32 = 11;
/// See the table above.
pub const FIRMWARE: u32 = 12;
/// See the table above.
pub const NEW_FILE: u32 = 13;

#[derive(Debug)]
struct Tiny;

#[derive(Debug)]
struct Device {
    host: Host,
    table: &'static DeviceV1,
}

#[derive(Debug)]
struct File {
    host: Host,
    table: &'static DeviceV1,
    node: u32,
    cookie: u64,
    buffers: Mutex<Vec<Buffer>>,
}

impl Driver for Tiny {
    type Instance = Device;

    fn probe(host: Host, table: &'static DeviceV1) -> Result<Device, Errno> {
        if host.param("refuse").is_some() {
            return Err(Errno::ENODEV);
        }
        host.log(log::Level::Info, "tiny", "probed");
        Ok(Device { host, table })
    }
}

impl Instance for Device {
    type File = File;

    fn nodes(&self) -> Vec<(NodeKind, String)> {
        vec![
            (NodeKind::Card, "tiny".into()),
            (NodeKind::Render, "tiny".into()),
        ]
    }

    fn open(&self, opened: &Opened) -> Result<File, Errno> {
        if opened.node > 1 {
            return Err(Errno::ENXIO);
        }
        Ok(File {
            host: self.host,
            table: self.table,
            node: opened.node,
            cookie: opened.cookie,
            buffers: Mutex::default(),
        })
    }
}

fn word(payload: &[u8]) -> Result<u64, Errno> {
    let bytes = payload.get(..8).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u64::from_le_bytes).ok_or(Errno::EINVAL)
}

impl NodeFile for File {
    fn ioctl(&self, call: &mut Call<'_>) -> Result<u64, Errno> {
        match call.cmd {
            ECHO => {
                call.payload
                    .iter_mut()
                    .for_each(|byte| *byte = byte.wrapping_add(1));
                Ok(self.node.into())
            }
            BUFFER => {
                let buffer = self.host.buffer_create(word(call.payload)?)?;
                let first = buffer.range(0, 1)?;
                // SAFETY: the range lies in the buffer.
                unsafe { first.write(0x5a) };
                call.objects_out.push(buffer.object(0));
                let id = buffer.id();
                self.buffers.lock().map_err(|_| Errno::EIO)?.push(buffer);
                Ok(id)
            }
            WAIT => {
                let (nothing, deadline) = (AtomicU32::new(0), word(call.payload)?);
                while self.host.wait(&nothing, 0, deadline).is_ok() {}
                Ok(self.host.now())
            }
            EVENT => self.host.post_event(self.cookie, call.payload).map(|()| 0),
            FENCE => {
                let (host, id) = (self.host, self.host.fence_create()?);
                let state = Arc::new(AtomicU32::new(0));
                if host.fence_wait(id, 0) != Err(Errno::ETIMEDOUT) {
                    return Err(Errno::EEXIST);
                }
                host.spawn("signaller", move || {
                    let _ = host.fence_signal(id);
                    state.store(1, std::sync::atomic::Ordering::Release);
                    host.wake(&state, 1);
                })?;
                host.fence_wait(id, u64::MAX)?;
                let kind = ObjectKind::Fence as u32;
                call.objects_out.push(ObjectRef { kind, place: 0, id });
                host.fence_put(id).map(|()| id)
            }
            REGISTER => {
                let (offset, mut data) = (word(call.payload)?, [0; 4]);
                // SAFETY: four bytes at a valid address.
                let status = unsafe {
                    (self.table.bar_read)(self.table.ctx, 2, offset, data.as_mut_ptr(), 4)
                };
                Errno::check(status.into()).map(|_| u32::from_le_bytes(data).into())
            }
            PARAM => Ok(self
                .host
                .param("greeting")
                .map_or(0, |text| text.len() as u64)),
            DMA => {
                let ptr = std::ptr::null_mut();
                let mut map = DmaMap {
                    iova: 0,
                    ptr,
                    size: 0,
                    buffer: 0,
                };
                // SAFETY: the out pointer is valid; the memory is not touched after the free.
                unsafe {
                    let alloc = self.table.dma_alloc;
                    Errno::check(alloc(self.table.ctx, 5000, 1, &mut map).into())?;
                    map.ptr.add(4999).write(1);
                    Errno::check((self.table.dma_free)(self.table.ctx, map.iova).into())?;
                }
                Ok(map.buffer)
            }
            FENCE_WAIT => {
                let fence = call.objects_in.first().ok_or(Errno::EINVAL)?;
                let waited = self.host.fence_wait(fence.id, word(call.payload)?);
                self.host.fence_put(fence.id)?;
                waited.map(|()| 0)
            }
            IRQ_ON => {
                let source = Source {
                    host: self.host,
                    cookie: self.cookie,
                };
                let arg = Box::into_raw(Box::new(source)).cast::<c_void>();
                let (ctx, msi) = (self.table.ctx, IrqKind::Msi as u32);
                // SAFETY: the argument is never freed, so it outlives every interrupt.
                let status = unsafe { (self.table.irq_enable)(ctx, msi, 1, interrupt, arg) };
                Errno::check(status.into())
            }
            // SAFETY: the table's functions may be called from any thread.
            IRQ_OFF => Errno::check(unsafe { (self.table.irq_disable)(self.table.ctx) }.into()),
            FIRMWARE => {
                let name = core::str::from_utf8(call.payload).map_err(|_| Errno::EINVAL)?;
                self.host.firmware(name).map(|data| data.len() as u64)
            }
            NEW_FILE => {
                let file = Box::new(File {
                    host: self.host,
                    table: self.table,
                    node: 1,
                    cookie: 0,
                    buffers: Mutex::default(),
                });
                let (file, mut cookie) = (Box::into_raw(file).cast(), 0);
                let table = self.host.table();
                // SAFETY: the file is one as `open` makes them, and the host's from now on.
                let status = unsafe { (table.file_create)(table.ctx, 1, file, &mut cookie) };
                Errno::check(status.into())?;
                let kind = ObjectKind::File as u32;
                call.objects_out.push(ObjectRef {
                    kind,
                    place: 0,
                    id: cookie,
                });
                Ok(cookie)
            }
            _ => Err(Errno::ENOTTY),
        }
    }

    fn mmap(&self, args: &MmapArgs) -> Result<Mapped, Errno> {
        let buffers = self.buffers.lock().map_err(|_| Errno::EIO)?;
        let buffer = buffers.first().ok_or(Errno::EINVAL)?;
        Ok(Mapped {
            buffer: buffer.id(),
            offset: args.offset,
        })
    }
}

/// Where interrupts go.
struct Source {
    host: Host,
    cookie: u64,
}

unsafe extern "C" fn interrupt(arg: *mut c_void, vector: u32) {
    // SAFETY: the argument is the `Source` that was given along, never freed.
    let source = unsafe { &*arg.cast::<Source>() };
    let _ = source.host.post_event(source.cookie, &vector.to_le_bytes());
}

const IDS: &[PciId] = &[PciId {
    vendor: 0x1234,
    device: 0x1111,
    subvendor: ANY_ID,
    subdevice: ANY_ID,
    class: 0,
    class_mask: 0,
}];

drvhost_abi::export_driver!(
    Tiny,
    About {
        name: c"tiny",
        description: c"The smallest driver in Rust",
        ids: IDS,
        params: &[]
    }
);
