// SPDX-License-Identifier: MIT
//! libc's own functions, behind the ones we replace.

use std::ffi::CStr;
use std::ptr::null_mut;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::Relaxed;

/// One function of libc's, looked up once.
#[derive(Debug)]
pub struct Next {
    name: &'static CStr,
    found: AtomicPtr<libc::c_void>,
}

impl Next {
    const fn new(name: &'static CStr) -> Next {
        Next {
            name,
            found: AtomicPtr::new(null_mut()),
        }
    }

    /// The address. `None`: this libc has none of that name.
    pub fn address(&self) -> Option<*mut libc::c_void> {
        let mut found = self.found.load(Relaxed);
        if found.is_null() {
            // SAFETY: a constant name; RTLD_NEXT looks behind this library.
            found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
            self.found.store(found, Relaxed);
        }
        (!found.is_null()).then_some(found)
    }
}

macro_rules! functions {
    ($($name:ident: fn($($arg:ty),*) -> $result:ty, $symbol:literal;)*) => {
        $(
            #[doc = concat!("libc's `", stringify!($name), "`.")]
            pub static $name: Next = Next::new($symbol);
        )*

        const ALL: &[&Next] = &[$(&$name),*];

        /// The functions' types.
        pub mod types {
            use libc::{c_char, c_int, c_uint, c_ulong, c_void};
            use libc::{mode_t, off64_t, size_t, ssize_t};

            $(
                #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
                pub type $name = unsafe extern "C" fn($($arg),*) -> $result;
            )*
        }
    };
}

functions! {
    OPENAT: fn(c_int, *const c_char, c_int, mode_t) -> c_int, c"openat";
    IOCTL: fn(c_int, c_ulong, *mut c_void) -> c_int, c"ioctl";
    READ: fn(c_int, *mut c_void, size_t) -> ssize_t, c"read";
    MMAP: fn(*mut c_void, size_t, c_int, c_int, c_int, off64_t) -> *mut c_void, c"mmap";
    FSTATAT: fn(c_int, *const c_char, *mut libc::stat64, c_int) -> c_int, c"fstatat";
    STATX: fn(c_int, *const c_char, c_int, c_uint, *mut libc::statx) -> c_int, c"statx";
    SIGACTION: fn(c_int, *const libc::sigaction, *mut libc::sigaction) -> c_int, c"sigaction";
    SIGNAL: fn(c_int, libc::sighandler_t) -> libc::sighandler_t, c"signal";
    SIGPROCMASK: fn(c_int, *const libc::sigset_t, *mut libc::sigset_t) -> c_int, c"sigprocmask";
    PTHREAD_SIGMASK: fn(c_int, *const libc::sigset_t, *mut libc::sigset_t) -> c_int, c"pthread_sigmask";
}

/// Looks all of them up, so that none is first looked up inside a signal handler.
pub fn resolve() {
    for next in ALL {
        next.address();
    }
}

/// Calls libc's function; -1 with `ENOSYS` where there is none.
macro_rules! call_next {
    ($name:ident($($arg:expr),*)) => {
        match $crate::next::$name.address() {
            Some(address) => {
                // SAFETY: libc's function of that name has that type; arguments are the program's.
                unsafe {
                    let function: $crate::next::types::$name = std::mem::transmute(address);
                    function($($arg),*)
                }
            }
            None => {
                $crate::exports::set_errno(libc::ENOSYS);
                -1isize as _
            }
        }
    };
}
pub(crate) use call_next;
