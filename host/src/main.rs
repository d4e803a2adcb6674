// SPDX-License-Identifier: MIT
//! `drvhost`: runs hardware drivers as plugins in processes of their own.
//!
//! One executable is the daemon, its workers and all commands. Read in this order:
//! * [`daemon`]: what the daemon is made of;
//! * [`bus`]: where devices come from;
//! * [`supervisor`]: one actor for each device, its states and policies;
//! * [`control`]: the socket between commands and daemon;
//! * [`cli`]: the commands;
//! * [`logs`]: the log.

mod bus;
mod cli;
mod control;
mod daemon;
mod logs;
mod supervisor;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    match arguments.verb {
        Some(cli::Verb::Worker) => drvhost_worker::run(),
        None => daemon::main(&arguments.daemon),
        Some(verb) => {
            let mut stdout = std::io::stdout();
            let mut out = cli::Output {
                out: &mut stdout,
                json: arguments.json,
            };
            match cli::run(verb, &mut out) {
                Ok(()) => ExitCode::SUCCESS,
                Err(failure) => {
                    eprintln!("drvhost: {failure}");
                    ExitCode::from(failure.kind as u8)
                }
            }
        }
    }
}
