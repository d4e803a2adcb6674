// SPDX-License-Identifier: MIT
//! For programs that make system calls by themselves (Rust on rustix, Go): a seccomp filter traps
//! the few that could be for our nodes, and the signal handler answers them.
//!
//! * [`filter`]: which calls are trapped;
//! * [`handler`]: answering one;
//! * [`stack`]: room for that, wherever the program's stack ends.
//!
//! Limits: calls from the program's own code alone are seen, not from its libraries'. Without
//! CAP_SYS_ADMIN, a filter needs `no_new_privs`: setuid programs that the program starts then run
//! without their privileges. A raw `read` needs no trap: one message is one event.

#[cfg(target_arch = "x86_64")]
mod filter;
#[cfg(target_arch = "x86_64")]
mod handler;
#[cfg(target_arch = "x86_64")]
mod stack;

#[cfg(target_arch = "x86_64")]
pub use handler::{install, is_installed, programs_action};

#[cfg(not(target_arch = "x86_64"))]
mod absent {
    /// There is no handler for this machine: only calls through libc are seen.
    pub fn install() {}

    pub fn is_installed() -> bool {
        false
    }

    pub fn programs_action(new: Option<libc::sigaction>) -> libc::sigaction {
        // SAFETY: all zeros are the default action.
        new.unwrap_or(unsafe { std::mem::zeroed() })
    }
}
#[cfg(not(target_arch = "x86_64"))]
pub use absent::{install, is_installed, programs_action};
