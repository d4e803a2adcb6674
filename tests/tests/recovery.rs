// SPDX-License-Identifier: MIT
//! Crashes and hangs that clients do not see, and drivers that never work.

use anyhow::{Context, Result, ensure};
use drvhost_tests::{Client, Machine, Options, Picture, until};
use rustix::process::Signal;
use serde_json::json;

const SIM: &str = "0000:00:02.0";

/// `modetest` that flips pages on the first connector.
fn flipping(machine: &Machine, card_args: &[&str]) -> Result<Client> {
    let list = Client::run(machine, &["modetest", "-M", "dispi", "-c"])?;
    let connector = list
        .lines()
        .find(|line| line.contains("\tconnected\t"))
        .and_then(|line| line.split_whitespace().next())
        .context("no connector")?
        .to_owned();
    let set = format!("{connector}:1024x768");
    let mut args = vec!["modetest", "-M", "dispi"];
    args.extend(card_args);
    args.extend(["-s", &set, "-v"]);
    let mut client = Client::start(machine, &args)?;
    client.wait_lines("freq", 1)?;
    Ok(client)
}

/// A small generator, so that the moments of a run can be had again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn kills(machine_name: &str, count: usize) -> Result<()> {
    let machine = Machine::start(machine_name)?;
    let mut client = flipping(&machine, &[])?;
    let mut random = Random(42);
    for round in 0..count {
        // A random moment between two flips; nothing waits for it.
        std::thread::sleep(std::time::Duration::from_micros(random.below(40_000)));
        let old = machine.signal_worker("card0", Signal::KILL)?;
        machine
            .wait_new_worker("card0", old)
            .with_context(|| format!("kill {round}"))?;
        ensure!(
            client.running(),
            "kill {round}: modetest ended:\n{}",
            client.output()
        );
    }
    let before = client.count_lines("freq");
    client
        .wait_lines("freq", before + 2)
        .with_context(|| machine.log())?;
    let shown = machine.show("card0")?;
    ensure!(shown["restarts"] == count, "{shown}");
    ensure!(shown["lost"] == json!([]), "{shown}");
    client.finish()?;
    Ok(())
}

#[test]
fn two_hundred_kills_on_the_simulator() -> Result<()> {
    kills("sim", 200)
}

#[test]
fn two_hundred_kills_on_qemu() -> Result<()> {
    kills("qemu", 200)
}

/// Steps the clock until `done`, as a real one would go on.
fn stepping<T>(machine: &Machine, what: &str, mut done: impl FnMut() -> Option<T>) -> Result<T> {
    until(what, || {
        machine.drvhost(&["step", "17000000"]).ok()?;
        done()
    })
}

fn hangs(machine_name: &str) -> Result<()> {
    let options = Options {
        daemon: vec!["--clock".into(), "stepped".into()],
        ..Options::default()
    };
    let machine = Machine::with(machine_name, &options)?;
    let list = Client::run(&machine, &["modetest", "-M", "dispi", "-c"])?;
    let connector = list
        .lines()
        .find(|line| line.contains("\tconnected\t"))
        .and_then(|line| line.split_whitespace().next())
        .context("no connector")?;
    let set = format!("{connector}:1024x768");
    let mut client = Client::start(&machine, &["modetest", "-M", "dispi", "-s", &set, "-v"])?;
    let flips = |client: &Client| client.count_lines("freq");
    stepping(&machine, "flips", || (flips(&client) > 0).then_some(()))?;
    for round in 0..20 {
        let old = machine.signal_worker("card0", Signal::STOP)?;
        stepping(&machine, "the hang to be found", || {
            // Beyond the limit of two seconds in a few steps.
            machine.drvhost(&["step", "700000000"]).ok()?;
            let shown = machine.show("card0").ok()?;
            (shown["state"] == "running" && shown["worker"] != old.as_raw_nonzero().get())
                .then_some(())
        })
        .with_context(|| format!("hang {round}: {}", machine.log()))?;
        ensure!(
            client.running(),
            "hang {round}: modetest ended:\n{}",
            client.output()
        );
    }
    let before = flips(&client);
    stepping(&machine, "flips after the hangs", || {
        (flips(&client) > before).then_some(())
    })?;
    let reports = machine.json(&["crashes"])?;
    let reports = reports.as_array().context("a list")?;
    ensure!(reports.len() == 20, "{} reports", reports.len());
    ensure!(
        reports
            .iter()
            .all(|r| r["cause"].as_str().is_some_and(|c| c.contains("hung")))
    );
    ensure!(client.running());
    Ok(())
}

#[test]
fn twenty_hangs_on_the_simulator() -> Result<()> {
    hangs("sim")
}

#[test]
fn twenty_hangs_on_qemu() -> Result<()> {
    hangs("qemu")
}

#[test]
fn pixels_survive() -> Result<()> {
    for (name, device) in [("sim", SIM), ("qemu", "0000:01:00.0")] {
        let machine = Machine::start(name)?;
        let list = Client::run(&machine, &["modetest", "-M", "dispi", "-c"])?;
        let connector = list
            .lines()
            .find(|line| line.contains("\tconnected\t"))
            .and_then(|line| line.split_whitespace().next())
            .context("no connector")?;
        let set = format!("{connector}:800x600");
        let mut client = Client::start(&machine, &["modetest", "-M", "dispi", "-s", &set])?;
        client.wait_lines("setting mode", 1)?;
        let before = until("the mode", || {
            let picture = Picture::of_monitor(&machine, device).ok()?;
            (picture.width == 800 && picture.pixel(10, 10) != [0, 0, 0]).then_some(picture)
        })?;
        let old = machine.signal_worker("card0", Signal::KILL)?;
        machine.wait_new_worker("card0", old)?;
        ensure!(
            Picture::of_monitor(&machine, device)? == before,
            "{name}: other pixels"
        );
        client.finish()?;
    }
    Ok(())
}

#[test]
fn a_driver_that_always_crashes_is_quarantined_and_its_sibling_flips_on() -> Result<()> {
    let manifest = r#"Manifest(
        driver: "crash",
        library: "crash_redox.so",
        params: {"crash": "probe"},
        policy: (backoff_first_ms: 1, backoff_limit_ms: 4),
    )"#;
    let over = r#"Override(address: "0000:00:03.0", driver: "crash")"#;
    let options = Options {
        manifests: vec![
            ("crash.ron".into(), manifest.into()),
            ("second.ron".into(), over.into()),
        ],
        plugins: vec!["crash".into()],
        ..Options::default()
    };
    let machine = Machine::with("two-displays", &options)?;
    let mut client = flipping(&machine, &[])?;
    let shown = machine.wait_state("0000:00:03.0", "quarantined")?;
    let reason = shown["reason"].as_str().unwrap_or_default();
    ensure!(
        reason.contains("SIGSEGV") && reason.contains("without progress"),
        "{shown}"
    );
    let before = client.count_lines("freq");
    client.wait_lines("freq", before + 1)?;
    client.finish()?;
    ensure!(machine.show("card0")?["restarts"] == 0);
    Ok(())
}

#[test]
fn a_device_in_a_bad_state_comes_back() -> Result<()> {
    let machine = Machine::start("sim")?;
    let mut client = flipping(&machine, &[])?;
    machine.hardware(&json!({"command": "break", "device": SIM}))?;
    let old = machine.signal_worker("card0", Signal::KILL)?;
    machine.wait_new_worker("card0", old)?;
    let before = client.count_lines("freq");
    client.wait_lines("freq", before + 1)?;
    client.finish()?;
    let shown = Picture::of_monitor(&machine, SIM)?;
    ensure!((shown.width, shown.height) == (1024, 768), "{shown:?}");
    Ok(())
}

/// What the host holds: descriptors, memory in pages, children.
fn holdings(machine: &Machine) -> Result<(usize, u64, usize)> {
    let pid = machine.daemon.0.id();
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd"))?.count();
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages = statm.split_whitespace().nth(1).context("statm")?.parse()?;
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let mut all = children.split_whitespace().count();
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = task?.path().join("children");
        all += std::fs::read_to_string(path)
            .unwrap_or_default()
            .split_whitespace()
            .count();
    }
    Ok((fds, pages, all - children.split_whitespace().count()))
}

#[test]
fn a_thousand_restarts_leave_nothing_behind() -> Result<()> {
    let machine = Machine::start("sim")?;
    let mut client = flipping(&machine, &[])?;
    let restart = |count: usize| -> Result<()> {
        for _ in 0..count {
            let old = machine.worker("card0")?;
            machine.drvhost(&["restart", "card0"])?;
            machine.wait_new_worker("card0", old)?;
        }
        Ok(())
    };
    restart(50)?;
    let before = holdings(&machine)?;
    restart(1000)?;
    let after = until("descriptors to settle", || {
        let now = holdings(&machine).ok()?;
        (now.0 <= before.0 && now.2 == before.2).then_some(now)
    })
    .with_context(|| format!("{before:?} became {:?}", holdings(&machine)))?;
    // Allocators keep some of what they had; a leak of a page a restart would be a thousand.
    ensure!(
        after.1 < before.1 + 500,
        "memory grew from {} to {} pages",
        before.1,
        after.1
    );
    let lines = client.count_lines("freq");
    client.wait_lines("freq", lines + 1)?;
    client.finish()?;
    Ok(())
}
