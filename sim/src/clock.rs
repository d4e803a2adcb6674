// SPDX-License-Identifier: MIT
//! The machine's clock: the real one, or one that only moves when it is told to.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

#[derive(Debug, Clone, Copy)]
enum State {
    Real { since: Instant, at: u64 },
    Stepped { at: u64 },
}

/// Nanoseconds since the machine was started; never runs back.
#[derive(Debug)]
pub struct Clock {
    state: Mutex<State>,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            state: Mutex::new(State::Real {
                since: Instant::now(),
                at: 0,
            }),
        }
    }
}

impl State {
    fn now(self) -> u64 {
        match self {
            Self::Real { since, at } => {
                let passed = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
                at.saturating_add(passed)
            }
            Self::Stepped { at } => at,
        }
    }
}

impl Clock {
    /// The time.
    pub fn now(&self) -> u64 {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .now()
    }

    /// Stops the clock (`true`), or lets it run on from where it stands.
    pub fn set_stepped(&self, stepped: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let at = state.now();
        *state = if stepped {
            State::Stepped { at }
        } else {
            State::Real {
                since: Instant::now(),
                at,
            }
        };
    }

    /// Whether it only moves when told to.
    pub fn is_stepped(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*state, State::Stepped { .. })
    }

    /// Moves a stopped clock; `None` when it is running.
    pub fn step(&self, nanoseconds: u64) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *state {
            State::Stepped { at } => {
                *at = at.saturating_add(nanoseconds);
                Some(*at)
            }
            State::Real { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_runs_on() {
        let clock = Clock::default();
        assert_eq!(clock.step(5), None);
        clock.set_stepped(true);
        let at = clock.now();
        assert_eq!(clock.now(), at);
        assert_eq!(clock.step(16_666_667), Some(at + 16_666_667));
        assert_eq!(clock.step(u64::MAX), Some(u64::MAX));
        clock.set_stepped(false);
        assert!(!clock.is_stepped());
        assert_eq!(clock.now(), u64::MAX);
    }
}
