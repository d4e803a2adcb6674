// SPDX-License-Identifier: MIT
//! Threads that the host watches: each has an entry in the progress page and a stack for faults.

use super::{Process, fault};
use crate::wire::progress::{MAX_THREADS, Mark, Role};
use drvhost_abi::Errno;
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the current thread works for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Current {
    /// Cookie of the file that the call is on, or zero.
    pub(super) file: u64,
    /// The buffer that a replayed `buffer_create` gives, or zero.
    pub(super) buffer: u64,
}

thread_local! {
    static MARK: Cell<Option<Mark<'static>>> = const { Cell::new(None) };
    static CURRENT: Cell<Current> = const { Cell::new(Current { file: 0, buffer: 0 }) };
}

/// What the current thread works for.
pub(super) fn current() -> Current {
    CURRENT.get()
}

/// Says what the current thread works for.
pub(super) fn set_current(current: Current) {
    CURRENT.set(current);
}

/// Takes an entry for the current thread; `f` runs watched.
pub(super) fn watched<T>(
    process: &'static Process,
    name: &str,
    role: Role,
    f: impl FnOnce() -> T,
) -> T {
    let _stack = fault::Stack::install();
    let mark = process.progress.enter(name, role, process.now());
    MARK.set(mark);
    let result = f();
    MARK.set(None);
    if let Some(mark) = mark {
        mark.leave();
    }
    result
}

/// Threads now; each needs an entry in the progress page.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Starts a watched thread. `EAGAIN`: there are too many.
pub(super) fn spawn(
    process: &'static Process,
    name: &str,
    role: Role,
    f: impl FnOnce() + Send + 'static,
) -> Result<(), Errno> {
    // One entry is the main thread's.
    if COUNT.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_THREADS {
        COUNT.fetch_sub(1, Ordering::Relaxed);
        return Err(Errno::EAGAIN);
    }
    let own_name = name.to_string();
    let started = std::thread::Builder::new()
        .name(own_name.clone())
        .spawn(move || {
            watched(process, &own_name, role, f);
            COUNT.fetch_sub(1, Ordering::Relaxed);
        });
    started.map(drop).map_err(|_| {
        COUNT.fetch_sub(1, Ordering::Relaxed);
        Errno::EAGAIN
    })
}

/// The current thread has nothing to do.
pub(super) fn idle(process: &Process) {
    if let Some(mark) = MARK.get() {
        mark.idle(process.now());
    }
}

/// The current thread runs the driver's code for `cmd`; gives the time.
pub(super) fn running(process: &Process, cmd: u32) -> u64 {
    let now = process.now();
    if let Some(mark) = MARK.get() {
        mark.running(now, cmd);
    }
    now
}

/// Runs `f`, which sleeps until a deadline (`u64::MAX`: none).
pub(super) fn waiting<T>(process: &Process, deadline: u64, f: impl FnOnce() -> T) -> T {
    let mark = MARK.get();
    if let Some(mark) = mark {
        mark.waiting(process.now(), deadline);
    }
    let result = f();
    if let Some(mark) = mark {
        mark.resumed(process.now());
    }
    result
}
