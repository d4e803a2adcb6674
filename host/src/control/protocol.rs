// SPDX-License-Identifier: MIT
//! What the commands say to the daemon: one JSON object a line each way over `control.sock`.
//!
//! A request is answered by one line, `{"ok": …}` or `{"error": {"kind": …, "message": …}}`.
//! `logs` with `follow` is answered by a line for each log line, without end; `screenshot` by a
//! line with `length`, then that many bytes of PNG.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A line from a command is at most this long, in bytes.
pub const MAX_REQUEST: u64 = 64 * 1024;

/// What a command asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// All devices.
    List,
    /// One device, with its files and buffers.
    Show {
        /// PCI address or node name.
        device: String,
    },
    /// Why devices are or are not driven.
    Doctor {
        /// PCI address or node name; all without.
        device: Option<String>,
    },
    /// Log lines.
    Logs {
        /// PCI address; all lines without.
        device: Option<String>,
        /// How many of the last lines.
        lines: usize,
        /// Go on with new ones.
        follow: bool,
    },
    /// Ends a device's worker and starts it anew; also out of quarantine.
    Restart {
        /// PCI address or node name.
        device: String,
    },
    /// Takes a device's driver away until it is enabled.
    Disable {
        /// PCI address or node name.
        device: String,
    },
    /// Undoes `disable`.
    Enable {
        /// PCI address or node name.
        device: String,
    },
    /// Binds a device to a driver by name.
    Bind {
        /// PCI address or node name.
        device: String,
        /// The manifest's driver name.
        driver: String,
    },
    /// Takes a device's driver away.
    Unbind {
        /// PCI address or node name.
        device: String,
    },
    /// Crash reports: a list, or one.
    Crashes {
        /// Number of the report.
        id: Option<u64>,
    },
    /// A picture of what a card shows.
    Screenshot {
        /// Node name or PCI address.
        device: String,
    },
    /// What `drvhost exec` shows to a program.
    Nodes,
    /// Steps a stepped clock.
    Step {
        /// Nanoseconds.
        ns: u64,
    },
    /// Ends the daemon.
    Stop,
}

impl Request {
    /// Whether this changes something, and so is for root and the daemon's own user alone.
    pub fn changes(&self) -> bool {
        use Request::*;
        match self {
            List | Show { .. } | Doctor { .. } | Logs { .. } | Crashes { .. } | Nodes => false,
            Restart { .. }
            | Disable { .. }
            | Enable { .. }
            | Bind { .. }
            | Unbind { .. }
            | Step { .. }
            | Stop => true,
            // It shows what others see.
            Screenshot { .. } => true,
        }
    }
}

/// What the daemon answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// The answer.
    Ok(Value),
    /// What went wrong.
    Error(Failure),
}

/// What went wrong with a command. The kinds are the exit codes of the commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Which kind.
    pub kind: Kind,
    /// What was tried, on what, and what to do.
    pub message: String,
}

/// Kinds of failure; their numbers are exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The daemon tried and failed.
    Failed = 1,
    /// The request makes no sense.
    Usage = 2,
    /// The daemon does not run.
    NoDaemon = 3,
    /// No such device, node, driver or report.
    NotFound = 4,
    /// Not for this user.
    Denied = 5,
}

impl Failure {
    /// A failure of a kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Failure {
        Failure {
            kind,
            message: message.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_json_objects() {
        let cases = [
            (r#"{"cmd":"list"}"#, Request::List),
            (
                r#"{"cmd":"doctor","device":null}"#,
                Request::Doctor { device: None },
            ),
            (r#"{"cmd":"step","ns":5}"#, Request::Step { ns: 5 }),
        ];
        for (text, request) in cases {
            assert_eq!(serde_json::from_str::<Request>(text).unwrap(), request);
            assert_eq!(serde_json::to_string(&request).unwrap(), text);
        }
    }

    #[test]
    fn unknown_requests_are_errors() {
        for text in [
            "{}",
            r#"{"cmd":"fly"}"#,
            r#"{"cmd":"step","ns":-1}"#,
            "[]",
            "",
        ] {
            assert!(serde_json::from_str::<Request>(text).is_err(), "{text}");
        }
    }
}
