// SPDX-License-Identifier: MIT
//! SIGSYS is the trap's: a program may ask for it, but neither replace nor block it.

use super::{answer, guarded};
use crate::next::call_next;
use crate::trap;
use libc::{SIGSYS, c_int, sighandler_t, sigset_t};

/// libc's `sigaction`.
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn sigaction(
    signal: c_int,
    new: *const libc::sigaction,
    old: *mut libc::sigaction,
) -> c_int {
    if signal != SIGSYS || !trap::is_installed() {
        return call_next!(SIGACTION(signal, new, old));
    }
    let result = guarded(|| {
        // SAFETY: as libc's: each is null or good.
        let previous = unsafe { trap::programs_action(new.as_ref().copied()) };
        if !old.is_null() {
            // SAFETY: as above.
            unsafe { *old = previous };
        }
        Some(Ok(0))
    });
    answer(result.unwrap_or(Err(libc::EIO)), -1)
}

/// libc's `signal`.
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn signal(signal: c_int, handler: sighandler_t) -> sighandler_t {
    if signal != SIGSYS || !trap::is_installed() {
        return call_next!(SIGNAL(signal, handler));
    }
    let result = guarded(|| {
        // SAFETY: all zeros are an action without flags or mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler;
        Some(Ok(trap::programs_action(Some(action)).sa_sigaction))
    });
    answer(result.unwrap_or(Err(libc::EIO)), libc::SIG_ERR)
}

/// A mask without SIGSYS: the kernel kills whom the trap meets with it blocked.
fn without_trap(how: c_int, set: *const sigset_t) -> Option<sigset_t> {
    if set.is_null() || how == libc::SIG_UNBLOCK || !trap::is_installed() {
        return None;
    }
    // SAFETY: not null, so as libc's a good one; the copy is our own.
    unsafe {
        let mut copy = *set;
        (libc::sigismember(&copy, SIGSYS) == 1).then(|| {
            libc::sigdelset(&mut copy, SIGSYS);
            copy
        })
    }
}

macro_rules! masks {
    ($($name:ident = $next:ident;)*) => {
        $(
            /// libc's function of this name.
            ///
            /// # Safety
            /// As libc's.
            #[cfg_attr(not(test), unsafe(no_mangle))]
            pub unsafe extern "C" fn $name(
                how: c_int,
                set: *const sigset_t,
                old: *mut sigset_t,
            ) -> c_int {
                match without_trap(how, set) {
                    Some(set) => call_next!($next(how, &set, old)),
                    None => call_next!($next(how, set, old)),
                }
            }
        )*
    };
}

masks! {
    sigprocmask = SIGPROCMASK;
    pthread_sigmask = PTHREAD_SIGMASK;
}
