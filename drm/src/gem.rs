// SPDX-License-Identifier: MIT
//! GEM objects: shared memory of the host's, with the numbers that programs know it by.
//!
//! Handles are per file, flink names and fake mmap offsets per device.

use crate::ids::pick;
use drvhost_abi::tables::{MmapArgs, MmapOut};
use drvhost_abi::{Buffer, Errno, Host};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

/// Page size that sizes and offsets are rounded to, in bytes.
pub const PAGE: u64 = 4096;

/// Where fake mmap offsets begin, as in Linux: past any offset of 32 bits.
const FIRST_OFFSET: u64 = 1 << 32;

/// A buffer object.
#[derive(Debug)]
pub struct Gem {
    buffer: Buffer,
    /// Size in bytes, whole pages.
    pub size: u64,
    /// Fake mmap offset.
    pub offset: u64,
    /// Came from outside by PRIME.
    pub imported: bool,
    /// Flink name; zero for none.
    name: AtomicU32,
}

impl Gem {
    /// The memory.
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }
}

/// A file's handles.
pub type Handles = BTreeMap<u32, Arc<Gem>>;

/// A device's objects, by their device-wide numbers.
#[derive(Debug, Default)]
pub struct Gems {
    by_buffer: BTreeMap<u64, Weak<Gem>>,
    by_offset: BTreeMap<u64, Weak<Gem>>,
    names: BTreeMap<u32, Weak<Gem>>,
    next_offset: u64,
}

impl Gems {
    /// Makes an object of at least `size` bytes.
    pub fn create(&mut self, host: &Host, size: u64) -> Result<Arc<Gem>, Errno> {
        let buffer = host.buffer_create(size)?;
        Ok(self.add(buffer, false))
    }

    /// The object for a buffer of the host's: the one there is, or a new one for memory from
    /// outside.
    pub fn import(&mut self, host: &Host, id: u64) -> Result<Arc<Gem>, Errno> {
        if let Some(gem) = self.by_buffer.get(&id).and_then(Weak::upgrade) {
            return Ok(gem);
        }
        let buffer = host.buffer_open(id)?;
        Ok(self.add(buffer, true))
    }

    fn add(&mut self, buffer: Buffer, imported: bool) -> Arc<Gem> {
        self.prune();
        let size = buffer.size().next_multiple_of(PAGE);
        let offset = self.next_offset.max(FIRST_OFFSET);
        self.next_offset = offset + size;
        let gem = Arc::new(Gem {
            size,
            offset,
            imported,
            name: AtomicU32::new(0),
            buffer,
        });
        self.by_buffer.insert(gem.buffer.id(), Arc::downgrade(&gem));
        self.by_offset.insert(offset, Arc::downgrade(&gem));
        gem
    }

    /// Forgets objects that are gone, so that the maps do not grow without end.
    pub fn prune(&mut self) {
        self.by_buffer.retain(|_, gem| gem.strong_count() > 0);
        self.by_offset.retain(|_, gem| gem.strong_count() > 0);
        self.names.retain(|_, gem| gem.strong_count() > 0);
    }

    /// Gives the object a global name.
    pub fn name(&mut self, gem: &Arc<Gem>, want: Option<u32>) -> Result<u32, Errno> {
        let name = gem.name.load(Ordering::Relaxed);
        if name != 0 {
            return Ok(name);
        }
        self.prune();
        let name = pick(&self.names, 1, want)?;
        self.names.insert(name, Arc::downgrade(gem));
        gem.name.store(name, Ordering::Relaxed);
        Ok(name)
    }

    /// The object of a global name.
    pub fn by_name(&self, name: u32) -> Option<Arc<Gem>> {
        self.names.get(&name)?.upgrade()
    }

    /// The last handle of an object went: so does its name.
    pub fn forget_name(&mut self, gem: &Gem) {
        self.names.remove(&gem.name.swap(0, Ordering::Relaxed));
    }

    /// Resolves a mapping. `EINVAL`: no object there, or past its end; `EACCES`: not the file's.
    pub fn resolve(&self, handles: &Handles, args: &MmapArgs) -> Result<MmapOut, Errno> {
        let (start, gem) = self
            .by_offset
            .range(..=args.offset)
            .next_back()
            .and_then(|(start, gem)| Some((*start, gem.upgrade()?)))
            .ok_or(Errno::EINVAL)?;
        let offset = args.offset - start;
        let end = offset.checked_add(args.length).ok_or(Errno::EINVAL)?;
        if end > gem.size || args.length == 0 || !offset.is_multiple_of(PAGE) {
            return Err(Errno::EINVAL);
        }
        if !handles.values().any(|held| Arc::ptr_eq(held, &gem)) {
            return Err(Errno::EACCES);
        }
        Ok(MmapOut {
            buffer: gem.buffer.id(),
            offset,
        })
    }

    /// How many objects live.
    pub fn live(&self) -> usize {
        let alive = |gem: &&Weak<Gem>| gem.strong_count() > 0;
        self.by_buffer.values().filter(alive).count()
    }
}

/// Gives a file a handle for an object.
pub fn add_handle(handles: &mut Handles, gem: Arc<Gem>, want: Option<u32>) -> Result<u32, Errno> {
    let handle = pick(handles, 1, want)?;
    handles.insert(handle, gem);
    Ok(handle)
}
