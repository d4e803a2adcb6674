// SPDX-License-Identifier: MIT
//! Keeps calls that change the same display objects apart, so that the record is in the order in
//! which the driver did them. Calls on different objects run side by side, as in Linux.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Who is master, as an object of its own: no display object has this id.
pub const MASTER: u32 = 0;

/// What a call changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nothing that is kept in order.
    Nothing,
    /// These objects, by an atomic commit.
    Atomic(BTreeSet<u32>),
    /// These objects, by a legacy call. Such a call may reach objects that it does not name, so
    /// none runs beside an atomic commit.
    Legacy(BTreeSet<u32>),
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeSet<u32>,
    atomic: usize,
    legacy: usize,
}

/// The claims on one device.
#[derive(Debug, Default)]
pub struct Claims {
    state: Mutex<State>,
    changed: Condvar,
}

/// A claim that holds until it is dropped.
#[derive(Debug)]
pub struct Held<'a> {
    claims: &'a Claims,
    claim: Claim,
}

impl Claims {
    /// Waits until nobody else holds one of the claim's objects.
    pub fn take(&self, claim: Claim) -> Held<'_> {
        if let Claim::Atomic(objects) | Claim::Legacy(objects) = &claim {
            let mut state = self.lock();
            loop {
                let others = match claim {
                    Claim::Legacy(_) => state.atomic,
                    _ => state.legacy,
                };
                if others == 0 && state.objects.is_disjoint(objects) {
                    break;
                }
                let result = self.changed.wait(state);
                state = result.unwrap_or_else(PoisonError::into_inner);
            }
            state.objects.extend(objects);
            match claim {
                Claim::Legacy(_) => state.legacy += 1,
                _ => state.atomic += 1,
            }
        }
        Held {
            claims: self,
            claim,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Claim::Atomic(objects) | Claim::Legacy(objects) = &self.claim {
            let mut state = self.claims.lock();
            state.objects.retain(|object| !objects.contains(object));
            match self.claim {
                Claim::Legacy(_) => state.legacy -= 1,
                _ => state.atomic -= 1,
            }
            drop(state);
            self.claims.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    fn set(objects: &[u32]) -> BTreeSet<u32> {
        objects.iter().copied().collect()
    }

    #[test]
    fn only_what_overlaps_waits() {
        let claims = Claims::default();
        let first = claims.take(Claim::Atomic(set(&[1, 2])));
        drop(claims.take(Claim::Atomic(set(&[3]))));
        drop(claims.take(Claim::Nothing));
        let (done, wait) = channel();
        std::thread::scope(|scope| {
            for claim in [Claim::Atomic(set(&[2, 3])), Claim::Legacy(set(&[9]))] {
                let (claims, done) = (&claims, done.clone());
                scope.spawn(move || {
                    drop(claims.take(claim));
                    done.send(()).unwrap();
                });
            }
            assert!(wait.try_recv().is_err());
            drop(first);
            wait.recv().unwrap();
            wait.recv().unwrap();
        });
    }
}
