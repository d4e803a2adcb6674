// SPDX-License-Identifier: MIT
//! The calls under way, and since when.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The calls under way.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    // A free place holds `None`; there are as many places as there ever were calls at once.
    since: Mutex<Vec<Option<u64>>>,
}

/// One call; it is over when this is dropped.
#[derive(Debug)]
pub(super) struct Call<'a> {
    calls: &'a InFlight,
    place: usize,
}

impl InFlight {
    fn lock(&self) -> MutexGuard<'_, Vec<Option<u64>>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, now: u64) -> Call<'_> {
        let mut since = self.lock();
        let place = since
            .iter()
            .position(Option::is_none)
            .unwrap_or(since.len());
        if place == since.len() {
            since.push(None);
        }
        if let Some(entry) = since.get_mut(place) {
            *entry = Some(now);
        }
        Call { calls: self, place }
    }

    pub(super) fn times(&self) -> Vec<u64> {
        self.lock().iter().flatten().copied().collect()
    }

    pub(super) fn count(&self) -> usize {
        self.lock().iter().flatten().count()
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.calls.lock().get_mut(self.place) {
            *entry = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again() {
        let calls = InFlight::default();
        let first = calls.begin(1);
        let second = calls.begin(2);
        assert_eq!(calls.times(), [1, 2]);
        drop(first);
        assert_eq!(calls.count(), 1);
        let _third = calls.begin(3);
        assert_eq!(calls.times(), [3, 2]);
        drop(second);
        assert_eq!(calls.lock().len(), 2);
    }
}
