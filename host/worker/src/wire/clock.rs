// SPDX-License-Identifier: MIT
//! Monotonic time: the system's, or one that tests step.
//!
//! The page (little endian): 0 `mode` u32 (0 real, 1 stepped), 4 `seq` u32 (futex, goes up with
//! each step), 8 `now` u64 in nanoseconds. The host writes it; workers get a descriptor that they
//! can only read through.

use drvhost_channel::memory;
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::thread::futex;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering::{Acquire, Release, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicU64};

const PAGE: usize = 4096;

#[repr(C)]
struct Words {
    mode: AtomicU32,
    seq: AtomicU32,
    now: AtomicU64,
}

/// Nanoseconds of the system's monotonic clock.
pub fn monotonic() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// A clock as its readers see it.
#[derive(Debug)]
pub struct ClockReader {
    page: *mut u8,
    stepped: bool,
}

// SAFETY: the page is only read, through atomics, and stays mapped while the value lives.
unsafe impl Send for ClockReader {}
// SAFETY: as above.
unsafe impl Sync for ClockReader {}

impl ClockReader {
    /// Maps a clock's page for reading. `EINVAL` where it is not a sealed page.
    pub fn open(fd: impl AsFd) -> Result<ClockReader, Errno> {
        if memory::verify(&fd)? < PAGE as u64 {
            return Err(Errno::INVAL);
        }
        // SAFETY: a new mapping at an address of the kernel's choice.
        let page = unsafe {
            mmap(
                std::ptr::null_mut(),
                PAGE,
                ProtFlags::READ,
                MapFlags::SHARED,
                fd,
                0,
            )?
        };
        let mut reader = ClockReader {
            page: page.cast(),
            stepped: false,
        };
        // The mode never changes after the clock was made.
        reader.stepped = reader.words().mode.load(Acquire) != 0;
        Ok(reader)
    }

    fn words(&self) -> &Words {
        // SAFETY: the page is mapped while `self` lives, page-aligned, larger than `Words`, and
        // only accessed through atomics.
        unsafe { &*self.page.cast::<Words>() }
    }

    /// Whether tests step this clock.
    pub fn is_stepped(&self) -> bool {
        self.stepped
    }

    /// Nanoseconds.
    pub fn now(&self) -> u64 {
        if self.stepped {
            self.words().now.load(Acquire)
        } else {
            monotonic()
        }
    }

    /// The word that changes with each step.
    pub fn seq(&self) -> &AtomicU32 {
        &self.words().seq
    }
}

impl Drop for ClockReader {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing borrows from it beyond `self`.
        let _ = unsafe { munmap(self.page.cast(), PAGE) };
    }
}

/// A clock as the host has it.
#[derive(Debug)]
pub struct Clock {
    page: memory::Mapping,
    read_only: OwnedFd,
    reader: ClockReader,
}

impl Clock {
    /// The system's clock.
    pub fn real() -> Result<Clock, Errno> {
        Clock::new(0, 0)
    }

    /// A clock that stands at `start` nanoseconds until it is stepped.
    pub fn stepped(start: u64) -> Result<Clock, Errno> {
        Clock::new(1, start)
    }

    fn new(mode: u32, start: u64) -> Result<Clock, Errno> {
        use rustix::fs::{Mode, OFlags};
        use std::os::fd::AsRawFd;
        let fd = memory::sealed("drvhost-clock", PAGE as u64)?;
        let page = memory::Mapping::sealed(&fd, PAGE)?;
        // SAFETY: the page was just mapped, is aligned and large enough; only atomics touch it.
        let words = unsafe { &*page.as_ptr().cast::<Words>() };
        words.now.store(start, Release);
        words.mode.store(mode, Release);
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let read_only = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let reader = ClockReader::open(&read_only)?;
        Ok(Clock {
            page,
            read_only,
            reader,
        })
    }

    /// Nanoseconds.
    pub fn now(&self) -> u64 {
        self.reader.now()
    }

    /// The reading end, for waits in the host.
    pub fn reader(&self) -> &ClockReader {
        &self.reader
    }

    /// Whether it can be stepped.
    pub fn is_stepped(&self) -> bool {
        self.reader.stepped
    }

    /// What a worker maps.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.read_only.as_fd()
    }

    /// Steps a stepped clock forward by `ns` and wakes whoever waits on it; a real clock ignores
    /// it. Returns the new time.
    pub fn advance(&self, ns: u64) -> u64 {
        if !self.reader.stepped {
            return self.now();
        }
        // SAFETY: as in `new`.
        let words = unsafe { &*self.page.as_ptr().cast::<Words>() };
        let now = words.now.fetch_add(ns, SeqCst) + ns;
        words.seq.fetch_add(1, SeqCst);
        let _ = futex::wake(&words.seq, futex::Flags::empty(), u32::MAX >> 1);
        now
    }
}

/// Waits in the way of [`drvhost_abi::tables::HostV1::wait`].
pub fn wait(
    clock: &ClockReader,
    word: &AtomicU32,
    expected: u32,
    deadline: u64,
) -> Result<(), Errno> {
    if deadline == u64::MAX {
        // Woken, changed or interrupted: the caller looks again in every case.
        let _ = futex::wait(word, futex::Flags::empty(), expected, None);
        return Ok(());
    }
    if clock.stepped {
        return wait_stepped(clock, word, expected, deadline);
    }
    let now = monotonic();
    if now >= deadline {
        return Err(Errno::TIMEDOUT);
    }
    let left = timespec(deadline - now);
    match futex::wait(word, futex::Flags::empty(), expected, Some(&left)) {
        Err(Errno::TIMEDOUT) => Err(Errno::TIMEDOUT),
        _ => Ok(()),
    }
}

fn wait_stepped(
    clock: &ClockReader,
    word: &AtomicU32,
    expected: u32,
    deadline: u64,
) -> Result<(), Errno> {
    loop {
        let seq = clock.seq().load(SeqCst);
        if clock.now() >= deadline {
            return Err(Errno::TIMEDOUT);
        }
        if word.load(SeqCst) != expected {
            return Ok(());
        }
        let entries = [entry(word, expected), entry(clock.seq(), seq)];
        match futex::waitv(
            &entries,
            futex::WaitvFlags::empty(),
            None,
            futex::ClockId::Monotonic,
        ) {
            Ok(0) => return Ok(()),
            // A step, a change or a signal: look again.
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

fn entry(word: &AtomicU32, expected: u32) -> futex::Wait {
    let mut wait = futex::Wait::new();
    wait.val = u64::from(expected);
    wait.uaddr = futex::WaitPtr::new(word.as_ptr().cast());
    wait.flags = futex::WaitFlags::SIZE_U32;
    wait
}

/// A span of nanoseconds for the system.
pub fn timespec(ns: u64) -> rustix::time::Timespec {
    rustix::time::Timespec {
        tv_sec: i64::try_from(ns / 1_000_000_000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(ns % 1_000_000_000).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_stepped_clock_stands_and_wakes_waiters() {
        let clock = Arc::new(Clock::stepped(100).unwrap());
        assert_eq!(clock.now(), 100);
        let word = AtomicU32::new(0);
        assert_eq!(wait(clock.reader(), &word, 0, 100), Err(Errno::TIMEDOUT));
        assert_eq!(wait(clock.reader(), &word, 1, 200), Ok(()));
        let waiter = std::thread::spawn({
            let clock = clock.clone();
            move || {
                let word = AtomicU32::new(0);
                while wait(clock.reader(), &word, 0, 200).is_ok() {}
                clock.now()
            }
        });
        clock.advance(50);
        clock.advance(60);
        assert_eq!(waiter.join().unwrap(), 210);
    }

    #[test]
    fn workers_cannot_write_the_clock() {
        let clock = Clock::stepped(1).unwrap();
        let error = memory::Mapping::sealed(clock.fd(), PAGE).unwrap_err();
        assert_eq!(error, Errno::ACCESS);
        assert_eq!(ClockReader::open(clock.fd()).unwrap().now(), 1);
    }

    #[test]
    fn a_real_clock_runs() {
        let clock = Clock::real().unwrap();
        let word = AtomicU32::new(0);
        let deadline = clock.now() + 1_000_000;
        while wait(clock.reader(), &word, 0, deadline).is_ok() {}
        assert!(clock.now() >= deadline);
    }
}
