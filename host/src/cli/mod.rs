// SPDX-License-Identifier: MIT
//! The command line. Each verb is a module; text for people, `--json` for programs.

pub mod args;
mod crashes;
mod doctor;
mod exec;
mod list;
mod logs;
mod manifest;
mod screenshot;
mod show;
mod simple;
mod table;

pub use args::{Arguments, Verb};

use crate::control::protocol::{Failure, Kind};
use std::io::Write;

/// How a verb says what it found.
#[derive(Debug)]
pub struct Output<'a> {
    /// Where to.
    pub out: &'a mut dyn WriteDebug,
    /// JSON instead of text.
    pub json: bool,
}

/// A writer.
pub trait WriteDebug: Write + std::fmt::Debug {}
impl<T: Write + std::fmt::Debug> WriteDebug for T {}

impl Output<'_> {
    /// Writes text, with a line end.
    pub fn text(&mut self, text: impl AsRef<str>) -> Result<(), Failure> {
        let text = text.as_ref();
        let end = if text.ends_with('\n') { "" } else { "\n" };
        write!(self.out, "{text}{end}")
            .map_err(|error| Failure::new(Kind::Failed, error.to_string()))
    }

    /// Writes a value as JSON.
    pub fn json(&mut self, value: &impl serde::Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(bad)?;
        self.text(text)
    }
}

/// An answer or value of the wrong shape.
pub(crate) fn bad(error: impl std::fmt::Display) -> Failure {
    Failure::new(
        Kind::Failed,
        format!("the daemon's answer makes no sense: {error}"),
    )
}

/// Runs a verb. The worker and the daemon are not verbs of this kind: `main` runs them.
pub fn run(verb: Verb, out: &mut Output<'_>) -> Result<(), Failure> {
    use crate::control::protocol::Request;
    match verb {
        Verb::List => list::run(out),
        Verb::Show { device } => show::run(device, out),
        Verb::Doctor { device } => doctor::run(device, out),
        Verb::Logs {
            device,
            lines,
            follow,
        } => logs::run(device, lines, follow, out),
        Verb::Crashes { id } => crashes::run(id, out),
        Verb::Restart { device } => simple::run(Request::Restart { device }, out),
        Verb::Disable { device } => simple::run(Request::Disable { device }, out),
        Verb::Enable { device } => simple::run(Request::Enable { device }, out),
        Verb::Bind { device, driver } => simple::run(Request::Bind { device, driver }, out),
        Verb::Unbind { device } => simple::run(Request::Unbind { device }, out),
        Verb::Step { ns } => simple::run(Request::Step { ns }, out),
        Verb::Stop => simple::run(Request::Stop, out),
        Verb::Screenshot { device, file } => screenshot::run(device, &file, out),
        Verb::Manifest { action } => manifest::run(action, out),
        Verb::Exec { program } => exec::run(&program),
        Verb::Worker => Err(Failure::new(
            Kind::Usage,
            "`worker` is for the daemon alone",
        )),
    }
}
