// SPDX-License-Identifier: MIT
//! The host's table as a Rust value, for drivers in Rust.

use crate::errno::Errno;
use crate::tables::{BufferMap, HostV1, ObjectRef};
use core::ffi::{CStr, c_void};
use core::sync::atomic::AtomicU32;
use std::ffi::CString;

/// The services that the host gives to a driver. Cheap to copy; lives as long as the process.
#[derive(Clone, Copy, Debug)]
pub struct Host(&'static HostV1);

fn status(result: i32) -> Result<(), Errno> {
    Errno::check(i64::from(result)).map(|_| ())
}

impl Host {
    /// Wraps the table.
    pub fn new(table: &'static HostV1) -> Host {
        Host(table)
    }

    /// The table itself.
    pub fn table(&self) -> &'static HostV1 {
        self.0
    }

    /// Logs a line.
    pub fn log(&self, level: log::Level, target: &str, text: &str) {
        // SAFETY: both strings are valid for their lengths during the call.
        unsafe {
            (self.0.log)(
                self.0.ctx,
                level as u32,
                target.as_ptr(),
                target.len(),
                text.as_ptr(),
                text.len(),
            );
        }
    }

    /// Monotonic time in nanoseconds.
    pub fn now(&self) -> u64 {
        // SAFETY: the table's functions may be called from any thread.
        unsafe { (self.0.now)(self.0.ctx) }
    }

    /// Sleeps while `word` holds `expected`, until a wake or the deadline in nanoseconds
    /// (`u64::MAX`: none). May return early. `Err(ETIMEDOUT)` when the deadline has passed.
    pub fn wait(&self, word: &AtomicU32, expected: u32, deadline: u64) -> Result<(), Errno> {
        // SAFETY: the word is borrowed for the whole call.
        status(unsafe { (self.0.wait)(self.0.ctx, word.as_ptr(), expected, deadline) })
    }

    /// Wakes up to `count` sleepers on `word`.
    pub fn wake(&self, word: &AtomicU32, count: u32) {
        // SAFETY: the word is borrowed for the whole call.
        unsafe { (self.0.wake)(self.0.ctx, word.as_ptr(), count) }
    }

    /// Starts a thread that the host watches.
    pub fn spawn(&self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Errno> {
        unsafe extern "C" fn entry(arg: *mut c_void) {
            // SAFETY: `arg` is the box made below, given to exactly one thread.
            let run = unsafe { Box::from_raw(arg.cast::<Box<dyn FnOnce() + Send>>()) };
            crate::plugin::guard(run);
        }
        let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
        let boxed: Box<dyn FnOnce() + Send> = Box::new(run);
        let arg = Box::into_raw(Box::new(boxed)).cast::<c_void>();
        // SAFETY: `entry` takes the box over.
        let result = status(unsafe { (self.0.spawn)(self.0.ctx, name.as_ptr(), entry, arg) });
        if result.is_err() {
            // SAFETY: no thread was started, so the box is still ours.
            drop(unsafe { Box::from_raw(arg.cast::<Box<dyn FnOnce() + Send>>()) });
        }
        result
    }

    /// The value of a parameter, if the manifest gives one.
    pub fn param(&self, name: &str) -> Option<String> {
        let name = CString::new(name).ok()?;
        // SAFETY: the name is NUL-terminated; the answer is null or a C string that stays.
        let value = unsafe {
            let value = (self.0.param)(self.0.ctx, name.as_ptr());
            if value.is_null() {
                return None;
            }
            CStr::from_ptr(value)
        };
        Some(value.to_string_lossy().into_owned())
    }

    /// Reads a firmware file; `ENOENT` where there is none.
    pub fn firmware(&self, name: &str) -> Result<&'static [u8], Errno> {
        let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
        let mut data = core::ptr::null();
        let mut len = 0;
        // SAFETY: the out pointers are valid; the data stays until the process ends.
        unsafe {
            status((self.0.firmware)(
                self.0.ctx,
                name.as_ptr(),
                &mut data,
                &mut len,
            ))?;
            if data.is_null() {
                return Ok(&[]);
            }
            Ok(core::slice::from_raw_parts(data, len))
        }
    }

    /// Sends an event (whole records) to the reader of the file with this cookie.
    pub fn post_event(&self, cookie: u64, data: &[u8]) -> Result<(), Errno> {
        // SAFETY: the slice is valid during the call.
        status(unsafe { (self.0.post_event)(self.0.ctx, cookie, data.as_ptr(), data.len()) })
    }

    /// Tells programs to look at the connectors again.
    pub fn hotplug(&self) {
        // SAFETY: the table's functions may be called from any thread.
        unsafe { (self.0.hotplug)(self.0.ctx) }
    }

    fn buffer(&self, call: impl FnOnce(*mut BufferMap) -> i32) -> Result<Buffer, Errno> {
        let mut map = BufferMap {
            id: 0,
            ptr: core::ptr::null_mut(),
            size: 0,
        };
        status(call(&mut map))?;
        Ok(Buffer { host: *self, map })
    }

    /// Makes a buffer of `size` bytes, zeroed; clients map the same memory.
    pub fn buffer_create(&self, size: u64) -> Result<Buffer, Errno> {
        // SAFETY: the out pointer is valid during the call.
        self.buffer(|out| unsafe { (self.0.buffer_create)(self.0.ctx, size, out) })
    }

    /// Maps a buffer by its id.
    pub fn buffer_open(&self, id: u64) -> Result<Buffer, Errno> {
        // SAFETY: the out pointer is valid during the call.
        self.buffer(|out| unsafe { (self.0.buffer_open)(self.0.ctx, id, out) })
    }

    /// Makes a fence and gives its id.
    pub fn fence_create(&self) -> Result<u64, Errno> {
        let mut id = 0;
        // SAFETY: the out pointer is valid during the call.
        status(unsafe { (self.0.fence_create)(self.0.ctx, &mut id) })?;
        Ok(id)
    }

    /// Signals a fence or an event.
    pub fn fence_signal(&self, id: u64) -> Result<(), Errno> {
        // SAFETY: the table's functions may be called from any thread.
        status(unsafe { (self.0.fence_signal)(self.0.ctx, id) })
    }

    /// Waits for a fence; a deadline of zero only asks.
    pub fn fence_wait(&self, id: u64, deadline: u64) -> Result<(), Errno> {
        // SAFETY: the table's functions may be called from any thread.
        status(unsafe { (self.0.fence_wait)(self.0.ctx, id, deadline) })
    }

    /// Ends one use of a fence or an event.
    pub fn fence_put(&self, id: u64) -> Result<(), Errno> {
        // SAFETY: the table's functions may be called from any thread.
        status(unsafe { (self.0.fence_put)(self.0.ctx, id) })
    }

    /// The first number a vblank counter may show.
    pub fn vblank_base(&self) -> u64 {
        // SAFETY: the table's functions may be called from any thread.
        unsafe { (self.0.vblank_base)(self.0.ctx) }
    }
}

/// A buffer of the host's, mapped here. Dropping it ends the mapping, not the buffer.
#[derive(Debug)]
pub struct Buffer {
    host: Host,
    map: BufferMap,
}

// SAFETY: the mapping is plain shared memory, not bound to a thread.
unsafe impl Send for Buffer {}
// SAFETY: as above; all access goes through raw pointers or copies.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// The host's id.
    pub fn id(&self) -> u64 {
        self.map.id
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.map.size
    }

    /// Where it is mapped. Clients write to it at any time: read it through copies only.
    pub fn as_ptr(&self) -> *mut u8 {
        self.map.ptr
    }

    /// Copies `out.len()` bytes from `offset`; `EINVAL` where that is outside.
    pub fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Errno> {
        let source = self.range(offset, out.len())?;
        // SAFETY: the range lies in the mapping; what a client writes meanwhile is plain bytes.
        unsafe { core::ptr::copy_nonoverlapping(source, out.as_mut_ptr(), out.len()) };
        Ok(())
    }

    /// A pointer to `len` bytes at `offset`; `EINVAL` where that is outside.
    pub fn range(&self, offset: u64, len: usize) -> Result<*mut u8, Errno> {
        let end = offset.checked_add(len as u64).ok_or(Errno::EINVAL)?;
        if end > self.map.size {
            return Err(Errno::EINVAL);
        }
        let offset = usize::try_from(offset).map_err(|_| Errno::EINVAL)?;
        // SAFETY: the offset was checked against the mapping's size.
        Ok(unsafe { self.map.ptr.add(offset) })
    }

    /// The object that names this buffer in a call's answer.
    pub fn object(&self, place: u32) -> ObjectRef {
        ObjectRef {
            kind: crate::tables::ObjectKind::Buffer as u32,
            place,
            id: self.map.id,
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: one put for the one create or open; no pointer is handed out beyond `self`.
        let _ = unsafe { (self.host.0.buffer_put)(self.host.0.ctx, self.map.id) };
    }
}
