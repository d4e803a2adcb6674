// SPDX-License-Identifier: MIT
//! The host's table ([`HostV1`]) as a driver sees it. `ctx` is the [`Process`].

use super::{Process, threads};
use crate::wire::clock;
use crate::wire::message::Ask;
use crate::wire::progress::Role;
use drvhost_abi::tables::{BufferMap, HostV1};
use drvhost_abi::{ABI_VERSION, Errno};
use rustix::thread::futex;
use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::AtomicU32;

/// Makes the table.
pub(super) fn table(process: &'static Process) -> HostV1 {
    HostV1 {
        size: size_of::<HostV1>() as u32,
        abi_version: ABI_VERSION,
        ctx: std::ptr::from_ref(process).cast_mut().cast(),
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
    }
}

/// The process behind a table's `ctx`.
///
/// # Safety
/// `ctx` is the one that [`table`] or `device_table::table` put in.
pub(super) unsafe fn process(ctx: *mut c_void) -> &'static Process {
    // SAFETY: the caller's promise; a process is never freed and only shared.
    unsafe { &*ctx.cast::<Process>() }
}

pub(super) fn status(result: Result<(), Errno>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(errno) => -errno.0,
    }
}

/// Stores what came out well.
///
/// # Safety
/// `out` is valid for a write.
pub(super) unsafe fn store<T>(result: Result<T, Errno>, out: *mut T) -> i32 {
    status(result.map(|value| {
        // SAFETY: the caller's promise.
        unsafe { out.write(value) };
    }))
}

// In what follows the driver promises what the table's documentation asks of it: `ctx` is the
// table's, and pointers are valid for their lengths during the call. A driver that breaks this
// breaks its own process, which is what the process is for.

unsafe extern "C" fn log(
    ctx: *mut c_void,
    level: u32,
    target: *const u8,
    target_len: usize,
    text: *const u8,
    text_len: usize,
) {
    // SAFETY: the driver's promise (see above).
    let (process, target, text) = unsafe {
        (
            process(ctx),
            bytes(target, target_len),
            bytes(text, text_len),
        )
    };
    let level = u8::try_from(level).unwrap_or(5);
    process.log(
        level,
        &String::from_utf8_lossy(target),
        &String::from_utf8_lossy(text),
    );
}

/// # Safety
/// `ptr` is null or valid for `len` bytes while the result lives.
unsafe fn bytes<'a>(ptr: *const u8, len: usize) -> &'a [u8] {
    if ptr.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(ptr, len) }
}

/// # Safety
/// `ptr` is null or a C string that stays while the result lives.
unsafe fn text<'a>(ptr: *const c_char) -> &'a CStr {
    if ptr.is_null() {
        return c"";
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(ptr) }
}

unsafe extern "C" fn now(ctx: *mut c_void) -> u64 {
    // SAFETY: the driver's promise.
    unsafe { process(ctx) }.now()
}

unsafe extern "C" fn wait(ctx: *mut c_void, word: *const u32, expected: u32, deadline: u64) -> i32 {
    // SAFETY: the driver's promise: the word is aligned and stays during the call.
    let (process, word) = unsafe { (process(ctx), AtomicU32::from_ptr(word.cast_mut())) };
    let result = threads::waiting(process, deadline, || {
        clock::wait(&process.clock, word, expected, deadline)
    });
    match result {
        Ok(()) => 0,
        Err(error) => -error.raw_os_error(),
    }
}

unsafe extern "C" fn wake(_ctx: *mut c_void, word: *const u32, count: u32) {
    // SAFETY: the driver's promise, as in `wait`.
    let word = unsafe { AtomicU32::from_ptr(word.cast_mut()) };
    let _ = futex::wake(word, futex::Flags::empty(), count.min(u32::MAX >> 1));
}

/// A driver's thread function with its argument, on the way to the new thread.
struct Start {
    run: unsafe extern "C" fn(arg: *mut c_void),
    arg: *mut c_void,
}

// SAFETY: the ABI gives `arg` to the new thread.
unsafe impl Send for Start {}

unsafe extern "C" fn spawn(
    ctx: *mut c_void,
    name: *const c_char,
    run: unsafe extern "C" fn(arg: *mut c_void),
    arg: *mut c_void,
) -> i32 {
    // SAFETY: the driver's promise.
    let (process, name) = unsafe { (process(ctx), text(name).to_string_lossy()) };
    let start = Start { run, arg };
    let result = threads::spawn(process, &name, Role::Driver, move || {
        let start = start;
        // SAFETY: the driver gave function and argument for exactly this.
        unsafe { (start.run)(start.arg) };
    });
    status(result)
}

unsafe extern "C" fn param(ctx: *mut c_void, name: *const c_char) -> *const c_char {
    // SAFETY: the driver's promise.
    let (process, name) = unsafe { (process(ctx), text(name)) };
    let params = process.bound.get().map_or(&[][..], |bound| &bound.params);
    let found = params.iter().find(|(known, _)| known.as_c_str() == name);
    found.map_or(std::ptr::null(), |(_, value)| value.as_ptr())
}

unsafe extern "C" fn firmware(
    ctx: *mut c_void,
    name: *const c_char,
    data: *mut *const u8,
    len: *mut usize,
) -> i32 {
    // SAFETY: the driver's promise.
    let (process, name) = unsafe { (process(ctx), text(name).to_string_lossy().into_owned()) };
    let result = map_firmware(process, name).map(|(ptr, size)| {
        // SAFETY: the driver's promise: both are valid for a write.
        unsafe {
            data.write(ptr);
            len.write(size);
        }
    });
    status(result)
}

/// Maps a firmware file for as long as the process lives.
fn map_firmware(process: &Process, name: String) -> Result<(*const u8, usize), Errno> {
    let (reply, fd) = process.ask_fd(Ask::Firmware { name })?;
    let size = usize::try_from(reply.size).map_err(|_| Errno::ENOMEM)?;
    if size == 0 {
        return Ok((std::ptr::null(), 0));
    }
    use rustix::mm::{MapFlags, ProtFlags, mmap};
    // SAFETY: a new mapping at an address of the kernel's choice; private, so that nobody
    // changes it, and never unmapped.
    let mapped = unsafe {
        mmap(
            std::ptr::null_mut(),
            size,
            ProtFlags::READ,
            MapFlags::PRIVATE,
            &fd,
            0,
        )
    };
    let pointer = mapped.map_err(|error| Errno(error.raw_os_error()))?;
    Ok((pointer.cast_const().cast(), size))
}

unsafe extern "C" fn post_event(ctx: *mut c_void, cookie: u64, data: *const u8, len: usize) -> i32 {
    // SAFETY: the driver's promise.
    let (process, data) = unsafe { (process(ctx), bytes(data, len)) };
    status(process.post_event(cookie, data))
}

unsafe extern "C" fn hotplug(ctx: *mut c_void) {
    // SAFETY: the driver's promise.
    let process = unsafe { process(ctx) };
    process
        .control
        .send(&crate::wire::message::FromWorker::Hotplug);
}

unsafe extern "C" fn buffer_create(ctx: *mut c_void, size: u64, out: *mut BufferMap) -> i32 {
    // SAFETY: the driver's promise.
    unsafe { store(process(ctx).buffer_create(size).map(|(map, _)| map), out) }
}

unsafe extern "C" fn buffer_open(ctx: *mut c_void, id: u64, out: *mut BufferMap) -> i32 {
    // SAFETY: the driver's promise.
    unsafe { store(process(ctx).buffer_open(id), out) }
}

unsafe extern "C" fn buffer_put(ctx: *mut c_void, id: u64) -> i32 {
    // SAFETY: the driver's promise; no pointer into the mapping is used after its last put.
    status(unsafe { process(ctx) }.buffer_put(id))
}

unsafe extern "C" fn fence_create(ctx: *mut c_void, id: *mut u64) -> i32 {
    // SAFETY: the driver's promise.
    unsafe { store(process(ctx).fence_create(), id) }
}

unsafe extern "C" fn fence_signal(ctx: *mut c_void, id: u64) -> i32 {
    // SAFETY: the driver's promise.
    status(unsafe { process(ctx) }.fence_signal(id))
}

unsafe extern "C" fn fence_wait(ctx: *mut c_void, id: u64, deadline: u64) -> i32 {
    // SAFETY: the driver's promise.
    status(unsafe { process(ctx) }.fence_wait(id, deadline))
}

unsafe extern "C" fn fence_put(ctx: *mut c_void, id: u64) -> i32 {
    // SAFETY: the driver's promise.
    status(unsafe { process(ctx) }.fence_put(id))
}

unsafe extern "C" fn file_create(
    ctx: *mut c_void,
    node: u32,
    file: *mut c_void,
    cookie: *mut u64,
) -> i32 {
    // SAFETY: the driver's promise.
    unsafe { store(process(ctx).file_create(node, file), cookie) }
}

unsafe extern "C" fn vblank_base(ctx: *mut c_void) -> u64 {
    // SAFETY: the driver's promise.
    unsafe { process(ctx) }
        .bound
        .get()
        .map_or(0, |bound| bound.vblank_base)
}
