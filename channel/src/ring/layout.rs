// SPDX-License-Identifier: MIT
//! The ring's memory: making it, opening it, and access to its words and bytes.

use crate::memory::{Mapping, sealed};
use drvhost_abi::tables::ObjectRef;
use rustix::io::Errno;
use rustix::thread::futex;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::AtomicU32;
use std::time::Duration;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// Bytes of payload of one call, at most.
pub const MAX_PAYLOAD: usize = 1 << 20;
/// Objects of one call, at most.
pub const MAX_OBJECTS: usize = 32;
/// Where the payload begins in a slot.
pub const PAYLOAD_AT: usize = 1024;

const PAGE: usize = 4096;
const _: () = assert!(WORDS + Slots::Worker as usize * WORDS_STRIDE <= PAGE);
const STRIDE: usize = MAX_PAYLOAD + PAGE;

pub(super) const DOORBELL: usize = 0;
pub(super) const SLEEPERS: usize = 64;
pub(super) const FREED: usize = 128;
pub(super) const QUEUE: usize = 192;
pub(super) const CLOSED: usize = 256;

// The words of all slots lie together: servers look at each before they sleep.
const WORDS: usize = 1024;
const WORDS_STRIDE: usize = 16;
pub(super) const STATE: usize = 0;
pub(super) const SERVER_CPU: usize = 4;
pub(super) const WAITING: usize = 8;
const HEAD: usize = 0;
const OBJECTS: usize = 128;

pub(super) const FREE: u32 = 0;
pub(super) const CLAIMED: u32 = 1;
pub(super) const REQUEST: u32 = 2;
pub(super) const BUSY: u32 = 3;
pub(super) const DONE: u32 = 4;

/// How many calls a ring holds at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slots {
    /// A program's ring: one for each of its threads that is in a call.
    Program = 16,
    /// A worker's ring.
    Worker = 64,
}

/// The head of a call. The server's answer overwrites `result`, `payload_len` and `objects`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Head {
    /// What is called; the meaning is the users' of the ring.
    pub op: u32,
    /// The ioctl number.
    pub cmd: u32,
    /// Flags.
    pub flags: u32,
    /// The id that what is made must get, or zero.
    pub want_id: u32,
    /// Which file.
    pub file: u64,
    /// Result: zero or positive, or a negative error number.
    pub result: i64,
    /// Further values, by `op`.
    pub extra: [u64; 2],
    /// Bytes of payload.
    pub payload_len: u32,
    /// Objects that go with the call.
    pub objects: u32,
}

/// The shared memory of a ring.
#[derive(Debug)]
pub struct Ring {
    map: Mapping,
    slots: usize,
}

impl Ring {
    /// Makes the memory of a ring.
    pub fn create(slots: Slots) -> Result<OwnedFd, Errno> {
        sealed("drvhost-ring", (PAGE + slots as usize * STRIDE) as u64)
    }

    /// Maps a ring. `EINVAL` where the memory is not sealed or too small.
    pub fn open(fd: impl AsFd, slots: Slots) -> Result<Ring, Errno> {
        let slots = slots as usize;
        Ok(Ring {
            map: Mapping::sealed(fd, PAGE + slots * STRIDE)?,
            slots,
        })
    }

    /// Keeps the mapping out of children that this process forks: a ring belongs to one process.
    pub fn keep_from_children(&self) -> Result<(), Errno> {
        self.map.keep_from_children()
    }

    pub(super) fn len(&self) -> usize {
        self.slots
    }

    fn at(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(
            offset + len <= self.map.len(),
            "offsets come from constants"
        );
        // SAFETY: the range was just checked against the mapping.
        unsafe { self.map.as_ptr().add(offset) }
    }

    pub(super) fn word(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: inside the mapping, aligned (all offsets are multiples of four), and lives as
        // long as `self`; the peer changes it only as memory does.
        unsafe { AtomicU32::from_ptr(self.at(offset, 4).cast()) }
    }

    fn slot(&self, index: usize) -> usize {
        assert!(
            index < self.slots,
            "slot indexes come from loops over the slots"
        );
        PAGE + index * STRIDE
    }

    pub(super) fn slot_word(&self, index: usize, offset: usize) -> &AtomicU32 {
        assert!(
            index < self.slots,
            "slot indexes come from loops over the slots"
        );
        self.word(WORDS + index * WORDS_STRIDE + offset)
    }

    fn copy_in(&self, offset: usize, bytes: &[u8]) {
        let to = self.at(offset, bytes.len());
        // SAFETY: `at` checked the range; the source is not in the mapping.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }

    fn copy_out(&self, offset: usize, bytes: &mut [u8]) {
        let from = self.at(offset, bytes.len());
        // SAFETY: `at` checked the range; the target is not in the mapping.
        unsafe { std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len()) };
    }

    #[cfg(test)]
    pub(super) fn copy_raw(&self, index: usize, head: &[u8]) {
        self.copy_in(self.slot(index) + HEAD, head);
    }

    /// Writes head, objects and payload; the lengths in the head are set to fit.
    pub(super) fn store(&self, index: usize, head: &Head, objects: &[ObjectRef], payload: &[u8]) {
        let slot = self.slot(index);
        let objects = &objects[..objects.len().min(MAX_OBJECTS)];
        let payload = &payload[..payload.len().min(MAX_PAYLOAD)];
        let head = Head {
            payload_len: u32::try_from(payload.len()).unwrap_or(0),
            objects: u32::try_from(objects.len()).unwrap_or(0),
            ..*head
        };
        self.copy_in(slot + HEAD, head.as_bytes());
        for (place, object) in objects.iter().enumerate() {
            let words = [
                u64::from(object.kind) | u64::from(object.place) << 32,
                object.id,
            ];
            self.copy_in(slot + OBJECTS + place * 16, words.as_bytes());
        }
        self.copy_in(slot + PAYLOAD_AT, payload);
    }

    /// Copies the head out, its lengths cut to the limits.
    pub(super) fn head(&self, index: usize) -> Head {
        let mut head = Head::new_zeroed();
        self.copy_out(self.slot(index) + HEAD, head.as_mut_bytes());
        head.payload_len = head.payload_len.min(MAX_PAYLOAD as u32);
        head.objects = head.objects.min(MAX_OBJECTS as u32);
        head
    }

    pub(super) fn payload(&self, index: usize, payload: &mut [u8]) {
        self.copy_out(self.slot(index) + PAYLOAD_AT, payload);
    }

    pub(super) fn objects(&self, index: usize, head: &Head) -> Vec<ObjectRef> {
        let slot = self.slot(index);
        (0..head.objects as usize)
            .map(|place| {
                let mut words = [0u64; 2];
                self.copy_out(slot + OBJECTS + place * 16, words.as_mut_bytes());
                ObjectRef {
                    kind: words[0] as u32,
                    place: (words[0] >> 32) as u32,
                    id: words[1],
                }
            })
            .collect()
    }
}

/// Sleeps while `word == expected`; may return early.
pub(super) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) {
    let timeout = timeout.map(|time| rustix::thread::Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(time.subsec_nanos()),
    });
    // Woken, changed, timed out or interrupted: the caller looks again in every case.
    let _ = futex::wait(word, futex::Flags::empty(), expected, timeout.as_ref());
}

/// Wakes up to `count` sleepers, of any process.
pub(super) fn wake(word: &AtomicU32, count: u32) {
    let _ = futex::wake(word, futex::Flags::empty(), count);
}

/// The CPU this thread runs on.
pub(super) fn cpu() -> u32 {
    rustix::thread::sched_getcpu() as u32
}
