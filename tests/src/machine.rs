// SPDX-License-Identifier: MIT
//! A machine (simulated or QEMU's) with drvhost on it.

use crate::process::{Guard, until};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// How a machine is started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Further arguments of the daemon.
    pub daemon: Vec<String>,
    /// Manifests and overrides, by file name; they win over the built ones.
    pub manifests: Vec<(String, String)>,
    /// Test plugins (`crash`, `attack`) to put beside them, as `<name>_redox.so`.
    pub plugins: Vec<String>,
    /// Do not wait for `card0`.
    pub no_wait: bool,
}

/// A running machine and drvhost.
#[derive(Debug)]
pub struct Machine {
    // In this order the parts end: daemon, machine, directories.
    /// The daemon.
    pub daemon: Guard,
    simulator: Guard,
    dir: TempDir,
}

/// The directory of the programs: that of this test's build.
pub fn programs() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    // Tests lie in `deps` below it, programs that measure in it.
    let dirs = own.ancestors().skip(1).take(2);
    let dir = dirs.into_iter().find(|dir| dir.join("drvhost").exists());
    let dir = dir.with_context(|| format!("no drvhost near {}: build first", own.display()))?;
    Ok(dir.to_owned())
}

impl Machine {
    /// Starts `sim/machines/<name>.ron` and drvhost.
    pub fn start(name: &str) -> Result<Machine> {
        Machine::with(name, &Options::default())
    }

    /// The same with options.
    pub fn with(name: &str, options: &Options) -> Result<Machine> {
        let programs = programs()?;
        let dir = tempfile::tempdir()?;
        let path = |name: &str| dir.path().join(name);
        for name in ["bus", "run", "overrides"] {
            std::fs::create_dir(path(name))?;
        }
        for (name, text) in &options.manifests {
            std::fs::write(path("overrides").join(name), text)?;
        }
        for name in &options.plugins {
            let built = programs.join(format!("libplugin_{name}.so"));
            std::fs::copy(&built, path("overrides").join(format!("{name}_redox.so")))
                .with_context(|| format!("{}: build the workspace first", built.display()))?;
        }
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = source.join("../sim/machines").join(format!("{name}.ron"));
        let log = |name: &str| -> Result<Stdio> { Ok(File::create(path(name))?.into()) };
        let simulator = Command::new(programs.join("drvhost-sim"))
            .arg(file)
            .arg("--dir")
            .arg(path("bus"))
            .stdin(Stdio::null())
            .stdout(log("machine.out")?)
            .stderr(log("machine.log")?)
            .spawn()
            .map(Guard)?;
        until("the machine", || {
            let out = std::fs::read_to_string(path("machine.out")).ok()?;
            out.starts_with("ready").then_some(())
        })
        .with_context(|| std::fs::read_to_string(path("machine.log")).unwrap_or_default())?;
        let daemon = Command::new(programs.join("drvhost"))
            .arg("--bus")
            .arg(path("bus"))
            .arg("--drivers")
            .arg(drivers(&programs)?)
            .arg("--drivers")
            .arg(path("overrides"))
            .args(&options.daemon)
            .env("DRVHOST_RUN", path("run"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log("drvhost.log")?)
            .spawn()
            .map(Guard)?;
        let machine = Machine {
            daemon,
            simulator,
            dir,
        };
        until("the daemon", || {
            machine
                .run_dir()
                .join("control.sock")
                .exists()
                .then_some(())
        })
        .with_context(|| machine.log())?;
        if !options.no_wait {
            machine.wait_state("card0", "running")?;
        }
        Ok(machine)
    }

    /// The daemon's socket directory.
    pub fn run_dir(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    /// The directory of the machine's sockets.
    pub fn bus(&self) -> PathBuf {
        self.dir.path().join("bus")
    }

    /// The directory of manifests and overrides that win.
    pub fn overrides(&self) -> PathBuf {
        self.dir.path().join("overrides")
    }

    /// A file name in the machine's own directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The daemon's log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.file("drvhost.log")).unwrap_or_default()
    }

    /// A `drvhost` command.
    pub fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(programs()?.join("drvhost"));
        command.args(args).env("DRVHOST_RUN", self.run_dir());
        Ok(command)
    }

    /// Runs a `drvhost` command; an error unless it succeeds.
    pub fn drvhost(&self, args: &[&str]) -> Result<String> {
        let output = self.command(args)?.output()?;
        if !output.status.success() {
            bail!("drvhost {args:?}: {}{}", text(&output), self.log());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The answer of a command with `--json`.
    pub fn json(&self, args: &[&str]) -> Result<Value> {
        let args: Vec<_> = ["--json"].iter().chain(args).copied().collect();
        Ok(serde_json::from_str(&self.drvhost(&args)?)?)
    }

    /// One command to the simulator or bridge, in JSON.
    pub fn hardware(&self, request: &Value) -> Result<Value> {
        use std::io::{BufRead, BufReader, Write};
        let socket = self.bus().join("control.sock");
        let mut stream = std::os::unix::net::UnixStream::connect(socket)?;
        stream.write_all(format!("{request}\n").as_bytes())?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        let reply: Value = serde_json::from_str(&line)?;
        ensure!(reply.get("error").is_none(), "{request}: {reply}");
        Ok(reply)
    }

    /// `show` of a device.
    pub fn show(&self, device: &str) -> Result<Value> {
        self.json(&["show", device])
    }

    /// Waits until a device is in a state.
    pub fn wait_state(&self, device: &str, state: &str) -> Result<Value> {
        until(&format!("{device} to be {state}"), || {
            self.show(device)
                .ok()
                .filter(|shown| shown["state"] == state)
        })
        .with_context(|| self.log())
    }

    /// The process id of a device's worker.
    pub fn worker(&self, device: &str) -> Result<Pid> {
        let pid = self.show(device)?["worker"].as_i64().context("no worker")?;
        Pid::from_raw(i32::try_from(pid)?).context("pid 0")
    }

    /// Sends a signal to a device's worker and gives its process id.
    pub fn signal_worker(&self, device: &str, signal: Signal) -> Result<Pid> {
        let pid = self.worker(device)?;
        kill_process(pid, signal)?;
        Ok(pid)
    }

    /// Waits until a device has another worker than `old`, and is running.
    pub fn wait_new_worker(&self, device: &str, old: Pid) -> Result<Pid> {
        until("a new worker", || {
            let shown = self.show(device).ok()?;
            let pid = Pid::from_raw(i32::try_from(shown["worker"].as_i64()?).ok()?)?;
            (pid != old && shown["state"] == "running").then_some(pid)
        })
        .with_context(|| self.log())
    }

    /// The process id of the simulator.
    pub fn simulator(&self) -> u32 {
        self.simulator.0.id()
    }
}

/// Lays the built drivers and manifests out in a directory of the build.
fn drivers(programs: &Path) -> Result<PathBuf> {
    let dir = programs.parent().context("target")?.join("drivers");
    ensure!(dir.exists(), "no {}: run `make build`", dir.display());
    Ok(dir)
}

/// What a program printed, for messages.
pub fn text(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
