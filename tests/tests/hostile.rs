// SPDX-License-Identifier: MIT
//! Programs that do everything wrong: errors for them, and nothing for anybody else.

use anyhow::{Context, Result, ensure};
use drvhost_tests::{Client, Machine, programs, until};
use rustix::process::Signal;

fn open_files(machine: &Machine) -> Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{}/fd", machine.daemon.0.id()))?.count())
}

#[test]
fn a_hundred_thousand_malformed_ioctls() -> Result<()> {
    let machine = Machine::start("sim")?;
    let fuzz = programs()?.join("ioctl-fuzz");
    let fuzz = fuzz.to_str().context("path")?;
    Client::run(&machine, &["modetest", "-M", "dispi", "-c"])?;
    let before = open_files(&machine)?;
    for (seed, node) in [
        ("1", "card0"),
        ("2", "renderD128"),
        ("3", "card0"),
        ("4", "card0"),
    ] {
        let path = format!("/dev/dri/{node}");
        let results = Client::run(&machine, &[fuzz, &path, seed, "25000"])?;
        ensure!(results.contains("Invalid argument"), "{results}");
        ensure!(results.contains("Bad address"), "{results}");
    }
    let list = Client::run(&machine, &["modetest", "-M", "dispi"])?;
    ensure!(list.contains("1024x768"), "{list}");
    ensure!(machine.show("card0")?["restarts"] == 0, "{}", machine.log());
    until("the files to be closed", || {
        (open_files(&machine).ok()? <= before).then_some(())
    })?;
    Ok(())
}

#[test]
fn a_killed_program_leaves_nothing_behind() -> Result<()> {
    let machine = Machine::start("sim")?;
    Client::run(&machine, &["modetest", "-M", "dispi", "-c"])?;
    let before = open_files(&machine)?;
    let list = Client::run(&machine, &["modetest", "-M", "dispi", "-c"])?;
    let connector = list
        .lines()
        .find(|line| line.contains("\tconnected\t"))
        .and_then(|line| line.split_whitespace().next())
        .context("no connector")?;
    let set = format!("{connector}:1024x768");
    for _ in 0..20 {
        let mut client = Client::start(&machine, &["modetest", "-M", "dispi", "-s", &set, "-v"])?;
        client.wait_lines("setting mode", 1)?;
        let pid = rustix::process::Pid::from_child(&client.guard.0);
        rustix::process::kill_process(pid, Signal::KILL)?;
        client.guard.0.wait()?;
    }
    until("the files to be closed", || {
        (open_files(&machine).ok()? <= before).then_some(())
    })?;
    let shown = machine.show("card0")?;
    ensure!(shown["restarts"] == 0, "{shown}");
    Ok(())
}
