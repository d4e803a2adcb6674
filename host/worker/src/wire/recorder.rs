// SPDX-License-Identifier: MIT
//! The flight recorder: the last ioctls and register accesses of a worker, its modules, and the
//! registers and addresses of a crash. The worker writes it; the host reads a copy afterwards.
//!
//! Everything is `u64` words, written with relaxed atomics: a record that is cut off by a crash
//! is still words. A signal handler can write it.

use drvhost_channel::memory::{Mapping, sealed};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Ioctls that are kept.
pub const CALLS: usize = 64;
/// Register accesses that are kept.
pub const ACCESSES: usize = 256;
/// Modules that are kept.
pub const MODULES: usize = 16;
/// Registers of a crash: those of x86-64 in the order of [`REGISTER_NAMES`].
pub const REGISTERS: usize = 18;
/// Addresses of a crash's stack that are kept.
pub const FRAMES: usize = 64;

/// Names of the registers, in the order of the record.
pub const REGISTER_NAMES: [&str; REGISTERS] = [
    "rip", "rsp", "rbp", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
    "r13", "r14", "r15", "eflags",
];

const UNDER_WAY: u64 = 1 << 63;

#[repr(C)]
struct Words {
    calls_next: AtomicU64,
    calls: [[AtomicU64; 4]; CALLS],
    accesses_next: AtomicU64,
    accesses: [[AtomicU64; 3]; ACCESSES],
    modules: [[AtomicU64; 3]; MODULES],
    crash: CrashWords,
}

#[repr(C)]
struct CrashWords {
    // 0 none, 1 registers written, 2 complete
    state: AtomicU64,
    signal: AtomicU64,
    code: AtomicU64,
    address: AtomicU64,
    tid: AtomicU64,
    registers: [AtomicU64; REGISTERS],
    frames_len: AtomicU64,
    frames: [AtomicU64; FRAMES],
}

/// One ioctl.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct CallRecord {
    /// The full ioctl number.
    pub cmd: u32,
    /// The file's cookie.
    pub file: u64,
    /// When it began, in nanoseconds of the clock.
    pub at: u64,
    /// What came of it; `None`: it was under way.
    pub result: Option<i64>,
}

/// One access to a BAR through the device's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AccessRecord {
    /// Which BAR.
    pub bar: u8,
    /// Bytes.
    pub width: u8,
    /// A write.
    pub write: bool,
    /// Whether the device did it.
    pub ok: bool,
    /// Offset in bytes.
    pub offset: u64,
    /// What was read or written; for long accesses the first eight bytes.
    pub value: u64,
}

/// Where a module was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ModuleRecord {
    /// What it is.
    pub module: Module,
    /// Address that offset zero of the file's addresses has.
    pub base: u64,
    /// End.
    pub end: u64,
}

/// The modules of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[repr(u64)]
pub enum Module {
    /// The worker's own executable.
    Worker = 1,
    /// The driver.
    Driver = 2,
    /// libkpi.so.
    Kpi = 3,
    /// The C library and what comes with it.
    System = 4,
}

/// What the signal handler wrote.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct CrashRecord {
    /// Signal number.
    pub signal: i32,
    /// `si_code`.
    pub code: i32,
    /// The address that the fault was about.
    pub address: u64,
    /// The thread.
    pub tid: u32,
    /// In the order of [`REGISTER_NAMES`].
    pub registers: [u64; REGISTERS],
    /// Return addresses, innermost first.
    pub frames: Vec<u64>,
}

/// The recorder's memory, mapped.
#[derive(Debug)]
pub struct Recorder {
    map: Mapping,
}

impl Recorder {
    /// Makes the memory.
    pub fn create() -> Result<OwnedFd, Errno> {
        sealed(
            "drvhost-recorder",
            size_of::<Words>().next_multiple_of(4096) as u64,
        )
    }

    /// Maps the memory. `EINVAL` where it is not sealed or too small.
    pub fn open(fd: impl AsFd) -> Result<Recorder, Errno> {
        Ok(Recorder {
            map: Mapping::sealed(fd, size_of::<Words>())?,
        })
    }

    fn words(&self) -> &Words {
        // SAFETY: page-aligned, large enough, and words of any value are valid atomics.
        unsafe { &*self.map.as_ptr().cast::<Words>() }
    }

    /// An ioctl begins; gives the record to be ended.
    pub fn call_begins(&self, cmd: u32, file: u64, at: u64) -> usize {
        let words = self.words();
        let index = words.calls_next.fetch_add(1, Relaxed) as usize % CALLS;
        let record = &words.calls[index];
        record[0].store(u64::from(cmd) | UNDER_WAY, Relaxed);
        record[1].store(file, Relaxed);
        record[2].store(at, Relaxed);
        index
    }

    /// An ioctl ended.
    pub fn call_ends(&self, index: usize, result: i64) {
        if let Some(record) = self.words().calls.get(index) {
            record[3].store(result.cast_unsigned(), Relaxed);
            record[0].fetch_and(!UNDER_WAY, Release);
        }
    }

    /// A register was accessed.
    pub fn access(&self, record: AccessRecord) {
        let words = self.words();
        let index = words.accesses_next.fetch_add(1, Relaxed) as usize % ACCESSES;
        let to = &words.accesses[index];
        let head = u64::from(record.bar)
            | u64::from(record.width) << 8
            | u64::from(record.write) << 16
            | u64::from(record.ok) << 17;
        to[0].store(head, Relaxed);
        to[1].store(record.offset, Relaxed);
        to[2].store(record.value, Relaxed);
    }

    /// Notes where modules are; those that do not fit are left out.
    pub fn set_modules(&self, modules: &[ModuleRecord]) {
        for (to, from) in self.words().modules.iter().zip(modules) {
            to[1].store(from.base, Relaxed);
            to[2].store(from.end, Relaxed);
            to[0].store(from.module as u64, Relaxed);
        }
    }

    /// A fatal signal came: who and what. Safe in a signal handler. `false`: another thread was
    /// first.
    pub fn crash_begins(&self, record: &CrashRecord) -> bool {
        let crash = &self.words().crash;
        if crash
            .state
            .compare_exchange(0, 1, Acquire, Relaxed)
            .is_err()
        {
            return false;
        }
        crash
            .signal
            .store(u64::from(record.signal.cast_unsigned()), Relaxed);
        crash
            .code
            .store(u64::from(record.code.cast_unsigned()), Relaxed);
        crash.address.store(record.address, Relaxed);
        crash.tid.store(u64::from(record.tid), Relaxed);
        for (to, from) in crash.registers.iter().zip(record.registers) {
            to.store(from, Relaxed);
        }
        true
    }

    /// One more address of the stack; `false` when there is no more room.
    pub fn crash_frame(&self, address: u64) -> bool {
        let crash = &self.words().crash;
        let index = crash.frames_len.load(Relaxed) as usize;
        let Some(to) = crash.frames.get(index) else {
            return false;
        };
        to.store(address, Relaxed);
        crash.frames_len.store(index as u64 + 1, Release);
        true
    }

    /// The last ioctls, oldest first.
    pub fn calls(&self) -> Vec<CallRecord> {
        let words = self.words();
        in_order(words.calls_next.load(Acquire), &words.calls)
            .map(|record| {
                let head = record[0].load(Acquire);
                CallRecord {
                    cmd: head as u32,
                    file: record[1].load(Relaxed),
                    at: record[2].load(Relaxed),
                    result: (head & UNDER_WAY == 0).then(|| record[3].load(Relaxed).cast_signed()),
                }
            })
            .collect()
    }

    /// The last register accesses, oldest first.
    pub fn accesses(&self) -> Vec<AccessRecord> {
        let words = self.words();
        in_order(words.accesses_next.load(Acquire), &words.accesses)
            .map(|record| {
                let head = record[0].load(Relaxed);
                AccessRecord {
                    bar: head as u8,
                    width: (head >> 8) as u8,
                    write: head >> 16 & 1 != 0,
                    ok: head >> 17 & 1 != 0,
                    offset: record[1].load(Relaxed),
                    value: record[2].load(Relaxed),
                }
            })
            .collect()
    }

    /// The modules.
    pub fn modules(&self) -> Vec<ModuleRecord> {
        let all = [Module::Worker, Module::Driver, Module::Kpi, Module::System];
        self.words()
            .modules
            .iter()
            .filter_map(|record| {
                let kind = record[0].load(Relaxed);
                Some(ModuleRecord {
                    module: *all.iter().find(|module| **module as u64 == kind)?,
                    base: record[1].load(Relaxed),
                    end: record[2].load(Relaxed),
                })
            })
            .collect()
    }

    /// What the signal handler wrote, if it ran.
    pub fn crash(&self) -> Option<CrashRecord> {
        let crash = &self.words().crash;
        if crash.state.load(Acquire) == 0 {
            return None;
        }
        let len = (crash.frames_len.load(Acquire) as usize).min(FRAMES);
        Some(CrashRecord {
            signal: crash.signal.load(Relaxed) as i32,
            code: crash.code.load(Relaxed) as i32,
            address: crash.address.load(Relaxed),
            tid: crash.tid.load(Relaxed) as u32,
            registers: std::array::from_fn(|index| crash.registers[index].load(Relaxed)),
            frames: crash
                .frames
                .iter()
                .take(len)
                .map(|word| word.load(Relaxed))
                .collect(),
        })
    }
}

/// The filled entries of a ring whose next entry has the number `next`, oldest first.
fn in_order<T>(next: u64, ring: &[T]) -> impl Iterator<Item = &T> {
    let len = ring.len();
    let at = (next % len as u64) as usize;
    let (newer, older) = ring.split_at(at);
    let older = if next >= len as u64 { older } else { &[] };
    older.iter().chain(newer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder() -> Recorder {
        Recorder::open(Recorder::create().unwrap()).unwrap()
    }

    #[test]
    fn keeps_the_last_calls_in_order() {
        let recorder = recorder();
        assert!(recorder.calls().is_empty());
        for cmd in 0..CALLS as u32 + 3 {
            let index = recorder.call_begins(cmd, 7, u64::from(cmd));
            if cmd % 2 == 0 {
                recorder.call_ends(index, -22);
            }
        }
        let calls = recorder.calls();
        assert_eq!(calls.len(), CALLS);
        assert_eq!((calls[0].cmd, calls[0].result), (3, None));
        let last = calls[CALLS - 1];
        assert_eq!(
            (last.cmd, last.file, last.result),
            (CALLS as u32 + 2, 7, Some(-22))
        );
    }

    #[test]
    fn keeps_accesses_modules_and_a_crash() {
        let recorder = recorder();
        let access = AccessRecord {
            bar: 2,
            width: 4,
            write: true,
            ok: false,
            offset: 8,
            value: 9,
        };
        recorder.access(access);
        assert_eq!(recorder.accesses(), [access]);
        let module = ModuleRecord {
            module: Module::Driver,
            base: 0x1000,
            end: 0x2000,
        };
        recorder.set_modules(&[module]);
        assert_eq!(recorder.modules(), [module]);
        assert_eq!(recorder.crash(), None);
        let mut crash = CrashRecord {
            signal: 11,
            code: 1,
            address: 0x10,
            tid: 5,
            registers: std::array::from_fn(|index| index as u64),
            frames: Vec::new(),
        };
        assert!(recorder.crash_begins(&crash));
        assert!(!recorder.crash_begins(&crash));
        for frame in 0..FRAMES as u64 {
            assert!(recorder.crash_frame(frame));
            crash.frames.push(frame);
        }
        assert!(!recorder.crash_frame(0));
        assert_eq!(recorder.crash(), Some(crash));
    }

    #[test]
    fn any_bytes_can_be_looked_at() {
        let fd = Recorder::create().unwrap();
        let map = Mapping::sealed(&fd, size_of::<Words>()).unwrap();
        for seed in [1u8, 3, 127, 255] {
            for at in 0..map.len() {
                // SAFETY: `at` lies in the mapping.
                unsafe {
                    map.as_ptr()
                        .add(at)
                        .write((at as u8).wrapping_mul(seed) | 1)
                };
            }
            let recorder = Recorder::open(&fd).unwrap();
            let _ = (
                recorder.calls(),
                recorder.accesses(),
                recorder.modules(),
                recorder.crash(),
            );
        }
    }
}
