// SPDX-License-Identifier: MIT
//! The forms of `open`.

use super::{answer, get_errno, guarded, text};
use crate::next::call_next;
use crate::open;
use libc::{c_char, c_int, mode_t};
use rustix::io::Errno;

fn after_open(fd: c_int, dir: c_int, path: *const c_char, flags: c_int) -> c_int {
    if fd >= 0 {
        return fd;
    }
    let refusal = Errno::from_raw_os_error(get_errno());
    if !open::worth_a_look(refusal) {
        return fd;
    }
    let opened = guarded(|| {
        // SAFETY: had the kernel not been able to read it, the error would be another.
        let path = unsafe { text(path) };
        Some(open::after_refusal(refusal, dir, path, flags))
    });
    answer(opened.unwrap_or(Err(refusal.raw_os_error())), -1)
}

macro_rules! opens {
    ($($name:ident($($dir:ident)?; $($mode:ident)?);)*) => {
        $(
            /// libc's function of this name.
            ///
            /// # Safety
            /// As libc's.
            #[cfg_attr(not(test), unsafe(no_mangle))]
            pub unsafe extern "C" fn $name(
                $($dir: c_int,)?
                path: *const c_char,
                flags: c_int,
                $($mode: mode_t,)?
            ) -> c_int {
                let dir = libc::AT_FDCWD;
                $(let dir = { let _ = dir; $dir };)?
                let mode: mode_t = 0;
                $(let mode = { let _ = mode; $mode };)?
                let fd = call_next!(OPENAT(dir, path, flags, mode));
                after_open(fd, dir, path, flags)
            }
        )*
    };
}

opens! {
    open(; mode);
    open64(; mode);
    __open_2(;);
    __open64_2(;);
    openat(dir; mode);
    openat64(dir; mode);
    __openat_2(dir;);
    __openat64_2(dir;);
}
