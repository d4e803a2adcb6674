// SPDX-License-Identifier: MIT
//! The hang detector: tells a worker that is stuck from one that waits.
//!
//! While something is outstanding (a call under way, or an event that must come), a worker hangs if
//! one of its threads has run without reaching the runtime for longer than the limit, or sleeps
//! in the runtime past its deadline by more than the limit, or if a call is older than the limit
//! and there are fewer threads at work than such calls. A thread that sleeps in the runtime
//! without a deadline is not hung: it waits for something that may take for ever.

use crate::wire::progress::{Role, State, Thread};
use std::fmt;

/// Why a worker counts as hung.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub enum HangReport {
    /// A thread runs and does not come back.
    Running {
        /// The thread.
        thread: Thread,
        /// Since when, in nanoseconds.
        for_ns: u64,
    },
    /// A thread sleeps although its deadline has passed.
    Overslept {
        /// The thread.
        thread: Thread,
        /// By how much, in nanoseconds.
        by_ns: u64,
    },
    /// Calls wait and no thread works on them.
    NotServed {
        /// How many.
        calls: usize,
        /// For how long at least, in nanoseconds.
        for_ns: u64,
    },
}

impl fmt::Display for HangReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |ns: &u64| ns / 1_000_000;
        match self {
            HangReport::Running { thread, for_ns } => write!(
                f,
                "thread {:?} has run for {} ms (call {:#x})",
                thread.name,
                ms(for_ns),
                thread.cmd
            ),
            HangReport::Overslept { thread, by_ns } => write!(
                f,
                "thread {:?} should have woken {} ms ago (call {:#x})",
                thread.name,
                ms(by_ns),
                thread.cmd
            ),
            HangReport::NotServed { calls, for_ns } => {
                write!(
                    f,
                    "{calls} calls wait for {} ms and no thread serves them",
                    ms(for_ns)
                )
            }
        }
    }
}

/// Judges a worker. `calls` are the times at which the calls under way began, `now` and `limit`
/// are nanoseconds of the same clock; `expected` says whether anything else is outstanding.
pub fn judge(
    threads: &[Thread],
    calls: &[u64],
    expected: bool,
    now: u64,
    limit: u64,
) -> Option<HangReport> {
    if calls.is_empty() && !expected {
        return None;
    }
    for thread in threads {
        let running = now.saturating_sub(thread.since);
        match thread.state {
            State::Running if running > limit => {
                return Some(HangReport::Running {
                    thread: thread.clone(),
                    for_ns: running,
                });
            }
            State::Waiting { deadline } => {
                // A deadline that had passed when the sleep began is no oversleeping.
                let by_ns = now.saturating_sub(deadline.max(thread.since));
                if by_ns > limit {
                    let thread = thread.clone();
                    return Some(HangReport::Overslept { thread, by_ns });
                }
            }
            _ => {}
        }
    }
    let old = |since: &&u64| now.saturating_sub(**since) > limit;
    let late = calls.iter().filter(old).count();
    let busy = |thread: &&Thread| thread.role == Role::Server && thread.state != State::Idle;
    if late > threads.iter().filter(busy).count() {
        let oldest = calls.iter().min().copied().unwrap_or(now);
        return Some(HangReport::NotServed {
            calls: late,
            for_ns: now.saturating_sub(oldest),
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(role: Role, state: State, since: u64) -> Thread {
        Thread {
            name: "t".into(),
            tid: 1,
            role,
            state,
            since,
            beat: 0,
            cmd: 0,
        }
    }

    #[test]
    fn table() {
        use Role::{Driver, Server};
        use State::{Idle, Running};
        let waiting = |deadline| State::Waiting { deadline };
        let forever = waiting(u64::MAX);
        // (threads, calls under way since, expected, hung?) at 1000 with a limit of 100
        type Row<'a> = (&'a [(Role, State, u64)], &'a [u64], bool, &'a str);
        let rows: &[Row<'_>] = &[
            (&[(Server, Running, 0)], &[], false, "no"),
            (&[(Server, Running, 0)], &[0], false, "running"),
            (&[(Server, Running, 900)], &[900], false, "no"),
            (&[(Server, Running, 899)], &[899], false, "running"),
            (&[(Driver, Running, 0)], &[], true, "running"),
            (&[(Server, Idle, 0)], &[], true, "no"),
            (&[(Server, forever, 0)], &[0], false, "no"),
            (&[(Driver, waiting(900), 0)], &[], true, "no"),
            (&[(Driver, waiting(899), 0)], &[], true, "overslept"),
            (&[(Driver, waiting(899), 0)], &[], false, "no"),
            (&[(Driver, waiting(0), 990)], &[], true, "no"),
            (&[(Driver, waiting(0), 899)], &[], true, "overslept"),
            (&[(Server, Idle, 0)], &[899], false, "not served"),
            (&[(Server, Idle, 0)], &[900], false, "no"),
            (&[(Driver, forever, 0)], &[0], false, "not served"),
            (
                &[(Server, forever, 0), (Server, Idle, 0)],
                &[0, 1],
                false,
                "not served",
            ),
            (
                &[(Server, forever, 0), (Server, forever, 0)],
                &[0, 1],
                false,
                "no",
            ),
            (&[], &[0], false, "not served"),
            (&[(Server, Running, 2000)], &[2000], false, "no"),
        ];
        for (number, (threads, calls, expected, verdict)) in rows.iter().enumerate() {
            let threads: Vec<_> = threads.iter().map(|(r, s, t)| thread(*r, *s, *t)).collect();
            let got = match judge(&threads, calls, *expected, 1000, 100) {
                None => "no",
                Some(HangReport::Running { .. }) => "running",
                Some(HangReport::Overslept { .. }) => "overslept",
                Some(HangReport::NotServed { .. }) => "not served",
            };
            assert_eq!(got, *verdict, "row {number}");
        }
    }
}
