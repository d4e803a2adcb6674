// SPDX-License-Identifier: MIT
//! The fences and events of one device: eventfds. They are the host's, so they outlive a worker.
//!
//! A fence stays while the worker uses it, while a call that brought it is under way, and while a
//! call of the file that it was made for may still be answered with it: a driver may signal and
//! put a fence before the host has read the answer that names it.

use super::objects::errno;
use crate::quota::Charge;
use drvhost_abi::Errno;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd};
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Fences and events of one device at a time. A worker has a descriptor for each.
const MAX_FENCES: usize = 4096;

/// A fence, or an event of a program's.
#[derive(Debug)]
pub(crate) struct Fence {
    pub(crate) id: u64,
    pub(crate) fd: OwnedFd,
    /// The file that the worker made it for; `None` for what a program brought.
    pub(crate) made_for: Option<u64>,
    /// The kernel's number of the eventfd, by which it is recognised.
    kernel_id: u64,
    /// The worker promised to signal it.
    owed: bool,
    _charge: Charge,
}

#[derive(Debug)]
struct Entry {
    fence: Arc<Fence>,
    /// Uses of the worker's.
    uses: usize,
    /// Calls under way that brought it.
    calls: usize,
}

#[derive(Debug, Default)]
struct Inner {
    last: u64,
    entries: HashMap<u64, Entry>,
    /// Calls under way that may give fences, by their files' cookies.
    takers: HashMap<u64, usize>,
}

/// All fences of a device, by id.
#[derive(Debug, Default)]
pub(crate) struct Fences {
    inner: Mutex<Inner>,
}

/// A fence or event that a call brought: there until the call ends.
#[derive(Debug)]
pub(crate) struct Brought {
    fences: Arc<Fences>,
    pub(crate) fence: Arc<Fence>,
}

/// A call that may give fences: what was made for its file stays until it is answered.
#[derive(Debug)]
pub(crate) struct Taking {
    fences: Arc<Fences>,
    file: u64,
}

impl Fences {
    /// Makes a fence that the worker uses and will signal, for a call on `file`.
    pub(crate) fn create(
        &self,
        file: u64,
        charge: impl FnOnce() -> Result<Charge, Errno>,
    ) -> Result<Arc<Fence>, Errno> {
        let charge = charge()?;
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(errno)?;
        let kernel_id = eventfd_id(&fd).ok_or(Errno::EMFILE)?;
        let mut inner = self.lock();
        let entry = inner.insert(|id| Fence {
            id,
            fd,
            made_for: Some(file),
            kernel_id,
            owed: true,
            _charge: charge,
        })?;
        entry.uses = 1;
        Ok(entry.fence.clone())
    }

    /// Takes an eventfd that a program gives: as a fence, or as an event that the worker will
    /// signal (`owed`). `EINVAL` for what is none.
    pub(crate) fn bring(
        self: &Arc<Self>,
        fd: OwnedFd,
        owed: bool,
        charge: impl FnOnce() -> Result<Charge, Errno>,
    ) -> Result<Brought, Errno> {
        let kernel_id = eventfd_id(&fd).ok_or(Errno::EINVAL)?;
        let mut inner = self.lock();
        let mut known = inner.entries.values_mut();
        let entry = match known.find(|entry| entry.fence.kernel_id == kernel_id) {
            Some(entry) => entry,
            None => {
                let charge = charge()?;
                inner.insert(|id| Fence {
                    id,
                    fd,
                    made_for: None,
                    kernel_id,
                    owed,
                    _charge: charge,
                })?
            }
        };
        entry.calls += 1;
        Ok(Brought {
            fences: self.clone(),
            fence: entry.fence.clone(),
        })
    }

    /// A call that may give fences made for its file begins.
    pub(crate) fn taking(self: &Arc<Self>, file: u64) -> Taking {
        *self.lock().takers.entry(file).or_default() += 1;
        Taking {
            fences: self.clone(),
            file,
        }
    }

    /// A fence by id: `ENOENT` for none.
    pub(crate) fn get(&self, id: u64) -> Result<Arc<Fence>, Errno> {
        let inner = self.lock();
        let entry = inner.entries.get(&id).ok_or(Errno::ENOENT)?;
        Ok(entry.fence.clone())
    }

    /// The worker uses a fence once more.
    pub(crate) fn open(&self, id: u64) -> Result<Arc<Fence>, Errno> {
        let mut inner = self.lock();
        let entry = inner.entries.get_mut(&id).ok_or(Errno::ENOENT)?;
        entry.uses += 1;
        Ok(entry.fence.clone())
    }

    /// The worker uses a fence once less.
    pub(crate) fn put(&self, id: u64) {
        self.change(id, |entry| entry.uses = entry.uses.saturating_sub(1));
    }

    /// The worker died: it uses nothing any more. Gives the fences that it owed.
    pub(crate) fn forget_worker(&self) -> Vec<Arc<Fence>> {
        let mut owed = Vec::new();
        self.lock().entries.retain(|_, entry| {
            entry.uses = 0;
            // Those of calls under way stay for the repetition.
            let kept = entry.calls > 0;
            if !kept && entry.fence.owed {
                owed.push(entry.fence.clone());
            }
            kept
        });
        owed
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.lock().entries.len()
    }

    fn change(&self, id: u64, change: impl FnOnce(&mut Entry)) {
        let mut inner = self.lock();
        if let Some(entry) = inner.entries.get_mut(&id) {
            change(entry);
            inner.drop_unused(id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn insert(&mut self, make: impl FnOnce(u64) -> Fence) -> Result<&mut Entry, Errno> {
        if self.entries.len() >= MAX_FENCES {
            return Err(Errno::ENOMEM);
        }
        self.last += 1;
        let entry = Entry {
            fence: Arc::new(make(self.last)),
            uses: 0,
            calls: 0,
        };
        Ok(self.entries.entry(self.last).or_insert(entry))
    }

    fn is_used(&self, entry: &Entry) -> bool {
        let file = entry.fence.made_for;
        entry.uses > 0
            || entry.calls > 0
            || file.is_some_and(|file| self.takers.contains_key(&file))
    }

    fn drop_unused(&mut self, id: u64) {
        if self.entries.get(&id).is_some_and(|e| !self.is_used(e)) {
            self.entries.remove(&id);
        }
    }
}

impl Drop for Brought {
    fn drop(&mut self) {
        let id = self.fence.id;
        self.fences.change(id, |entry| entry.calls -= 1);
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        let mut inner = self.fences.lock();
        let Some(count) = inner.takers.get_mut(&self.file) else {
            return;
        };
        *count -= 1;
        if *count > 0 {
            return;
        }
        inner.takers.remove(&self.file);
        let mine = inner.entries.values();
        let mine = mine.filter(|entry| entry.fence.made_for == Some(self.file));
        let ids: Vec<u64> = mine.map(|entry| entry.fence.id).collect();
        for id in ids {
            inner.drop_unused(id);
        }
    }
}

impl Fence {
    /// Signals it, unless it is.
    pub(crate) fn signal(&self) {
        let mut poll = [PollFd::new(&self.fd, PollFlags::IN)];
        let now = rustix::time::Timespec::default();
        if rustix::event::poll(&mut poll, Some(&now)) == Ok(0) {
            let _ = rustix::io::write(&self.fd, &1u64.to_ne_bytes());
        }
    }
}

/// The kernel's number of an eventfd; all eventfds share one inode.
fn eventfd_id(fd: impl AsFd) -> Option<u64> {
    let raw = fd.as_fd().as_raw_fd();
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{raw}")).ok()?;
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("eventfd-id:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::quota::{Accounts, Kind};

    fn accounts() -> Arc<Accounts> {
        Accounts::new(Limits {
            fences_per_user: 3,
            ..Limits::default()
        })
    }

    fn eventfd() -> OwnedFd {
        super::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap()
    }

    #[test]
    fn eventfds_are_told_apart() {
        let accounts = accounts();
        let charge = || accounts.charge(1, Kind::Fences, 1);
        let fences = Arc::new(Fences::default());
        let fence = fences.create(7, charge).unwrap();
        let copy = fence.fd.try_clone().unwrap();
        let brought = fences.bring(copy, false, charge).unwrap();
        assert_eq!(brought.fence.id, fence.id);
        let other = fences.create(7, charge).unwrap();
        assert_ne!(other.id, fence.id);
        drop((fence, other, brought));
        let file = drvhost_channel::memory::sealed("other", 4096).unwrap();
        let refused = fences.bring(file, false, charge).unwrap_err();
        assert_eq!(refused, Errno::EINVAL);
        let owed = fences.forget_worker();
        assert_eq!((owed.len(), fences.count()), (2, 0));
        owed[0].signal();
        owed[0].signal();
        let mut count = [0; 8];
        rustix::io::read(&owed[0].fd, &mut count[..]).unwrap();
        assert_eq!(u64::from_ne_bytes(count), 1);
    }

    #[test]
    fn a_fence_stays_for_each_call_that_brought_it() {
        let accounts = accounts();
        let charge = || accounts.charge(1, Kind::Fences, 1);
        let fences = Arc::new(Fences::default());
        let fd = eventfd();
        let first = fences
            .bring(fd.try_clone().unwrap(), false, charge)
            .unwrap();
        let second = fences.bring(fd, false, charge).unwrap();
        let id = first.fence.id;
        drop(first);
        // The second call reaches the worker only now; it keeps the fence.
        fences.open(id).unwrap();
        fences.put(id);
        fences.open(id).unwrap();
        drop(second);
        assert_eq!(fences.count(), 1);
        fences.put(id);
        assert_eq!(fences.count(), 0);
        assert_eq!(accounts.used(1, Kind::Fences), 0);
    }

    #[test]
    fn a_fence_that_was_put_early_is_there_for_the_answer() {
        let accounts = accounts();
        let charge = || accounts.charge(1, Kind::Fences, 1);
        let fences = Arc::new(Fences::default());
        let (taking, second) = (fences.taking(7), fences.taking(7));
        let id = fences.create(7, charge).unwrap().id;
        let other = fences.create(8, charge).unwrap().id;
        fences.put(id);
        fences.put(other);
        assert!(fences.get(other).is_err(), "no call of that file");
        drop(second);
        assert!(fences.get(id).is_ok());
        drop(taking);
        assert_eq!(fences.count(), 0);
    }

    #[test]
    fn fences_are_counted_against_their_user() {
        let accounts = accounts();
        let charge = || accounts.charge(1, Kind::Fences, 1);
        let fences = Arc::new(Fences::default());
        let made = fences.create(7, charge).unwrap().id;
        let fds = [eventfd(), eventfd()];
        let bring = |fd: &OwnedFd| fences.bring(fd.try_clone().unwrap(), true, charge);
        let brought = fds.each_ref().map(|fd| bring(fd).unwrap());
        assert_eq!(bring(&eventfd()).unwrap_err(), Errno::ENOMEM);
        assert_eq!(fences.create(7, charge).unwrap_err(), Errno::ENOMEM);
        drop(bring(&fds[0]).unwrap());
        fences.put(made);
        drop(brought);
        assert_eq!((fences.count(), accounts.used(1, Kind::Fences)), (0, 0));
    }
}
