// SPDX-License-Identifier: MIT
//! The progress page: what each thread of a worker is doing, for the host to look at.
//!
//! The worker writes, the host reads copies. A worker that lies here gains nothing that it could
//! not have by waiting for ever; calls that nobody seems to work on are found without it.

use drvhost_channel::memory::{Mapping, sealed};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

/// Threads of a worker that can be watched.
pub const MAX_THREADS: usize = 256;
const NAME: usize = 24;
const BYTES: usize = MAX_THREADS * size_of::<Entry>();

/// What a thread is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Role {
    /// Serves calls.
    Server,
    /// Runs an interrupt handler.
    Interrupt,
    /// Started by the driver.
    Driver,
}

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum State {
    /// Waits for something to do.
    Idle,
    /// Runs the driver's code.
    Running,
    /// Sleeps in the runtime until a deadline (`u64::MAX`: none).
    Waiting {
        /// Nanoseconds of the clock.
        deadline: u64,
    },
}

/// `cmd` of a thread that loads the plugin.
pub const CMD_LOAD: u32 = 1;
/// `cmd` of a thread that probes.
pub const CMD_PROBE: u32 = 2;
/// `cmd` of a thread that opens a node.
pub const CMD_OPEN: u32 = 3;
/// `cmd` of a thread that resolves a mapping.
pub const CMD_MMAP: u32 = 4;
/// `cmd` of a thread that closes a file.
pub const CMD_RELEASE: u32 = 5;

/// A thread as the host saw it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Thread {
    /// Its name.
    pub name: String,
    /// Its id with the system.
    pub tid: u32,
    /// What it is for.
    pub role: Role,
    /// What it does.
    pub state: State,
    /// Since when, in nanoseconds of the clock.
    pub since: u64,
    /// Goes up with each change.
    pub beat: u32,
    /// The ioctl number that it works on, or one of the `CMD_` values.
    pub cmd: u32,
}

#[repr(C)]
struct Entry {
    // 0 unused, 1 being set up, 2 idle, 3 running, 4 waiting
    state: AtomicU32,
    role: AtomicU32,
    beat: AtomicU32,
    cmd: AtomicU32,
    since: AtomicU64,
    deadline: AtomicU64,
    tid: AtomicU32,
    reserved: AtomicU32,
    name: [AtomicU8; NAME],
}

const UNUSED: u32 = 0;
const SETUP: u32 = 1;
const IDLE: u32 = 2;
const RUNNING: u32 = 3;
const WAITING: u32 = 4;

/// The page, mapped.
#[derive(Debug)]
pub struct Progress {
    map: Mapping,
}

impl Progress {
    /// Makes the page.
    pub fn create() -> Result<OwnedFd, Errno> {
        sealed("drvhost-progress", BYTES as u64)
    }

    /// Maps the page. `EINVAL` where the memory is not sealed or too small.
    pub fn open(fd: impl AsFd) -> Result<Progress, Errno> {
        Ok(Progress {
            map: Mapping::sealed(fd, BYTES)?,
        })
    }

    fn entries(&self) -> &[Entry] {
        // SAFETY: the mapping is page-aligned and holds MAX_THREADS entries; all access goes
        // through atomics, and any bytes are valid atomics.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().cast::<Entry>(), MAX_THREADS) }
    }

    /// The worker's: takes an entry. `None` when all are taken.
    pub fn enter(&self, name: &str, role: Role, now: u64) -> Option<Mark<'_>> {
        let entry = self.entries().iter().find(|entry| {
            entry.state.load(Relaxed) == UNUSED
                && entry
                    .state
                    .compare_exchange(UNUSED, SETUP, AcqRel, Relaxed)
                    .is_ok()
        })?;
        entry.role.store(role as u32, Relaxed);
        entry.tid.store(
            rustix::thread::gettid()
                .as_raw_nonzero()
                .get()
                .unsigned_abs(),
            Relaxed,
        );
        for (index, to) in entry.name.iter().enumerate() {
            to.store(name.as_bytes().get(index).copied().unwrap_or(0), Relaxed);
        }
        let mark = Mark { entry };
        mark.running(now, 0);
        Some(mark)
    }

    /// The host's: what all threads do now.
    pub fn threads(&self) -> Vec<Thread> {
        self.entries().iter().filter_map(Entry::look).collect()
    }
}

impl Entry {
    fn look(&self) -> Option<Thread> {
        let state = match self.state.load(Acquire) {
            IDLE => State::Idle,
            RUNNING => State::Running,
            WAITING => State::Waiting {
                deadline: self.deadline.load(Relaxed),
            },
            _ => return None,
        };
        let name: Vec<u8> = self.name.iter().map(|byte| byte.load(Relaxed)).collect();
        let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
        Some(Thread {
            name: String::from_utf8_lossy(name)
                .chars()
                .filter(|c| !c.is_control())
                .collect(),
            tid: self.tid.load(Relaxed),
            role: match self.role.load(Relaxed) {
                0 => Role::Server,
                1 => Role::Interrupt,
                _ => Role::Driver,
            },
            state,
            since: self.since.load(Relaxed),
            beat: self.beat.load(Relaxed),
            cmd: self.cmd.load(Relaxed),
        })
    }
}

/// A thread's own entry.
#[derive(Clone, Copy)]
pub struct Mark<'a> {
    entry: &'a Entry,
}

impl std::fmt::Debug for Mark<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Mark").field(&self.entry.look()).finish()
    }
}

impl Mark<'_> {
    // `since` goes before `state`, so that the host never pairs a new state with an old time.
    fn set(&self, state: u32, now: u64) {
        self.entry.since.store(now, Release);
        self.entry.beat.fetch_add(1, Relaxed);
        self.entry.state.store(state, Release);
    }

    /// It waits for something to do.
    pub fn idle(&self, now: u64) {
        self.entry.cmd.store(0, Relaxed);
        self.set(IDLE, now);
    }

    /// It runs the driver's code, for `cmd`.
    pub fn running(&self, now: u64, cmd: u32) {
        self.entry.cmd.store(cmd, Relaxed);
        self.set(RUNNING, now);
    }

    /// It goes on with what it did before it waited.
    pub fn resumed(&self, now: u64) {
        self.set(RUNNING, now);
    }

    /// It sleeps until a deadline.
    pub fn waiting(&self, now: u64, deadline: u64) {
        self.entry.deadline.store(deadline, Release);
        self.set(WAITING, now);
    }

    /// It ends.
    pub fn leave(&self) {
        self.entry.state.store(UNUSED, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_sees_what_threads_do() {
        let fd = Progress::create().unwrap();
        let (worker, host) = (Progress::open(&fd).unwrap(), Progress::open(&fd).unwrap());
        let mark = worker.enter("server", Role::Server, 5).unwrap();
        mark.running(10, 42);
        let seen = host.threads();
        assert_eq!(seen.len(), 1);
        assert_eq!(
            (seen[0].name.as_str(), seen[0].state),
            ("server", State::Running)
        );
        assert_eq!((seen[0].since, seen[0].cmd), (10, 42));
        mark.waiting(20, 30);
        assert_eq!(host.threads()[0].state, State::Waiting { deadline: 30 });
        mark.idle(25);
        assert_eq!(host.threads()[0].cmd, 0);
        mark.leave();
        assert!(host.threads().is_empty());
    }

    #[test]
    fn any_bytes_can_be_looked_at() {
        let fd = Progress::create().unwrap();
        let map = Mapping::sealed(&fd, BYTES).unwrap();
        for seed in 0..=255u8 {
            for at in 0..BYTES {
                // SAFETY: `at` lies in the mapping.
                unsafe {
                    map.as_ptr()
                        .add(at)
                        .write((at as u8).wrapping_mul(seed).wrapping_add(seed))
                };
            }
            let _ = Progress::open(&fd).unwrap().threads();
        }
    }
}
