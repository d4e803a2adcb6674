// SPDX-License-Identifier: MIT
//! The functions of libc that we replace, under their names.
//!
//! Each asks libc's own function where the matter may be none of ours:
//! * here `ioctl`, `read`, `mmap`;
//! * [`opens`], [`stats`]: the many forms of `open` and `stat`;
//! * [`signals`]: what could take the trap's signal away.

mod opens;
mod signals;
mod stats;

use crate::next::call_next;
use crate::raw::Mmap;
use crate::{call, events, map, raw};
use libc::{c_char, c_int, c_ulong, c_void, off64_t, size_t, ssize_t};
use rustix::io::Errno;
use std::ffi::CStr;

pub(crate) fn set_errno(errno: i32) {
    // SAFETY: this thread's own errno.
    unsafe { *libc::__errno_location() = errno };
}

pub(crate) fn get_errno() -> i32 {
    // SAFETY: this thread's own errno.
    unsafe { *libc::__errno_location() }
}

/// A result as C has it: -1 and `errno`. A panic would be a fault of ours: the program gets `EIO`.
fn guarded<T>(body: impl FnOnce() -> Option<Result<T, Errno>>) -> Option<Result<T, i32>> {
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
    match result {
        Ok(result) => result.map(|result| result.map_err(|error| error.raw_os_error())),
        Err(_) => Some(Err(libc::EIO)),
    }
}

fn answer<T>(result: Result<T, i32>, failed: T) -> T {
    result.unwrap_or_else(|errno| {
        set_errno(errno);
        failed
    })
}

/// A string that the kernel has read without complaint.
unsafe fn text<'a>(path: *const c_char) -> &'a CStr {
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(path) }
}

/// libc's `ioctl`.
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
    if (request >> 8) as u8 != b'd' {
        return call_next!(IOCTL(fd, request, argument));
    }
    let result = guarded(|| {
        call::ioctl(fd, request as u32, argument as u64).or_else(|| {
            // SAFETY: as libc's.
            let result = unsafe { raw::ioctl(fd, request, argument as usize) };
            Some(result.map(|value| value as i64))
        })
    });
    answer(
        result.unwrap_or(Err(libc::EIO)).map(|value| value as c_int),
        -1,
    )
}

/// libc's `read`.
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn read(fd: c_int, buffer: *mut c_void, len: size_t) -> ssize_t {
    match guarded(|| events::read(fd, buffer as usize, len)) {
        Some(result) => answer(result.map(|len| len as ssize_t), -1),
        None => call_next!(READ(fd, buffer, len)),
    }
}

/// glibc's checked `read`.
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn __read_chk(
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
    room: size_t,
) -> ssize_t {
    if len > room {
        // SAFETY: never returns; what glibc's own does.
        unsafe { libc::abort() };
    }
    // SAFETY: as libc's.
    unsafe { read(fd, buffer, len) }
}

/// libc's `mmap`.
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn mmap(
    addr: *mut c_void,
    length: size_t,
    prot: c_int,
    flags: c_int,
    fd: c_int,
    offset: off64_t,
) -> *mut c_void {
    let before = get_errno();
    let mapped = call_next!(MMAP(addr, length, prot, flags, fd, offset));
    // Sockets can't be mapped.
    if mapped != libc::MAP_FAILED || get_errno() != libc::ENODEV {
        return mapped;
    }
    let wish = Mmap {
        addr: addr as usize,
        length,
        prot,
        flags,
        fd,
        offset: offset as u64,
    };
    // SAFETY: as libc's.
    match guarded(|| unsafe { map::mmap(&wish) }) {
        None => mapped,
        Some(result) => {
            set_errno(before);
            answer(result.map(|addr| addr as *mut c_void), libc::MAP_FAILED)
        }
    }
}

/// libc's `mmap64`.
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn mmap64(
    addr: *mut c_void,
    length: size_t,
    prot: c_int,
    flags: c_int,
    fd: c_int,
    offset: off64_t,
) -> *mut c_void {
    // SAFETY: as libc's.
    unsafe { mmap(addr, length, prot, flags, fd, offset) }
}
