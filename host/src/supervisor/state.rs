// SPDX-License-Identifier: MIT
//! The states of a device and what leads from one to another.

use serde::Serialize;
use std::fmt;

/// What a device is doing. See [`State::next`] for the transitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum State {
    /// No driver.
    Unbound {
        /// Why.
        reason: String,
    },
    /// The first worker of a driver is being started.
    Starting,
    /// A worker serves the device.
    Running,
    /// The worker died; a new one is being started and gets the recorded state.
    Recovering,
    /// The worker died again without progress; the next start waits.
    BackingOff {
        /// When it starts, in nanoseconds of the host's clock.
        until: u64,
    },
    /// The driver failed too often. Its nodes are gone.
    Quarantined {
        /// What happened.
        reason: String,
    },
    /// A person switched the device off.
    Disabled,
}

/// What can happen to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A driver was chosen.
    Chosen,
    /// The worker is bound and has the recorded state.
    Ready,
    /// The worker died (or refused the device); the policy decided.
    Died(Verdict),
    /// The back-off is over.
    Due,
    /// No driver is left or was found.
    NoDriver(String),
    /// Somebody disabled the device.
    Disabled,
    /// Somebody enabled the device, or gave it a new driver, or asked for a restart.
    Released,
}

/// What a restart policy decides about a dead worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Start a new one at once.
    Now,
    /// Start a new one at this time, in nanoseconds of the host's clock.
    At(u64),
    /// Give the driver up.
    GiveUp(String),
}

impl State {
    /// The state after `event`, or `None` where the event means nothing in this state.
    pub fn next(&self, event: Event) -> Option<State> {
        use State::*;
        Some(match (self, event) {
            (_, Event::Disabled) => Disabled,
            (Disabled, Event::Released) => Unbound {
                reason: "enabled again".into(),
            },
            (Disabled, _) => return None,
            (_, Event::NoDriver(reason)) => Unbound { reason },
            (Quarantined { .. } | Unbound { .. }, Event::Chosen) => Starting,
            (Starting | Recovering, Event::Ready) => Running,
            (Starting, Event::Died(Verdict::Now)) => Starting,
            (Running | Recovering, Event::Died(Verdict::Now)) => Recovering,
            (Starting | Running | Recovering, Event::Died(Verdict::At(until))) => {
                BackingOff { until }
            }
            (Starting | Running | Recovering, Event::Died(Verdict::GiveUp(reason))) => {
                Quarantined { reason }
            }
            (BackingOff { .. }, Event::Due) => Recovering,
            (Quarantined { .. } | BackingOff { .. }, Event::Released) => Unbound {
                reason: "released".into(),
            },
            _ => return None,
        })
    }

    /// A word for lists.
    pub fn word(&self) -> &'static str {
        match self {
            State::Unbound { .. } => "unbound",
            State::Starting => "starting",
            State::Running => "running",
            State::Recovering => "recovering",
            State::BackingOff { .. } => "backing-off",
            State::Quarantined { .. } => "quarantined",
            State::Disabled => "disabled",
        }
    }

    /// Why, where there is something to say.
    pub fn reason(&self) -> &str {
        match self {
            State::Unbound { reason } | State::Quarantined { reason } => reason,
            _ => "",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every state against every event: the word of the state that follows, or "-".
    #[test]
    fn transitions() {
        let unbound = || State::Unbound {
            reason: String::new(),
        };
        let states = [
            unbound(),
            State::Starting,
            State::Running,
            State::Recovering,
            State::BackingOff { until: 5 },
            State::Quarantined { reason: "r".into() },
            State::Disabled,
        ];
        let events: [(Event, [&str; 7]); 9] = [
            (
                Event::Chosen,
                ["starting", "-", "-", "-", "-", "starting", "-"],
            ),
            (
                Event::Ready,
                ["-", "running", "-", "running", "-", "-", "-"],
            ),
            (
                Event::Died(Verdict::Now),
                ["-", "starting", "recovering", "recovering", "-", "-", "-"],
            ),
            (
                Event::Died(Verdict::At(9)),
                [
                    "-",
                    "backing-off",
                    "backing-off",
                    "backing-off",
                    "-",
                    "-",
                    "-",
                ],
            ),
            (
                Event::Died(Verdict::GiveUp("x".into())),
                [
                    "-",
                    "quarantined",
                    "quarantined",
                    "quarantined",
                    "-",
                    "-",
                    "-",
                ],
            ),
            (Event::Due, ["-", "-", "-", "-", "recovering", "-", "-"]),
            (
                Event::NoDriver("x".into()),
                [
                    "unbound", "unbound", "unbound", "unbound", "unbound", "unbound", "-",
                ],
            ),
            (Event::Disabled, ["disabled"; 7]),
            (
                Event::Released,
                ["-", "-", "-", "-", "unbound", "unbound", "unbound"],
            ),
        ];
        for (event, expected) in events {
            for (state, expected) in states.iter().zip(expected) {
                let next = state.next(event.clone());
                let word = next.as_ref().map_or("-", State::word);
                assert_eq!(word, expected, "{state:?} on {event:?}");
            }
        }
    }
}
