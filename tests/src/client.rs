// SPDX-License-Identifier: MIT
//! Programs under `drvhost exec`.

use crate::machine::{Machine, text};
use crate::process::{Guard, until};
use anyhow::{Context, Result, bail};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::Read;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

/// A program that runs under `drvhost exec`. Its output is a terminal, so that it comes at once.
#[derive(Debug)]
pub struct Client {
    /// The process: `exec` becomes the program.
    pub guard: Guard,
    out: Arc<Mutex<Vec<u8>>>,
}

impl Client {
    /// Runs a program to its end; gives what it printed. An error unless it succeeds.
    pub fn run(machine: &Machine, program: &[&str]) -> Result<String> {
        let args: Vec<_> = ["exec", "--"].iter().chain(program).copied().collect();
        let output = machine.command(&args)?.stdin(Stdio::null()).output()?;
        if !output.status.success() {
            bail!("{program:?}: {}\n{}", text(&output), machine.log());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Starts a program; its standard input stays open until the client is dropped.
    pub fn start(machine: &Machine, program: &[&str]) -> Result<Client> {
        let args: Vec<_> = ["exec", "--"].iter().chain(program).copied().collect();
        let (mut terminal, end) = terminal()?;
        let child = machine
            .command(&args)?
            .stdin(Stdio::piped())
            .stdout(end.try_clone()?)
            .stderr(end)
            .spawn()?;
        let out = Arc::new(Mutex::new(Vec::new()));
        let collected = out.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // An error is the end: the program closed its side.
            while let Ok(count @ 1..) = terminal.read(&mut buffer) {
                collected
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend(&buffer[..count]);
            }
        });
        Ok(Client {
            guard: Guard(child),
            out,
        })
    }

    /// What it printed so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&self.out.lock().unwrap_or_else(PoisonError::into_inner))
            .into_owned()
    }

    /// Whether it still runs.
    pub fn running(&mut self) -> bool {
        matches!(self.guard.0.try_wait(), Ok(None))
    }

    /// Waits until it has printed `count` lines that contain `text`; an error if it ends.
    pub fn wait_lines(&mut self, text: &str, count: usize) -> Result<()> {
        until(&format!("{count} lines with {text:?}"), || {
            let found = self
                .output()
                .lines()
                .filter(|line| line.contains(text))
                .count();
            (found >= count || !self.running()).then_some(found)
        })
        .with_context(|| self.output())
        .and_then(|found| {
            if found < count {
                bail!("the program ended early:\n{}", self.output());
            }
            Ok(())
        })
    }

    /// Lines that contain `text` so far.
    pub fn count_lines(&self, text: &str) -> usize {
        self.output()
            .lines()
            .filter(|line| line.contains(text))
            .count()
    }

    /// Closes its standard input and waits for its end.
    pub fn finish(mut self) -> Result<String> {
        drop(self.guard.0.stdin.take());
        let status = until("the program's end", || {
            self.guard.0.try_wait().ok().flatten()
        })?;
        if !status.success() {
            bail!("{status}:\n{}", self.output());
        }
        Ok(self.output())
    }
}

/// A terminal: our end, and the program's.
fn terminal() -> Result<(File, File)> {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let name = ptsname(&ours, Vec::new())?;
    let end = File::options()
        .read(true)
        .write(true)
        .open(name.to_str()?)?;
    Ok((ours.into(), end))
}
