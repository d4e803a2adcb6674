// SPDX-License-Identifier: MIT
//! A simulated machine with drvhost on it, and a client that takes orders.

use crate::client::{Answer, Order};
use crate::control;
use crate::placement::{Cpus, Placement};
use anyhow::{Context, Result, bail};
use drvhost_tests::{Guard, Machine, Options};
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdout, Stdio};
use std::time::Duration;

/// Between questions to the daemon: they take the CPUs that are measured.
const PAUSE: Duration = Duration::from_millis(1);

/// A machine, drvhost and a client with a picture on the screen.
#[derive(Debug)]
pub struct Bed {
    client: Guard,
    answers: BufReader<ChildStdout>,
    machine: Machine,
    spare: bool,
}

impl Bed {
    /// Starts all of it, on all CPUs; with a spare worker or without.
    pub fn start(spare: bool) -> Result<Bed> {
        let daemon = if spare {
            vec!["--spare".into()]
        } else {
            Vec::new()
        };
        let machine = Machine::with(
            "sim",
            &Options {
                daemon,
                ..Options::default()
            },
        )?;
        let program = std::env::current_exe()?;
        let program = program.to_str().context("this program's path is no text")?;
        let client = machine
            .command(&["exec", "--", program, "client"])?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut client = Guard(client);
        let answers = BufReader::new(client.0.stdout.take().context("stdout")?);
        let mut bed = Bed {
            client,
            answers,
            machine,
            spare,
        };
        match bed.answer()? {
            Answer::Ready => Ok(bed),
            other => bail!("the client began with {other:?}"),
        }
    }

    /// Moves the processes to their CPUs. Workers that start later sit where the host does.
    pub fn place(&self, placement: &Placement) -> Result<()> {
        let worker = self.worker()?;
        placement.client.pin(self.client.0.id())?;
        placement.host.pin(self.host())?;
        placement.worker.pin(self.machine.simulator())?;
        placement.worker.pin(worker)
    }

    /// All processes on the same CPUs.
    pub fn place_all(&self, cpus: &Cpus) -> Result<()> {
        let (client, host, worker) = (cpus.clone(), cpus.clone(), cpus.clone());
        self.place(&Placement {
            client,
            host,
            worker,
        })
    }

    /// The host's process id.
    pub fn host(&self) -> u32 {
        self.machine.daemon.0.id()
    }

    /// The worker's process id, once it runs, and a spare one stands by if there is to be one.
    pub fn worker(&self) -> Result<u32> {
        control::wait(&self.machine.run_dir(), PAUSE, |shown| {
            shown
                .worker()
                .filter(|_| shown.running() && (!self.spare || shown.spare().is_some()))
        })
        .with_context(|| self.log())
    }

    /// The same, of another worker than `old`.
    pub fn worker_after(&self, old: u32) -> Result<u32> {
        control::wait(&self.machine.run_dir(), PAUSE, |shown| {
            shown
                .worker()
                .filter(|_| shown.running() && (!self.spare || shown.spare().is_some()))
                .filter(|&pid| pid != old)
        })
        .with_context(|| self.log())
    }

    /// The end of the daemon's log.
    fn log(&self) -> String {
        let log = self.machine.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    /// Gives the client an order.
    pub fn order(&mut self, order: Order) -> Result<()> {
        let stdin = self.client.0.stdin.as_mut().context("stdin")?;
        Ok(stdin.write_all(format!("{}\n", serde_json::to_string(&order)?).as_bytes())?)
    }

    /// Waits for the answer.
    pub fn answer(&mut self) -> Result<Answer> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        match serde_json::from_str(&line) {
            Ok(Answer::Failed(error)) => bail!("the client: {error}\n{}", self.log()),
            Ok(answer) => Ok(answer),
            Err(_) => bail!("the client ended\n{}", self.log()),
        }
    }

    /// An order that is answered with times.
    pub fn times(&mut self, order: Order) -> Result<Vec<Duration>> {
        self.order(order)?;
        match self.answer()? {
            Answer::Times(times) => Ok(times),
            other => bail!("{order:?} was answered with {other:?}"),
        }
    }
}
