// SPDX-License-Identifier: MIT
//! The forms of `stat`, today's and those of programs made for older glibc.

use super::{answer, guarded, text};
use crate::next::call_next;
use crate::{disguise, memory, raw};
use libc::stat64 as Status;
use libc::{AT_FDCWD, AT_SYMLINK_NOFOLLOW, c_char, c_int, c_uint};
use rustix::io::Errno;

fn stat_at(dir: c_int, path: *const c_char, stat: *mut Status, flags: c_int) -> c_int {
    let result = call_next!(FSTATAT(dir, path, stat, flags));
    if result == 0 {
        let _ = guarded(|| {
            // SAFETY: the kernel has read the one and written the other.
            let (path, stat) = unsafe { (text(path), &mut *stat) };
            match path.is_empty() {
                true => disguise::descriptor(dir, stat),
                false => disguise::path(dir, path, stat),
            }
            None::<Result<(), Errno>>
        });
    }
    result
}

fn stat_of(fd: c_int, stat: *mut Status) -> c_int {
    let result = guarded(|| {
        Some(raw::fstat(fd).and_then(|mut status| {
            disguise::descriptor(fd, &mut status);
            memory::store(stat as u64, &status)
        }))
    });
    answer(result.unwrap_or(Err(libc::EIO)).map(|()| 0), -1)
}

macro_rules! of_paths {
    ($($name:ident$(, $version:ident)?: $flags:expr;)*) => {
        $(
            /// libc's function of this name.
            ///
            /// # Safety
            /// As libc's.
            #[cfg_attr(not(test), unsafe(no_mangle))]
            pub unsafe extern "C" fn $name(
                $($version: c_int,)?
                path: *const c_char,
                stat: *mut Status,
            ) -> c_int {
                $(let _ = $version;)?
                stat_at(AT_FDCWD, path, stat, $flags)
            }
        )*
    };
}

of_paths! {
    stat: 0;
    stat64: 0;
    lstat: AT_SYMLINK_NOFOLLOW;
    lstat64: AT_SYMLINK_NOFOLLOW;
    __xstat, version: 0;
    __xstat64, version: 0;
    __lxstat, version: AT_SYMLINK_NOFOLLOW;
    __lxstat64, version: AT_SYMLINK_NOFOLLOW;
}

macro_rules! of_descriptors {
    ($($name:ident$(, $version:ident)?;)*) => {
        $(
            /// libc's function of this name.
            ///
            /// # Safety
            /// As libc's.
            #[cfg_attr(not(test), unsafe(no_mangle))]
            pub unsafe extern "C" fn $name(
                $($version: c_int,)?
                fd: c_int,
                stat: *mut Status,
            ) -> c_int {
                $(let _ = $version;)?
                stat_of(fd, stat)
            }
        )*
    };
}

of_descriptors! {
    fstat;
    fstat64;
    __fxstat, version;
    __fxstat64, version;
}

macro_rules! from_directories {
    ($($name:ident$(, $version:ident)?;)*) => {
        $(
            /// libc's function of this name.
            ///
            /// # Safety
            /// As libc's.
            #[cfg_attr(not(test), unsafe(no_mangle))]
            pub unsafe extern "C" fn $name(
                $($version: c_int,)?
                dir: c_int,
                path: *const c_char,
                stat: *mut Status,
                flags: c_int,
            ) -> c_int {
                $(let _ = $version;)?
                stat_at(dir, path, stat, flags)
            }
        )*
    };
}

from_directories! {
    fstatat;
    fstatat64;
    __fxstatat, version;
    __fxstatat64, version;
}

/// libc's `statx`.
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn statx(
    dir: c_int,
    path: *const c_char,
    flags: c_int,
    mask: c_uint,
    stat: *mut libc::statx,
) -> c_int {
    let result = call_next!(STATX(dir, path, flags, mask, stat));
    if result == 0 {
        let _ = guarded(|| {
            // SAFETY: the kernel has read the one and written the other. Newer kernels take a
            // null path for an empty one.
            let (path, stat) = unsafe {
                let path = if path.is_null() { c"" } else { text(path) };
                (path, &mut *stat)
            };
            disguise::extended(dir, path, stat);
            None::<Result<(), Errno>>
        });
    }
    result
}
