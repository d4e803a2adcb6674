// SPDX-License-Identifier: MIT
//! Which addresses are in the frames of our callers, so mapped and writable for as long as we run.
//!
//! Most arguments are there, and the kernel's checked copying takes as long as a fifth of a whole
//! call. What counts is only what is known for certain:
//! * the main stack, as the kernel names it;
//! * a thread's stack, which the thread's control block ends (x86-64 ABI, TLS variant II: libc
//!   puts the block at the top of a stack, also of one that the program gives).
//!
//! Not signal stacks, coroutines' or whatever else code may run on. Found once for each thread,
//! without libc: it may be in a signal handler that interrupted it.

use crate::raw;
use rustix::fs::{Mode, OFlags};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64, compiler_fence};

/// Farther above our own frame than this, in bytes, an address is not looked at: it is hardly a
/// caller's. What lies between: our frames, and a signal's.
const NEAR: u64 = 32 * 1024;
/// How often a thread may look: it must again where it runs deeper than it was known to.
const TRIES: u32 = 8;
const PAGE: u64 = 4096;

/// What a thread knows of its stack; at first, all zeros, nothing.
#[derive(Debug)]
#[repr(C)]
struct Known {
    // Its end is written last and cleared first: signal handlers read between.
    low: AtomicU64,
    high: AtomicU64,
    tries: AtomicU32,
}

// Thread-local in the way that needs no call to find ("initial exec"), so works in a signal
// handler. The language has no stable name for it.
#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    ".pushsection .tbss.drvhost_known_stack, \"awT\", @nobits",
    ".balign 8",
    ".hidden drvhost_known_stack",
    ".globl drvhost_known_stack",
    ".type drvhost_known_stack, @tls_object",
    ".size drvhost_known_stack, {size}",
    "drvhost_known_stack:",
    ".zero {size}",
    ".popsection",
    size = const size_of::<Known>(),
);

/// The thread's control block, and what it knows.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn of_thread() -> Option<(u64, *const Known)> {
    let (block, known): (u64, *const Known);
    // SAFETY: reads the block's pointer to itself (x86-64 ABI) and a slot of our own table.
    unsafe {
        std::arch::asm!(
            "mov {block}, qword ptr fs:[0]",
            "mov {known}, qword ptr [rip + drvhost_known_stack@GOTTPOFF]",
            "add {known}, {block}",
            block = out(reg) block,
            known = out(reg) known,
            options(pure, readonly, nostack)
        );
    }
    Some((block, known))
}

/// Elsewhere the kernel copies.
#[cfg(not(target_arch = "x86_64"))]
fn of_thread() -> Option<(u64, *const Known)> {
    None
}

/// Whether a range is in frames of our callers, on the stack that this thread runs on.
#[inline(always)]
pub fn contain(address: u64, len: usize) -> bool {
    let here = 0u8;
    let here = std::ptr::from_ref(&here) as u64;
    let Some(distance) = address.checked_sub(here) else {
        return false;
    };
    let end = address.saturating_add(len as u64);
    distance < NEAR && (is_known(here, end) || (look(here) && is_known(here, end)))
}

#[inline(always)]
fn is_known(here: u64, end: u64) -> bool {
    of_thread().is_some_and(|(_, known)| {
        // SAFETY: this thread's own, for as long as it lives.
        let known = unsafe { &*known };
        let high = known.high.load(Relaxed);
        compiler_fence(std::sync::atomic::Ordering::SeqCst);
        known.low.load(Relaxed) <= here && end <= high
    })
}

/// Looks now, where nothing stands in the way yet: a sandbox may forbid it later.
pub fn learn() {
    let here = 0u8;
    look(std::ptr::from_ref(&here) as u64);
}

/// Finds the stack that `here` is on. False: nothing new.
#[cold]
#[inline(never)]
fn look(here: u64) -> bool {
    let Some((block, known)) = of_thread() else {
        return false;
    };
    // SAFETY: this thread's own, for as long as it lives.
    let known = unsafe { &*known };
    let (low, high) = (known.low.load(Relaxed), known.high.load(Relaxed));
    let tries = known.tries.load(Relaxed);
    if (low..high).contains(&here) || tries >= TRIES {
        return false;
    }
    known.tries.store(tries + 1, Relaxed);
    let Some(stack) = mapping(here).and_then(|found| found.stack(here, block)) else {
        return false;
    };
    known.high.store(0, Relaxed);
    compiler_fence(std::sync::atomic::Ordering::SeqCst);
    known.low.store(stack.start, Relaxed);
    compiler_fence(std::sync::atomic::Ordering::SeqCst);
    known.high.store(stack.end, Relaxed);
    true
}

/// A mapping, as the kernel lists it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Found {
    start: u64,
    end: u64,
    /// Readable and writable.
    writable: bool,
    /// Neither.
    closed: bool,
    /// The kernel's own name for it is `[stack]`.
    main: bool,
    /// What lies right below is closed.
    guarded: bool,
}

impl Found {
    /// The part of it that is certainly the stack of the frame at `here`.
    fn stack(&self, here: u64, block: u64) -> Option<std::ops::Range<u64>> {
        if !self.writable {
            return None;
        }
        if self.main {
            return Some(self.start..self.end);
        }
        if !(here < block && block < self.end) || raw::on_signal_stack() {
            return None;
        }
        // Neighbours without a guard between them are one mapping to the kernel.
        let start = if self.guarded {
            self.start
        } else {
            here & !(PAGE - 1)
        };
        Some(start..block)
    }
}

/// The mapping that an address is in.
fn mapping(address: u64) -> Option<Found> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(c"/proc/self/maps", flags, Mode::empty()).ok()?;
    let mut lines = Lines::default();
    let mut buffer = [0; 512];
    loop {
        let count = match rustix::io::read(&file, &mut buffer) {
            Ok(0) => return None,
            Ok(count) => count,
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return None,
        };
        let mut found = buffer[..count].iter().filter_map(|byte| lines.push(*byte));
        if let Some(found) = found.find(|found| (found.start..found.end).contains(&address)) {
            return Some(found);
        }
    }
}

/// Reads `/proc/self/maps` (proc(5)) byte by byte: lines are as long as paths.
#[derive(Debug, Default)]
struct Lines {
    line: Found,
    before: Found,
    /// Spaces and dashes so far, up to the path.
    field: u32,
    in_space: bool,
    column: u32,
    /// How much of `[stack]` the path is.
    name: usize,
}

const MAIN: &[u8] = b"[stack]";

impl Lines {
    /// Takes a byte; gives a mapping at the end of its line.
    fn push(&mut self, byte: u8) -> Option<Found> {
        if byte == b'\n' {
            let mut line = self.line;
            line.main = self.name == MAIN.len();
            line.guarded = self.before.closed && self.before.end == line.start;
            *self = Lines {
                before: line,
                ..Lines::default()
            };
            return Some(line);
        }
        let separator = byte == b' ' && self.field < 6 || byte == b'-' && self.field == 0;
        if separator {
            self.in_space = true;
            return None;
        }
        if self.in_space {
            self.in_space = false;
            self.field += 1;
            self.column = 0;
        }
        match self.field {
            0 => self.line.start = digit(self.line.start, byte),
            1 => self.line.end = digit(self.line.end, byte),
            2 => self.permission(byte),
            6 if MAIN.get(self.name) == Some(&byte) => self.name += 1,
            6 => self.name = usize::MAX,
            _ => {}
        }
        self.column += 1;
        None
    }

    fn permission(&mut self, byte: u8) {
        match self.column {
            0 => (self.line.writable, self.line.closed) = (byte == b'r', byte == b'-'),
            1 => {
                self.line.writable &= byte == b'w';
                self.line.closed &= byte == b'-';
            }
            _ => {}
        }
    }
}

fn digit(value: u64, byte: u8) -> u64 {
    let digit = (byte as char).to_digit(16).unwrap_or(0);
    value << 4 | u64::from(digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
7f0000000000-7f0000001000 ---p 00000000 00:00 0 
7f0000001000-7f0000009000 rw-p 00000000 00:00 0 
7f0000009000-7f000000a000 r--p 00000000 08:01 1234    /a file [stack]
7f000000b000-7f000000c000 rw-p 00000000 00:00 0       [stack]x
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
";

    fn parsed() -> Vec<Found> {
        let mut lines = Lines::default();
        MAPS.bytes().filter_map(|byte| lines.push(byte)).collect()
    }

    #[test]
    fn lists_are_read() {
        let list = parsed();
        let ends: Vec<u64> = list.iter().map(|found| found.end).collect();
        let low = 0x7f00_0000_0000;
        let expected = [0x1000, 0x9000, 0xa000, 0xc000].map(|end| low + end);
        assert_eq!(ends[..4], expected);
        assert_eq!(ends[4..], [0x7ffc_0002_1000, 0xffff_ffff_ff60_1000]);
        let marks = |of: fn(&Found) -> bool| list.iter().map(of).collect::<Vec<_>>();
        let (no, yes) = (false, true);
        assert_eq!(marks(|found| found.main), [no, no, no, no, yes, no]);
        assert_eq!(marks(|found| found.guarded), [no, yes, no, no, no, no]);
        assert_eq!(marks(|found| found.writable), [no, yes, no, yes, yes, no]);
    }

    #[test]
    fn stacks_end_where_it_is_certain() {
        let list = parsed();
        let low = 0x7f00_0000_0000;
        let (here, block) = (low + 0x6010, low + 0x8900);
        assert_eq!(list[1].stack(here, block), Some(low + 0x1000..block));
        let bare = Found {
            guarded: false,
            ..list[1]
        };
        assert_eq!(bare.stack(here, block), Some(low + 0x6000..block));
        // The control block is elsewhere: no stack of libc's.
        assert_eq!(list[1].stack(here, low + 0xb800), None);
        assert_eq!(list[1].stack(here, low), None);
        let main = 0x7ffc_0000_0000..0x7ffc_0002_1000;
        assert_eq!(list[4].stack(main.start + 64, 0), Some(main));
        assert_eq!(list[2].stack(low + 0x9100, low + 0x9200), None);
    }

    /// In a frame below the test's.
    #[inline(never)]
    fn asked(address: u64, len: usize) -> bool {
        contain(address, len)
    }

    #[test]
    fn own_frames_are_found() {
        let value = [0u64; 4];
        let address = value.as_ptr() as u64;
        assert_eq!(asked(address, 32), cfg!(target_arch = "x86_64"));
        let heap = Box::new(0u64);
        assert!(!asked(std::ptr::from_ref(&*heap) as u64, 8));
        assert!(!asked(address, usize::MAX));
        assert!(!asked(0, 8));
    }
}
