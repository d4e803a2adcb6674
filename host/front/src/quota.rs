// SPDX-License-Identifier: MIT
//! What each user holds. A charge ends when its value is dropped, so nothing is counted twice or
//! forgotten.

use crate::limits::Limits;
use drvhost_abi::Errno;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Something that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Bytes.
    Memory,
    /// Buffers: each is a descriptor of the host's.
    Buffers,
    /// Fences and events: each is a descriptor of the host's and of a worker's.
    Fences,
    /// Open files.
    Files,
    /// Rings.
    Rings,
    /// Connections.
    Connections,
}

/// The accounts of all users.
#[derive(Debug)]
pub struct Accounts {
    limits: Limits,
    used: Mutex<HashMap<(u32, Kind), u64>>,
}

/// Something that a user holds.
#[derive(Debug)]
pub struct Charge {
    accounts: Arc<Accounts>,
    uid: u32,
    kind: Kind,
    amount: u64,
}

impl Accounts {
    /// Nobody holds anything.
    pub fn new(limits: Limits) -> Arc<Accounts> {
        Arc::new(Accounts {
            limits,
            used: Mutex::default(),
        })
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Counts `amount` for a user; the limit's error number where that is too much.
    pub fn charge(self: &Arc<Self>, uid: u32, kind: Kind, amount: u64) -> Result<Charge, Errno> {
        let (limit, errno) = match kind {
            Kind::Memory => (self.limits.memory_per_user, Errno::ENOMEM),
            Kind::Buffers => (self.limits.buffers_per_user, Errno::ENOMEM),
            Kind::Fences => (self.limits.fences_per_user, Errno::ENOMEM),
            Kind::Files => (self.limits.files_per_user, Errno::EMFILE),
            Kind::Rings => (self.limits.rings_per_user, Errno::EMFILE),
            Kind::Connections => (self.limits.connections_per_user, Errno::EMFILE),
        };
        let mut used = self.lock();
        let now = used.get(&(uid, kind)).copied().unwrap_or(0);
        let sum = now.checked_add(amount).filter(|sum| *sum <= limit);
        used.insert((uid, kind), sum.ok_or(errno)?);
        Ok(Charge {
            accounts: self.clone(),
            uid,
            kind,
            amount,
        })
    }

    /// Counts a buffer of `size` bytes.
    pub fn buffer(self: &Arc<Self>, uid: u32, size: u64) -> Result<[Charge; 2], Errno> {
        Ok([
            self.charge(uid, Kind::Buffers, 1)?,
            self.charge(uid, Kind::Memory, size)?,
        ])
    }

    /// How much a user holds.
    pub fn used(&self, uid: u32, kind: Kind) -> u64 {
        self.lock().get(&(uid, kind)).copied().unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(u32, Kind), u64>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let mut used = self.accounts.lock();
        let key = (self.uid, self.kind);
        let left = used.get(&key).map_or(0, |n| n.saturating_sub(self.amount));
        if left == 0 {
            used.remove(&key);
        } else {
            used.insert(key, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charges_end_when_dropped() {
        let accounts = Accounts::new(Limits {
            memory_per_user: 100,
            ..Limits::default()
        });
        let first = accounts.charge(1, Kind::Memory, 60).unwrap();
        let refused = accounts.charge(1, Kind::Memory, 41).unwrap_err();
        assert_eq!(refused, Errno::ENOMEM);
        assert!(accounts.charge(1, Kind::Memory, u64::MAX).is_err());
        assert!(accounts.charge(2, Kind::Memory, 100).is_ok());
        drop(first);
        assert_eq!(accounts.used(1, Kind::Memory), 0);
        assert!(accounts.charge(1, Kind::Memory, 100).is_ok());
    }

    #[test]
    fn a_buffer_counts_twice_or_not_at_all() {
        let accounts = Accounts::new(Limits {
            memory_per_user: 100,
            buffers_per_user: 2,
            ..Limits::default()
        });
        assert_eq!(accounts.buffer(1, 101).unwrap_err(), Errno::ENOMEM);
        let first = accounts.buffer(1, 1).unwrap();
        let second = accounts.buffer(1, 1).unwrap();
        assert_eq!(accounts.buffer(1, 1).unwrap_err(), Errno::ENOMEM);
        assert_eq!(accounts.used(1, Kind::Memory), 2);
        drop((first, second));
        assert_eq!(accounts.used(1, Kind::Buffers), 0);
    }
}
