// SPDX-License-Identifier: MIT
//! A host for tests of drivers: memory, events and fences in the test's own process, and a clock
//! that the test steps.
//!
//! Each fake host lives until the process ends, as a real one does for a driver.

use core::ffi::{c_char, c_void};
use drvhost_abi::tables::*;
use drvhost_abi::{ABI_VERSION, Errno, Host};
use std::alloc::{Layout, alloc_zeroed};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A test that waits longer than this for something has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the host has done.
#[derive(Debug, Default)]
pub struct Seen {
    /// The clock, in nanoseconds.
    pub now: u64,
    /// Events by cookie, one record each.
    pub events: Vec<(u64, Vec<u8>)>,
    /// Buffers: address, size, and how many uses there are.
    pub buffers: BTreeMap<u64, (usize, u64, u32)>,
    /// Fences and events that are signalled.
    pub signalled: BTreeSet<u64>,
    /// Uses of fences.
    pub fences: BTreeMap<u64, u32>,
    /// Files that calls opened: cookie and pointer.
    pub files: Vec<(u64, usize)>,
    /// Log lines.
    pub log: Vec<String>,
    /// Parameters, each with its terminating zero.
    pub params: BTreeMap<String, String>,
    /// How often `hotplug` was called.
    pub hotplugs: u32,
    next: u64,
}

/// The host's side of it.
#[derive(Debug, Default)]
pub struct FakeHost {
    seen: Mutex<Seen>,
    changed: Condvar,
}

impl FakeHost {
    /// A host, and the table that a driver gets.
    pub fn new() -> (&'static FakeHost, Host) {
        let fake: &'static FakeHost = Box::leak(Box::default());
        let table = Box::leak(Box::new(HostV1 {
            size: size_of::<HostV1>() as u32,
            abi_version: ABI_VERSION,
            ctx: core::ptr::from_ref(fake).cast_mut().cast(),
            log,
            now,
            wait,
            wake,
            spawn,
            param,
            firmware,
            post_event,
            hotplug,
            buffer_create,
            buffer_open,
            buffer_put,
            fence_create,
            fence_signal,
            fence_wait,
            fence_put,
            file_create,
            vblank_base,
        }));
        (fake, Host::new(table))
    }

    /// What was done so far.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the clock on.
    pub fn step(&self, nanoseconds: u64) {
        self.seen().now += nanoseconds;
        self.changed.notify_all();
    }

    /// Moves the clock to the next deadline again and again until `done`. Panics when that never
    /// happens.
    pub fn step_until(&self, nanoseconds: u64, mut done: impl FnMut(&Seen) -> bool) {
        let start = std::time::Instant::now();
        loop {
            if done(&self.seen()) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "it never came to pass");
            self.step(nanoseconds);
            std::thread::yield_now();
        }
    }

    /// Waits until `done`, with the clock standing. Panics when that never happens.
    pub fn wait_until(&self, mut done: impl FnMut(&Seen) -> bool) {
        let start = std::time::Instant::now();
        let mut seen = self.seen();
        while !done(&seen) {
            assert!(start.elapsed() < PATIENCE, "it never came to pass");
            let result = self.changed.wait_timeout(seen, Duration::from_millis(50));
            seen = result.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Makes a fence or an event from outside.
    pub fn make_fence(&self) -> u64 {
        let mut seen = self.seen();
        let id = seen.id();
        seen.fences.insert(id, 1);
        id
    }

    /// Signals a fence from outside.
    pub fn signal(&self, id: u64) {
        self.seen().signalled.insert(id);
        self.changed.notify_all();
    }
}

impl Seen {
    fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// How many buffers are in use.
    pub fn live_buffers(&self) -> usize {
        self.buffers
            .values()
            .filter(|(_, _, uses)| *uses > 0)
            .count()
    }

    /// How many fences are in use.
    pub fn live_fences(&self) -> usize {
        self.fences.values().filter(|uses| **uses > 0).count()
    }
}

fn fake<'a>(ctx: *mut c_void) -> &'a FakeHost {
    // SAFETY: `ctx` is the leaked value that `FakeHost::new` put into the table.
    unsafe { &*ctx.cast() }
}

fn result(value: Result<(), Errno>) -> i32 {
    value.map_or_else(|errno| -errno.0, |()| 0)
}

unsafe extern "C" fn log(
    ctx: *mut c_void,
    _level: u32,
    _target: *const u8,
    _target_len: usize,
    text: *const u8,
    text_len: usize,
) {
    // SAFETY: the caller gives a valid string.
    let text = unsafe { core::slice::from_raw_parts(text, text_len) };
    let text = String::from_utf8_lossy(text).into_owned();
    fake(ctx).seen().log.push(text);
}

unsafe extern "C" fn now(ctx: *mut c_void) -> u64 {
    fake(ctx).seen().now
}

unsafe extern "C" fn wait(ctx: *mut c_void, word: *const u32, expected: u32, deadline: u64) -> i32 {
    let fake = fake(ctx);
    let mut seen = fake.seen();
    loop {
        // SAFETY: the caller keeps the word for the call; others change it atomically.
        let value = unsafe {
            (*word.cast::<core::sync::atomic::AtomicU32>())
                .load(core::sync::atomic::Ordering::Acquire)
        };
        if value != expected {
            return 0;
        }
        if seen.now >= deadline {
            return -Errno::ETIMEDOUT.0;
        }
        let woken = fake.changed.wait(seen);
        seen = woken.unwrap_or_else(PoisonError::into_inner);
    }
}

unsafe extern "C" fn wake(ctx: *mut c_void, _word: *const u32, _count: u32) {
    // The lock orders this after a sleeper's look at its word.
    drop(fake(ctx).seen());
    fake(ctx).changed.notify_all();
}

struct Argument(*mut c_void);
// SAFETY: the argument is made to be handed to the new thread.
unsafe impl Send for Argument {}

unsafe extern "C" fn spawn(
    _ctx: *mut c_void,
    _name: *const c_char,
    run: unsafe extern "C" fn(arg: *mut c_void),
    arg: *mut c_void,
) -> i32 {
    let arg = Argument(arg);
    std::thread::spawn(move || {
        let arg = arg;
        // SAFETY: `run` takes its argument once.
        unsafe { run(arg.0) }
    });
    0
}

unsafe extern "C" fn param(ctx: *mut c_void, name: *const c_char) -> *const c_char {
    // SAFETY: the caller gives a C string.
    let name = unsafe { core::ffi::CStr::from_ptr(name) };
    match fake(ctx).seen().params.get(&*name.to_string_lossy()) {
        Some(value) => Box::leak(value.clone().into_boxed_str()).as_ptr().cast(),
        None => core::ptr::null(),
    }
}

unsafe extern "C" fn firmware(
    _ctx: *mut c_void,
    _name: *const c_char,
    _data: *mut *const u8,
    _len: *mut usize,
) -> i32 {
    -Errno::ENOENT.0
}

unsafe extern "C" fn post_event(ctx: *mut c_void, cookie: u64, data: *const u8, len: usize) -> i32 {
    // SAFETY: the caller gives a valid record.
    let record = unsafe { core::slice::from_raw_parts(data, len) }.to_vec();
    fake(ctx).seen().events.push((cookie, record));
    fake(ctx).changed.notify_all();
    0
}

unsafe extern "C" fn hotplug(ctx: *mut c_void) {
    fake(ctx).seen().hotplugs += 1;
}

unsafe extern "C" fn buffer_create(ctx: *mut c_void, size: u64, out: *mut BufferMap) -> i32 {
    let size = size.next_multiple_of(4096);
    // Untouched pages of a large one cost nothing, but a test has no use for huge ones.
    let Some(len) = usize::try_from(size).ok().filter(|size| *size <= 1 << 30) else {
        return -Errno::ENOMEM.0;
    };
    let Ok(layout) = Layout::from_size_align(len.max(4096), 4096) else {
        return -Errno::ENOMEM.0;
    };
    // SAFETY: the layout is not empty.
    let ptr = unsafe { alloc_zeroed(layout) };
    if ptr.is_null() {
        return -Errno::ENOMEM.0;
    }
    let mut seen = fake(ctx).seen();
    let id = seen.id();
    seen.buffers.insert(id, (ptr as usize, size, 1));
    // SAFETY: the caller gives a valid pointer.
    unsafe { out.write(BufferMap { id, ptr, size }) };
    0
}

unsafe extern "C" fn buffer_open(ctx: *mut c_void, id: u64, out: *mut BufferMap) -> i32 {
    let mut seen = fake(ctx).seen();
    let Some((ptr, size, uses)) = seen.buffers.get_mut(&id) else {
        return -Errno::ENOENT.0;
    };
    *uses += 1;
    let (ptr, size) = (*ptr as *mut u8, *size);
    // SAFETY: the caller gives a valid pointer.
    unsafe { out.write(BufferMap { id, ptr, size }) };
    0
}

unsafe extern "C" fn buffer_put(ctx: *mut c_void, id: u64) -> i32 {
    let mut seen = fake(ctx).seen();
    match seen.buffers.get_mut(&id) {
        Some((ptr, size, uses)) if *uses > 0 => {
            *uses -= 1;
            if *uses == 0 {
                let (ptr, len) = (*ptr as *mut u8, usize::try_from(*size).unwrap_or(0));
                seen.buffers.remove(&id);
                if let Ok(layout) = Layout::from_size_align(len.max(4096), 4096) {
                    // SAFETY: it was allocated with this layout, and this was its last use.
                    unsafe { std::alloc::dealloc(ptr, layout) };
                }
            }
            0
        }
        _ => -Errno::ENOENT.0,
    }
}

unsafe extern "C" fn fence_create(ctx: *mut c_void, id: *mut u64) -> i32 {
    // SAFETY: the caller gives a valid pointer.
    unsafe { id.write(fake(ctx).make_fence()) };
    0
}

unsafe extern "C" fn fence_signal(ctx: *mut c_void, id: u64) -> i32 {
    let known = fake(ctx).seen().fences.contains_key(&id);
    if known {
        fake(ctx).signal(id);
    }
    result(if known { Ok(()) } else { Err(Errno::ENOENT) })
}

unsafe extern "C" fn fence_wait(ctx: *mut c_void, id: u64, deadline: u64) -> i32 {
    let fake = fake(ctx);
    let mut seen = fake.seen();
    while !seen.signalled.contains(&id) {
        if seen.now >= deadline {
            return -Errno::ETIMEDOUT.0;
        }
        let woken = fake.changed.wait(seen);
        seen = woken.unwrap_or_else(PoisonError::into_inner);
    }
    0
}

unsafe extern "C" fn fence_put(ctx: *mut c_void, id: u64) -> i32 {
    match fake(ctx).seen().fences.get_mut(&id) {
        Some(uses) if *uses > 0 => {
            *uses -= 1;
            0
        }
        _ => -Errno::ENOENT.0,
    }
}

unsafe extern "C" fn file_create(
    ctx: *mut c_void,
    _node: u32,
    file: *mut c_void,
    cookie: *mut u64,
) -> i32 {
    let mut seen = fake(ctx).seen();
    let id = seen.id() + 1_000_000;
    seen.files.push((id, file as usize));
    // SAFETY: the caller gives a valid pointer.
    unsafe { cookie.write(id) };
    0
}

unsafe extern "C" fn vblank_base(_ctx: *mut c_void) -> u64 {
    1000
}

/// A device without hardware, for drivers that have none.
pub fn no_device() -> &'static DeviceV1 {
    unsafe extern "C" fn read(_: *mut c_void, _: u32, _: *mut u8, _: usize) -> i32 {
        -Errno::EIO.0
    }
    unsafe extern "C" fn write(_: *mut c_void, _: u32, _: *const u8, _: usize) -> i32 {
        -Errno::EIO.0
    }
    unsafe extern "C" fn info(_: *mut c_void, _: u32, _: *mut BarInfo) -> i32 {
        -Errno::EINVAL.0
    }
    unsafe extern "C" fn map(_: *mut c_void, _: u32, _: *mut *mut u8) -> i32 {
        -Errno::EINVAL.0
    }
    unsafe extern "C" fn bar_read(_: *mut c_void, _: u32, _: u64, _: *mut u8, _: usize) -> i32 {
        -Errno::EIO.0
    }
    unsafe extern "C" fn bar_write(_: *mut c_void, _: u32, _: u64, _: *const u8, _: usize) -> i32 {
        -Errno::EIO.0
    }
    unsafe extern "C" fn count(_: *mut c_void, _: u32) -> i32 {
        0
    }
    unsafe extern "C" fn enable(
        _: *mut c_void,
        _: u32,
        _: u32,
        _: unsafe extern "C" fn(*mut c_void, u32),
        _: *mut c_void,
    ) -> i32 {
        -Errno::EINVAL.0
    }
    unsafe extern "C" fn plain(_: *mut c_void) -> i32 {
        0
    }
    unsafe extern "C" fn alloc(_: *mut c_void, _: u64, _: u64, _: *mut DmaMap) -> i32 {
        -Errno::ENOMEM.0
    }
    unsafe extern "C" fn free(_: *mut c_void, _: u64) -> i32 {
        -Errno::EINVAL.0
    }
    let mut address = [0; 16];
    for (to, from) in address.iter_mut().zip(b"0000:00:02.0") {
        *to = *from;
    }
    Box::leak(Box::new(DeviceV1 {
        size: size_of::<DeviceV1>() as u32,
        abi_version: ABI_VERSION,
        ctx: core::ptr::null_mut(),
        address,
        id: PciId {
            vendor: 0x1234,
            device: 0x1111,
            subvendor: 0,
            subdevice: 0,
            class: 0,
            class_mask: 0,
        },
        revision: 0,
        reserved: 0,
        config_read: read,
        config_write: write,
        bar_info: info,
        bar_map: map,
        bar_read,
        bar_write,
        irq_count: count,
        irq_enable: enable,
        irq_disable: plain,
        dma_alloc: alloc,
        dma_free: free,
        reset: plain,
    }))
}
