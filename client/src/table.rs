// SPDX-License-Identifier: MIT
//! The open files of this process and their rings, by the event socket's inode.
//!
//! The table lies in memory that a fork wipes (so do the rings, which a child does not inherit):
//! a ring belongs to one process, and a child finds an empty table however it was forked. There
//! are no locks, so a signal handler or a child of a threaded process can't be stuck on one.

use crate::node::Node;
use drvhost_channel::ring::RingClient;
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};

/// Files that one process has open at once.
const ENTRIES: usize = 512;

/// An open file of a node, as this process knows it.
#[derive(Debug)]
pub struct OpenFile {
    /// What it is a file of.
    pub node: Node,
    /// The ring's name.
    pub token: [u64; 2],
    /// Where its calls go.
    pub ring: RingClient,
}

// An entry's state: `FREE`, or `CHANGING` while one thread fills or empties it, or `LIVE` plus
// the number of those who use it. All zero bytes are a free entry.
const FREE: u32 = 0;
const LIVE: u32 = 1 << 30;
const CHANGING: u32 = 1 << 31;

struct Entry {
    state: AtomicU32,
    inode: AtomicU64,
    file: UnsafeCell<MaybeUninit<OpenFile>>,
}

struct Table {
    // Entries from here on have never been used.
    used: AtomicU32,
    entries: [Entry; ENTRIES],
}

static TABLE: AtomicPtr<Table> = AtomicPtr::new(null_mut());

/// An open file in use: its ring stays mapped.
pub struct Guard {
    entry: &'static Entry,
}

impl Deref for Guard {
    type Target = OpenFile;

    fn deref(&self) -> &OpenFile {
        // SAFETY: counted as a user of a live entry, so it is filled and nobody changes it.
        unsafe { (*self.entry.file.get()).assume_init_ref() }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // A fork in between wiped the entry: there is nothing to give back.
        let _ = self
            .entry
            .state
            .fetch_update(AcqRel, Relaxed, |state| match state {
                FREE => None,
                _ => Some(state - 1),
            });
    }
}

impl Entry {
    fn enter(&'static self) -> Option<Guard> {
        self.state
            .fetch_update(AcqRel, Relaxed, |state| {
                (state & LIVE != 0).then_some(state + 1)
            })
            .ok()
            .map(|_| Guard { entry: self })
    }

    fn change(&self, from: u32) -> bool {
        self.state
            .compare_exchange(from, CHANGING, AcqRel, Relaxed)
            .is_ok()
    }
}

fn table() -> Option<&'static Table> {
    let table = TABLE.load(Acquire);
    // SAFETY: set once, to memory that is never unmapped; all of it is atomics and cells.
    (!table.is_null()).then(|| unsafe { &*table })
}

/// Whether nothing was ever opened here: the quick answer for most processes.
pub fn is_empty() -> bool {
    table().is_none_or(|table| table.used.load(Relaxed) == 0)
}

/// The file of an event socket, by its inode.
pub fn find(inode: u64) -> Option<Guard> {
    let table = table()?;
    let used = table.used.load(Acquire) as usize;
    for entry in table.entries.iter().take(used) {
        if entry.inode.load(Relaxed) == inode
            && let Some(guard) = entry.enter()
            && entry.inode.load(Acquire) == inode
        {
            if !guard.ring.is_closed() {
                return Some(guard);
            }
            drop(guard);
            retire(entry);
        }
    }
    None
}

/// Takes a file in. `ENFILE` where there are too many.
pub fn insert(inode: u64, file: OpenFile) -> Result<Guard, Errno> {
    let table = made()?;
    for entry in table.entries.iter() {
        // Also where nobody asks any more: a closed ring is memory for nothing.
        if entry.enter().is_some_and(|guard| guard.ring.is_closed()) {
            retire(entry);
        }
    }
    for (index, entry) in table.entries.iter().enumerate() {
        if entry.state.load(Relaxed) == FREE && entry.change(FREE) {
            // SAFETY: the entry is ours alone between `CHANGING` and the store below.
            unsafe { (*entry.file.get()).write(file) };
            entry.inode.store(inode, Release);
            entry.state.store(LIVE | 1, Release);
            table.used.fetch_max(index as u32 + 1, AcqRel);
            return Ok(Guard { entry });
        }
    }
    Err(Errno::NFILE)
}

/// Unmaps the ring of an entry that nobody uses.
fn retire(entry: &Entry) {
    if entry.change(LIVE) {
        entry.inode.store(0, Release);
        // SAFETY: live, without users, and `CHANGING` keeps new ones out.
        unsafe { (*entry.file.get()).assume_init_drop() };
        entry.state.store(FREE, Release);
    }
}

fn made() -> Result<&'static Table, Errno> {
    if let Some(table) = table() {
        return Ok(table);
    }
    let size = size_of::<Table>();
    // SAFETY: new anonymous memory; zeros are a valid table.
    let new = unsafe {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let new = rustix::mm::mmap_anonymous(null_mut(), size, prot, MapFlags::PRIVATE)?;
        rustix::mm::madvise(new, size, Advice::LinuxWipeOnFork)?;
        new.cast::<Table>()
    };
    match TABLE.compare_exchange(null_mut(), new, AcqRel, Acquire) {
        // SAFETY: just made, never unmapped.
        Ok(_) => Ok(unsafe { &*new }),
        Err(first) => {
            // SAFETY: our own was not published; the first one lives on.
            unsafe {
                let _ = rustix::mm::munmap(new.cast(), size);
                Ok(&*first)
            }
        }
    }
}

// SAFETY: the cell is guarded by `state`; what it holds is `Send` and `Sync`.
unsafe impl Sync for Entry {}
