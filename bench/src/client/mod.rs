// SPDX-License-Identifier: MIT
//! The program under `drvhost exec`: it makes the calls that standard input orders, a JSON line
//! each, and answers with a JSON line.
//!
//! * [`ioctl`]: one ioctl through libc;
//! * [`card`]: the calls of a node.

pub mod card;
pub mod ioctl;

use crate::floor::time;
use anyhow::{Context, Result};
use card::{Card, Screen};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

/// What to do.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Order {
    /// Times calls.
    Time(Call, usize),
    /// Kills a worker and times the answer to a call that needs one.
    Recover(i32),
    /// Flips at every vblank until the next order comes.
    Flip,
    /// Ends `Flip`; has no answer of its own.
    Stop,
}

/// Calls to time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Call {
    /// `GET_CAP` of the card node.
    CardCap,
    /// `GET_CAP` of the render node.
    RenderCap,
    /// `MODE_GETRESOURCES`.
    Resources,
    /// `MODE_PAGE_FLIP` until the call returns.
    Flip,
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// Ready for orders.
    Ready,
    /// How long each call took.
    Times(Vec<Duration>),
    /// The vblanks of the flips: number, and time in nanoseconds of the monotonic clock.
    Vblanks(Vec<(u32, u64)>),
    /// It failed.
    Failed(String),
}

/// Calls in front of each flip. A flip comes once a frame, and a CPU that slept a frame long is
/// slow to answer anything: the echo that it is compared with has no such pauses.
const BETWEEN_FLIPS: usize = 20;

struct Program {
    card: Card,
    render: Card,
    screen: Screen,
}

/// Serves until standard input ends.
pub fn serve() -> Result<()> {
    let mut card = Card::open("card0")?;
    let render = Card::open("renderD128")?;
    let screen = card.set_up()?;
    let mut program = Program {
        card,
        render,
        screen,
    };
    answer(&Answer::Ready)?;
    for line in std::io::stdin().lock().lines() {
        let order = serde_json::from_str(&line?)?;
        if let Order::Stop = order {
            continue;
        }
        answer(&match program.obey(order) {
            Ok(answer) => answer,
            Err(error) => Answer::Failed(format!("{error:#}")),
        })?;
    }
    Ok(())
}

fn answer(answer: &Answer) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    serde_json::to_writer(&mut stdout, answer)?;
    stdout.write_all(b"\n")?;
    Ok(stdout.flush()?)
}

/// Whether there is another order.
fn ordered() -> Result<bool> {
    let stdin = std::io::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    Ok(poll(&mut fds, Some(&at_once))? > 0)
}

impl Program {
    fn obey(&mut self, order: Order) -> Result<Answer> {
        let card = &mut self.card;
        match order {
            Order::Time(call, rounds) => Ok(Answer::Times(match call {
                Call::CardCap => time(rounds, || card.get_cap())?,
                Call::RenderCap => time(rounds, || self.render.get_cap())?,
                Call::Resources => time(rounds, || card.resources())?,
                Call::Flip => self.time_flips(rounds)?,
            })),
            Order::Recover(worker) => {
                let worker = Pid::from_raw(worker).context("pid 0")?;
                let start = Instant::now();
                kill_process(worker, Signal::KILL)?;
                card.resources()?;
                Ok(Answer::Times(vec![start.elapsed()]))
            }
            Order::Stop => Ok(Answer::Ready),
            Order::Flip => {
                let mut vblanks = Vec::new();
                while !ordered()? {
                    card.flip(&mut self.screen)?;
                    vblanks.push(card.flipped()?);
                }
                Ok(Answer::Vblanks(vblanks))
            }
        }
    }

    fn time_flips(&mut self, rounds: usize) -> Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            for _ in 0..BETWEEN_FLIPS {
                self.card.resources()?;
            }
            let start = Instant::now();
            self.card.flip(&mut self.screen)?;
            times.push(start.elapsed());
            self.card.flipped()?;
        }
        Ok(times)
    }
}
