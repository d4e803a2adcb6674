// SPDX-License-Identifier: MIT
//! `drvhost-sim`: runs a simulated machine, or asks a running one.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::channel;

use anyhow::Context;
use clap::{Parser, Subcommand};
use drvhost_sim::control::{self, Control};
use drvhost_sim::machine::Machine;
use drvhost_sim::running::Running;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Simulated PCI devices over vfio-user.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    ask: Option<Ask>,
    /// Description of the machine.
    #[arg(required = true)]
    machine: Option<PathBuf>,
    /// Directory for the devices' sockets and control.sock; made if it is not there.
    #[arg(long, required = true)]
    dir: Option<PathBuf>,
    /// End when the parent process ends.
    #[arg(long)]
    exit_with_parent: bool,
}

#[derive(Debug, Subcommand)]
enum Ask {
    /// Send one request to a running simulator and print the reply. Exit code 1: it said no.
    Ctl {
        /// The simulator's directory.
        dir: PathBuf,
        /// A JSON object, or a command and its fields: screenshot 0000:00:02.0 picture.png
        #[arg(required = true, trailing_var_arg = true)]
        words: Vec<String>,
    },
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    let arguments = Arguments::parse();
    let result = match (arguments.ask, arguments.machine, arguments.dir) {
        (Some(Ask::Ctl { dir, words }), _, _) => ask(&dir, &words),
        (None, Some(machine), Some(dir)) => {
            run(&machine, &dir, arguments.exit_with_parent).map(|()| true)
        }
        _ => Err(anyhow::anyhow!(
            "a machine and --dir are needed; see --help"
        )),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("drvhost-sim: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn ask(dir: &Path, words: &[String]) -> anyhow::Result<bool> {
    let reply = control::ask(dir, &control::request(words)?)?;
    println!("{reply}");
    Ok(reply["ok"] == true)
}

fn run(machine: &Path, dir: &Path, exit_with_parent: bool) -> anyhow::Result<()> {
    let (stop, stopped) = channel();
    // Signals first: from here on nothing is left behind.
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).context("watch for signals")?;
    let by_signal = stop.clone();
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for _ in signals.forever() {
                let _ = by_signal.send(());
            }
        })?;
    if exit_with_parent {
        let parent = rustix::process::getppid();
        let signal = Some(rustix::process::Signal::TERM);
        rustix::process::set_parent_process_death_signal(signal).context("follow the parent")?;
        // It may have ended before it could be watched.
        if rustix::process::getppid() != parent {
            return Ok(());
        }
    }
    let machine = Machine::load(machine)?;
    let made = !dir.exists();
    std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    let served = serve(&machine, dir, stop, || stopped.recv().is_ok());
    if made {
        // Stays when somebody else put files there.
        let _ = std::fs::remove_dir(dir);
    }
    served
}

fn serve(
    machine: &Machine,
    dir: &Path,
    stop: std::sync::mpsc::Sender<()>,
    wait: impl FnOnce() -> bool,
) -> anyhow::Result<()> {
    let machine = Arc::new(Running::start(machine, dir)?);
    let control = Control::start(machine.clone(), dir, stop)?;
    println!("ready");
    std::io::stdout().flush().context("say that all is ready")?;
    wait();
    drop(control);
    drop(machine);
    Ok(())
}
