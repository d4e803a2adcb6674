// SPDX-License-Identifier: MIT
//! `drvhost-bench`: what a call, a crash, a start and idling cost.
//!
//! One run prints a table and writes it as JSON. Every row names the CPUs that the processes were
//! pinned to; round trips are also ratios to a socket echo between the same CPUs in the same run.
//! Read in this order:
//! * [`run`]: what is measured, in which order;
//! * [`placement`], [`samples`], [`row`]: CPUs, statistics, the table;
//! * [`floor`]: the socket's echo, the ring's, and the FUSE ioctl;
//! * [`bed`], [`control`], [`client`]: a machine with drvhost, questions to it, and the program
//!   under `drvhost exec` that makes the calls;
//! * [`calls`], [`recovery`], [`flips`], [`start`], [`matching`], [`resting`]: the measurements.

mod bed;
mod calls;
mod client;
mod control;
mod flips;
mod floor;
mod matching;
mod placement;
mod recovery;
mod resting;
mod row;
mod run;
mod samples;
mod start;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures drvhost; the programs are those beside this one.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the results go, as JSON.
    #[arg(long, default_value = "target/bench/results.json")]
    out: PathBuf,
    /// Fewer rounds: quick, and less precise.
    #[arg(long)]
    quick: bool,
    /// Only these parts.
    #[arg(long, value_enum)]
    only: Vec<run::Part>,
    #[command(subcommand)]
    role: Option<Role>,
}

/// The other processes of a measurement: this program starts them.
#[derive(Debug, Subcommand)]
enum Role {
    /// Returns messages that come over standard input, a socket.
    #[command(hide = true)]
    Echo,
    /// Returns calls that come through standard input, a ring.
    #[command(hide = true)]
    Ring,
    /// Serves a file system with one file whose ioctls are answered.
    #[command(hide = true)]
    Fuse {
        /// Where to mount it.
        dir: PathBuf,
    },
    /// Makes calls as standard input orders them.
    #[command(hide = true)]
    Client,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    match arguments.role {
        Some(Role::Echo) => floor::echo::serve()?,
        Some(Role::Ring) => floor::ring::serve()?,
        Some(Role::Fuse { dir }) => floor::fuse::serve(&dir)?,
        Some(Role::Client) => client::serve()?,
        None => return run::run(&arguments.out, arguments.quick, &arguments.only),
    }
    Ok(ExitCode::SUCCESS)
}
