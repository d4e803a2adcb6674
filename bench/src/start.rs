// SPDX-License-Identifier: MIT
//! From the start of the daemon's process to a card that is ready.

use crate::control;
use crate::placement::Cpus;
use crate::row::Row;
use crate::samples::Samples;
use anyhow::{Context, Result};
use drvhost_tests::{Guard, Machine};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Starts drvhost so often on a simulated machine that runs already. Its files are in the page
/// cache; all else is made anew.
pub fn measure(cpus: &Cpus, starts: usize) -> Result<Row> {
    let mut machine = Machine::start("sim")?;
    machine.daemon.0.kill()?;
    machine.daemon.0.wait()?;
    let programs = std::env::current_exe()?;
    let programs = programs.parent().context("this program's directory")?;
    let drivers = programs.parent().context("target")?.join("drivers");
    let mut times = Vec::with_capacity(starts);
    for _ in 0..starts {
        let run = tempfile::tempdir()?;
        let mut command = Command::new(programs.join("drvhost"));
        command
            .arg("--bus")
            .arg(machine.bus())
            .arg("--drivers")
            .arg(&drivers);
        command.env("DRVHOST_RUN", run.path());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let start = Instant::now();
        let daemon = cpus.spawn(&mut command).map(Guard)?;
        // Asking takes the CPUs that are measured, and adds half a pause to the time.
        let pause = Duration::from_micros(200);
        control::wait(run.path(), pause, |shown| shown.running().then_some(()))?;
        times.push(start.elapsed());
        drop(daemon);
    }
    let samples = Samples::millis(&times).context("no starts")?;
    let placement = format!("host, worker: CPU {cpus}");
    Ok(Row::new(
        "start of drvhost to card0 ready",
        &placement,
        "ms",
        &samples,
    ))
}
