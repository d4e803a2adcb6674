// SPDX-License-Identifier: MIT
//! The backend inside a plugin: the device behind the plugin ABI's table.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use drvhost_abi::ABI_VERSION;
use drvhost_abi::tables::{self, DeviceV1};

use crate::address::PciAddress;
use crate::bar::{BarInfo, BarKind, Width};
use crate::config;
use crate::device::PciDevice;
use crate::dma::DmaBuffer;
use crate::error::{Error, Result};
use crate::ids::PciIds;
use crate::irq::{IrqInfo, IrqKind};
use crate::mapping::Mapping;

/// A plugin's device.
#[derive(Debug)]
pub struct AbiDevice {
    table: &'static DeviceV1,
    address: PciAddress,
    /// What the interrupt handler writes to, while interrupts are on.
    interrupts: Mutex<Option<Interrupts>>,
    /// IOVAs of memory for DMA, each with a count of who still sees the memory.
    memory: Mutex<BTreeMap<u64, Arc<()>>>,
}

/// Lives in one place until the host has promised that no handler runs any more.
#[derive(Debug)]
struct Interrupts {
    kind: IrqKind,
    _sinks: Arc<Sinks>,
}

/// Where a vector's interrupts go, by vector.
#[derive(Debug)]
struct Sinks(Vec<OwnedFd>);

/// Tells whoever reads the vector's descriptor.
unsafe extern "C" fn fire(arg: *mut c_void, vector: u32) {
    // SAFETY: `arg` is the list that `irq_enable` gave, which stays until the host has promised
    // that no handler runs any more.
    let sinks = unsafe { &*arg.cast::<Sinks>() };
    if let Some(sink) = sinks.0.get(vector as usize) {
        // A full pipe already says that it fired.
        let _ = rustix::io::write(sink, &1u64.to_ne_bytes());
    }
}

impl AbiDevice {
    /// Wraps the table that a driver was given to probe.
    ///
    /// # Errors
    /// `Unsupported` for a table of another version, `Invalid` for one without an address.
    pub fn new(table: &'static DeviceV1) -> Result<Self> {
        let what = "use the device's table";
        if table.abi_version != ABI_VERSION || (table.size as usize) < size_of::<DeviceV1>() {
            let why = format!("version {}, {} bytes", table.abi_version, table.size);
            return Err(Error::Unsupported {
                what: what.into(),
                why,
            });
        }
        let text = table
            .address
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default();
        let address = std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse().ok());
        let address = address.ok_or_else(|| Error::Invalid {
            what: what.into(),
            why: format!("address {:?}", String::from_utf8_lossy(text)),
        })?;
        Ok(Self {
            table,
            address,
            interrupts: Mutex::new(None),
            memory: Mutex::default(),
        })
    }

    /// The ids that the host matched the driver by.
    pub fn ids(&self) -> PciIds {
        let id = &self.table.id;
        PciIds {
            vendor: id.vendor as u16,
            device: id.device as u16,
            subvendor: id.subvendor as u16,
            subdevice: id.subdevice as u16,
            class: id.class,
            revision: self.table.revision as u8,
        }
    }

    /// Zero and more is success; less is an errno.
    fn check(&self, doing: &str, result: i32) -> Result<u32> {
        u32::try_from(result).map_err(|_| {
            let what = format!("{}: {doing}", self.address);
            match result.unsigned_abs() {
                19 => Error::Gone { what },
                errno => Error::Refused {
                    what,
                    errno: i32::try_from(errno).unwrap_or(5),
                },
            }
        })
    }
}

impl PciDevice for AbiDevice {
    fn address(&self) -> PciAddress {
        self.address
    }

    fn config_read(&self, offset: usize, data: &mut [u8]) -> Result<()> {
        let at = u32::try_from(offset).unwrap_or(u32::MAX);
        // SAFETY: the pointer is valid for the length during the call.
        let result =
            unsafe { (self.table.config_read)(self.table.ctx, at, data.as_mut_ptr(), data.len()) };
        self.check("read configuration space", result).map(drop)
    }

    fn config_write(&self, offset: usize, data: &[u8]) -> Result<()> {
        let at = u32::try_from(offset).unwrap_or(u32::MAX);
        // SAFETY: the pointer is valid for the length during the call.
        let result =
            unsafe { (self.table.config_write)(self.table.ctx, at, data.as_ptr(), data.len()) };
        self.check("write configuration space", result).map(drop)
    }

    fn bar_info(&self, bar: u8) -> Result<BarInfo> {
        let mut info = tables::BarInfo::default();
        // SAFETY: the pointer is valid during the call.
        let result = unsafe { (self.table.bar_info)(self.table.ctx, bar.into(), &mut info) };
        self.check("ask about a BAR", result)?;
        let kind = if info.flags & tables::BAR_PORT != 0 {
            BarKind::Port
        } else if info.flags & tables::BAR_MEMORY != 0 {
            let low = config::read_u8(self, config::BAR0 + 4 * usize::from(bar))?;
            let prefetchable = info.flags & tables::BAR_PREFETCHABLE != 0;
            BarKind::Memory {
                prefetchable,
                wide: low & 6 == 4,
            }
        } else {
            BarKind::None
        };
        let mappable = info.flags & tables::BAR_MAPPABLE != 0;
        Ok(BarInfo {
            kind,
            size: info.size,
            mappable,
        })
    }

    fn bar_map(&self, bar: u8) -> Result<Mapping> {
        let size = self.bar_info(bar)?.size;
        let mut pointer = std::ptr::null_mut();
        // SAFETY: the pointer is valid during the call.
        let result = unsafe { (self.table.bar_map)(self.table.ctx, bar.into(), &mut pointer) };
        self.check("map a BAR", result)?;
        let len = usize::try_from(size).unwrap_or(0);
        // SAFETY: the host maps all of the BAR, on a page, until the process ends.
        Ok(unsafe { Mapping::from_raw(pointer, len, ()) })
    }

    fn bar_read(&self, bar: u8, offset: u64, width: Width) -> Result<u64> {
        let mut bytes = [0; 8];
        let (data, len) = (bytes.as_mut_ptr(), width.bytes());
        // SAFETY: the pointer is valid for the length, 8 at most, during the call.
        let result =
            unsafe { (self.table.bar_read)(self.table.ctx, bar.into(), offset, data, len) };
        self.check("read a BAR", result)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn bar_read_bytes(&self, bar: u8, offset: u64, data: &mut [u8]) -> Result<()> {
        // SAFETY: the pointer is valid for the length during the call.
        let result = unsafe {
            (self.table.bar_read)(
                self.table.ctx,
                bar.into(),
                offset,
                data.as_mut_ptr(),
                data.len(),
            )
        };
        self.check("read a BAR", result).map(drop)
    }

    fn bar_write(&self, bar: u8, offset: u64, width: Width, value: u64) -> Result<()> {
        let bytes = value.to_le_bytes();
        let (data, len) = (bytes.as_ptr(), width.bytes());
        // SAFETY: the pointer is valid for the length, 8 at most, during the call.
        let result =
            unsafe { (self.table.bar_write)(self.table.ctx, bar.into(), offset, data, len) };
        self.check("write a BAR", result).map(drop)
    }

    fn irq_info(&self, kind: IrqKind) -> Result<IrqInfo> {
        // SAFETY: the table's functions may be called from any thread.
        let result = unsafe { (self.table.irq_count)(self.table.ctx, kind as u32) };
        let count = self.check("ask about interrupts", result)?;
        // The host unmasks the pin when the handler has returned.
        Ok(IrqInfo {
            count,
            automasked: false,
        })
    }

    fn irq_enable(&self, kind: IrqKind, count: u32) -> Result<Vec<OwnedFd>> {
        let what = format!("{}: turn on interrupts", self.address);
        let mut held = self
            .interrupts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if held.is_some() {
            return Err(Error::Invalid {
                what,
                why: "they are on; first: irq_disable".into(),
            });
        }
        let (mut sources, mut sinks) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let flags = rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK;
            let (source, sink) =
                rustix::pipe::pipe_with(flags).map_err(|error| Error::io(&what, error))?;
            sources.push(source);
            sinks.push(sink);
        }
        let sinks = Arc::new(Sinks(sinks));
        let arg = Arc::as_ptr(&sinks).cast_mut().cast();
        // SAFETY: `arg` stays until `irq_disable` succeeded, or is leaked.
        let result =
            unsafe { (self.table.irq_enable)(self.table.ctx, kind as u32, count, fire, arg) };
        let result = self.check("turn on interrupts", result);
        if result.is_ok() {
            *held = Some(Interrupts {
                kind,
                _sinks: sinks,
            });
        } else {
            // Some vectors may be on, and nothing was promised about their handlers.
            std::mem::forget(sinks);
        }
        result.map(|_| sources)
    }

    fn irq_disable(&self, kind: IrqKind) -> Result<()> {
        let mut held = self
            .interrupts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if held
            .as_ref()
            .is_none_or(|interrupts| interrupts.kind != kind)
        {
            return Ok(());
        }
        // SAFETY: the table's functions may be called from any thread.
        let result = unsafe { (self.table.irq_disable)(self.table.ctx) };
        self.check("turn off interrupts", result)?;
        *held = None;
        Ok(())
    }

    /// Nothing to do: the host unmasks the pin when the handler has returned.
    fn irq_unmask(&self, _kind: IrqKind, _vector: u32) -> Result<()> {
        Ok(())
    }

    fn dma_alloc(&self, size: usize, align: usize) -> Result<DmaBuffer> {
        let mut map = tables::DmaMap {
            iova: 0,
            ptr: std::ptr::null_mut(),
            size: 0,
            buffer: 0,
        };
        let (size, align) = (size as u64, align as u64);
        // SAFETY: the pointer is valid during the call.
        let result = unsafe { (self.table.dma_alloc)(self.table.ctx, size, align, &mut map) };
        self.check("allocate memory for DMA", result)?;
        let len = usize::try_from(map.size).unwrap_or(0);
        let seen = Arc::new(());
        // SAFETY: the host maps the memory until `dma_free`, which `dma_unmap` calls only when
        // the mapping has dropped its share of `seen`.
        let mapping = unsafe { Mapping::from_raw(map.ptr, len, seen.clone()) };
        self.memory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(map.iova, seen);
        Ok(DmaBuffer {
            file: None,
            buffer: map.buffer,
            offset: 0,
            iova: map.iova,
            mapping,
        })
    }

    fn dma_map(&self, _file: BorrowedFd<'_>, _offset: u64, _size: u64) -> Result<u64> {
        Err(Error::Unsupported {
            what: format!("{}: map memory for DMA", self.address),
            why: "a plugin's memory for DMA comes from dma_alloc".into(),
        })
    }

    fn dma_unmap(&self, iova: u64) -> Result<()> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let why = match memory.get(&iova) {
            None => Some(format!("nothing starts at {iova:#x}")),
            Some(seen) if Arc::strong_count(seen) > 1 => Some("drop its mapping first".into()),
            Some(_) => None,
        };
        if let Some(why) = why {
            let what = format!("{}: free memory for DMA", self.address);
            return Err(Error::Invalid { what, why });
        }
        memory.remove(&iova);
        // SAFETY: nobody in this plugin sees the memory any more.
        let result = unsafe { (self.table.dma_free)(self.table.ctx, iova) };
        self.check("free memory for DMA", result).map(drop)
    }

    fn reset(&self) -> Result<()> {
        // SAFETY: the table's functions may be called from any thread.
        let result = unsafe { (self.table.reset)(self.table.ctx) };
        self.check("reset", result).map(drop)
    }
}

impl Drop for AbiDevice {
    fn drop(&mut self) {
        let kind = {
            let held = self
                .interrupts
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            held.as_ref().map(|interrupts| interrupts.kind)
        };
        if kind.is_some_and(|kind| self.irq_disable(kind).is_err()) {
            // Handlers may still run: what they use must stay.
            let mut held = self
                .interrupts
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::forget(held.take());
        }
    }
}
