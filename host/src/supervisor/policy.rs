// SPDX-License-Identifier: MIT
//! When a dead worker is replaced.

use super::state::Verdict;
use drvhost_manifest::{Policy, Restart};

/// Decides about dead workers of one device and driver.
pub trait RestartPolicy: Send {
    /// A worker died at `now` (nanoseconds). `progress`: it had served a request of a client
    /// since it was bound. `what`: how it died, for the reason.
    fn died(&mut self, now: u64, progress: bool, what: &str) -> Verdict;
}

/// Makes the policy that a manifest asks for.
pub fn from_manifest(policy: &Policy) -> Box<dyn RestartPolicy> {
    let backoff = BackOff {
        first: u64::from(policy.backoff_first_ms) * 1_000_000,
        longest: u64::from(policy.backoff_limit_ms) * 1_000_000,
        give_up_after: policy.quarantine_after.max(1),
        free: u32::from(policy.restart == Restart::Immediate),
        row: 0,
    };
    match policy.restart {
        Restart::Never => Box::new(Never),
        Restart::Immediate | Restart::BackOff => Box::new(backoff),
    }
}

/// The first crash ends it.
#[derive(Debug)]
struct Never;

impl RestartPolicy for Never {
    fn died(&mut self, _now: u64, _progress: bool, what: &str) -> Verdict {
        Verdict::GiveUp(format!("{what}; its manifest says never to restart it"))
    }
}

/// Crashes with progress in between are free; without, the wait doubles, and then it ends.
#[derive(Debug)]
struct BackOff {
    first: u64,
    longest: u64,
    give_up_after: u32,
    /// Crashes in a row that cost no wait.
    free: u32,
    row: u32,
}

impl RestartPolicy for BackOff {
    fn died(&mut self, now: u64, progress: bool, what: &str) -> Verdict {
        self.row = if progress { 1 } else { self.row + 1 };
        if self.row > self.give_up_after {
            return Verdict::GiveUp(format!(
                "{what}, {} times in a row without progress",
                self.row
            ));
        }
        match self.row.checked_sub(self.free + 1) {
            None => Verdict::Now,
            Some(doublings) => {
                let wait = self
                    .first
                    .saturating_mul(1u64.checked_shl(doublings).unwrap_or(0));
                let wait = if wait == 0 && self.first > 0 {
                    self.longest
                } else {
                    wait
                };
                Verdict::At(now.saturating_add(wait.min(self.longest)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(restart: Restart) -> Box<dyn RestartPolicy> {
        from_manifest(&Policy {
            restart,
            backoff_first_ms: 10,
            backoff_limit_ms: 30,
            quarantine_after: 4,
            ..Policy::default()
        })
    }

    const MS: u64 = 1_000_000;

    #[test]
    fn crashes_without_progress_back_off_and_end() {
        let mut policy = policy(Restart::Immediate);
        let waits: Vec<_> = (0..5)
            .map(|_| policy.died(100, false, "signal 11"))
            .collect();
        let at = |ms| Verdict::At(100 + ms * MS);
        assert_eq!(waits[..4], [Verdict::Now, at(10), at(20), at(30)]);
        let Verdict::GiveUp(reason) = &waits[4] else {
            panic!("{:?}", waits[4])
        };
        assert_eq!(reason, "signal 11, 5 times in a row without progress");
    }

    #[test]
    fn progress_forgives() {
        let mut policy = policy(Restart::Immediate);
        for _ in 0..10_000 {
            assert_eq!(policy.died(0, true, "x"), Verdict::Now);
        }
        assert_eq!(policy.died(0, false, "x"), Verdict::At(10 * MS));
    }

    #[test]
    fn backing_off_always_waits() {
        assert_eq!(
            policy(Restart::BackOff).died(0, true, "x"),
            Verdict::At(10 * MS)
        );
    }

    #[test]
    fn never_means_never() {
        assert!(matches!(
            policy(Restart::Never).died(0, true, "x"),
            Verdict::GiveUp(_)
        ));
    }
}
