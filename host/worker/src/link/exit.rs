// SPDX-License-Identifier: MIT
//! How a worker ended, and why the host killed it if it did.

use super::hang::HangReport;
use std::fmt;

/// What the system says about a worker's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Status {
    /// It exited with this code.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
}

/// Why a worker ended.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Cause {
    /// By itself: a crash, or an exit nobody asked for.
    Itself,
    /// The host asked it to give its device up.
    Removed,
    /// The host killed it: it was not needed any more.
    Killed,
    /// The host killed it: it hung.
    Hang(HangReport),
    /// The host killed it: it broke the protocol.
    Violation(String),
}

/// How a worker ended.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Exit {
    /// What the system says.
    pub status: Status,
    /// Why.
    pub cause: Cause,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Code(code) => write!(f, "exit code {code}"),
            Status::Signal(signal) => write!(f, "{}", signal_name(*signal)),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Itself => write!(f, "{}", self.status),
            Cause::Removed => write!(f, "gave its device up ({})", self.status),
            Cause::Killed => f.write_str("stopped by the host"),
            Cause::Hang(report) => write!(f, "hung: {report}"),
            Cause::Violation(why) => write!(f, "broke the protocol: {why}"),
        }
    }
}

/// The name of a signal, as `SIGSEGV`.
pub fn signal_name(signal: i32) -> String {
    let names = [
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGSYS, "SIGSYS"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGXCPU, "SIGXCPU"),
        (libc::SIGXFSZ, "SIGXFSZ"),
    ];
    match names.iter().find(|(number, _)| *number == signal) {
        Some((_, name)) => (*name).into(),
        None => format!("signal {signal}"),
    }
}
