// SPDX-License-Identifier: MIT
//! The daemon and its commands: drivers dropped in, devices unplugged, wrong use.

use anyhow::{Context, Result, ensure};
use drvhost_tests::{Client, Machine, Options, until};
use rustix::process::Signal;
use serde_json::json;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

const FIRST: &str = "0000:00:02.0";
const SECOND: &str = "0000:00:03.0";

#[test]
fn list_show_and_doctor() -> Result<()> {
    let machine = Machine::start("two-displays")?;
    machine.wait_state(FIRST, "running")?;
    machine.wait_state(SECOND, "running")?;
    let list = machine.json(&["list"])?;
    ensure!(list.as_array().map(Vec::len) == Some(2), "{list}");
    ensure!(
        list[0]["driver"] == "dispi" && list[0]["state"] == "running",
        "{list}"
    );
    ensure!(list[0]["nodes"] == json!(["card0", "renderD128"]), "{list}");
    ensure!(machine.drvhost(&["list"])?.contains("1234:1111"));
    ensure!(
        machine
            .drvhost(&["show", "card0"])?
            .contains("dispi_redox.so")
    );
    let doctor = machine.drvhost(&["doctor", FIRST])?;
    ensure!(doctor.contains("dispi.ron"), "{doctor}");
    Ok(())
}

#[test]
fn exit_codes() -> Result<()> {
    let machine = Machine::start("sim")?;
    let code = |args: &[&str]| -> Result<Option<i32>> {
        Ok(machine.command(args)?.output()?.status.code())
    };
    ensure!(code(&["list"])? == Some(0));
    ensure!(code(&["fly"])? == Some(2));
    ensure!(code(&["show", "card7"])? == Some(4));
    ensure!(code(&["crashes", "99"])? == Some(4));
    ensure!(code(&["bind", "card0", "nothing"])? == Some(4));
    ensure!(code(&["step", "1"])? == Some(1));
    ensure!(code(&["exec", "--", "sh", "-c", "exit 42"])? == Some(42));
    ensure!(code(&["exec", "--", "/nonexistent"])? == Some(1));
    let mut without = machine.command(&["list"])?;
    ensure!(
        without
            .env("DRVHOST_RUN", "/nonexistent")
            .output()?
            .status
            .code()
            == Some(3)
    );
    Ok(())
}

#[test]
fn disable_enable_bind_unbind() -> Result<()> {
    let machine = Machine::start("sim")?;
    machine.drvhost(&["disable", "card0"])?;
    machine.wait_state(FIRST, "disabled")?;
    ensure!(machine.show(FIRST)?["nodes"] == json!([]));
    machine.drvhost(&["enable", FIRST])?;
    machine.wait_state("card0", "running")?;
    machine.drvhost(&["unbind", "card0"])?;
    machine.wait_state(FIRST, "unbound")?;
    machine.drvhost(&["bind", FIRST, "dispi"])?;
    machine.wait_state("card0", "running")?;
    Ok(())
}

#[test]
fn an_override_dropped_in_takes_effect() -> Result<()> {
    let machine = Machine::start("sim")?;
    let file = machine.overrides().join("off.ron");
    std::fs::write(
        &file,
        format!("Override(address: {FIRST:?}, disabled: true)"),
    )?;
    machine.wait_state(FIRST, "disabled")?;
    std::fs::write(&file, "Override(this is no override")?;
    until("the bad file to be reported", || {
        machine.log().contains("off.ron:1:").then_some(())
    })?;
    machine.wait_state("card0", "running")?;
    Ok(())
}

#[test]
fn a_new_library_takes_over_and_clients_stay() -> Result<()> {
    let machine = Machine::start("sim")?;
    let library = machine.show("card0")?["library"]
        .as_str()
        .context("library")?
        .to_owned();
    let mut client = Client::start(&machine, &["modetest", "-M", "dispi", "-s", "0@0:1024x768"])?;
    client.finish().ok();
    let list = Client::run(&machine, &["modetest", "-M", "dispi", "-c"])?;
    let connector = list
        .lines()
        .find(|line| line.contains("\tconnected\t"))
        .and_then(|line| line.split_whitespace().next())
        .context("no connector")?;
    let set = format!("{connector}:1024x768");
    client = Client::start(&machine, &["modetest", "-M", "dispi", "-s", &set, "-v"])?;
    client.wait_lines("freq", 1)?;
    let old = machine.worker("card0")?;
    // The overrides' directory wins: a library of its own for this device.
    std::fs::copy(&library, machine.overrides().join("new_redox.so"))?;
    let over = format!("Override(address: {FIRST:?}, library: \"new_redox.so\")");
    std::fs::write(machine.overrides().join("new.ron"), over)?;
    machine.wait_new_worker("card0", old)?;
    let shown = machine.show("card0")?;
    ensure!(
        shown["library"]
            .as_str()
            .is_some_and(|path| path.ends_with("new_redox.so")),
        "{shown}"
    );
    let before = client.count_lines("freq");
    client.wait_lines("freq", before + 1)?;
    client.finish()?;
    Ok(())
}

#[test]
fn bad_libraries_are_refused_with_the_reason() -> Result<()> {
    for (name, bytes, reason) in [
        (
            "no ELF",
            &b"#!/bin/sh\necho hello, this is not a driver at all, but a script\n"[..],
            "ELF",
        ),
        (
            "truncated",
            &b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"[..],
            "truncated",
        ),
    ] {
        let options = Options {
            manifests: vec![(
                "bad.ron".into(),
                format!("Override(address: {FIRST:?}, library: \"bad_redox.so\")"),
            )],
            no_wait: true,
            ..Options::default()
        };
        let machine = Machine::with("sim", &options)?;
        std::fs::write(machine.overrides().join("bad_redox.so"), bytes)?;
        let shown = until("the refusal", || {
            let shown = machine.show(FIRST).ok()?;
            (shown["state"] == "quarantined" && !machine.log().is_empty()).then_some(shown)
        })
        .with_context(|| machine.log())?;
        let text = until("the reason", || {
            let shown = machine.show(FIRST).ok()?;
            let text = shown["reason"].as_str()?.to_owned();
            text.to_lowercase()
                .contains(&reason.to_lowercase())
                .then_some(text)
        })
        .with_context(|| format!("{name}: {shown}"))?;
        ensure!(text.contains("bad_redox.so"), "{name}: {text}");
    }
    Ok(())
}

#[test]
fn unplug_and_plug() -> Result<()> {
    let machine = Machine::start("two-displays")?;
    machine.wait_state(SECOND, "running")?;
    machine.hardware(&json!({"command": "unplug", "device": SECOND}))?;
    until("the device to vanish", || {
        machine
            .json(&["list"])
            .ok()
            .filter(|list| list.as_array().map(Vec::len) == Some(1))
    })?;
    machine.hardware(&json!({"command": "plug", "device": SECOND}))?;
    machine.wait_state(SECOND, "running")?;
    ensure!(machine.show("card0")?["restarts"] == 0);
    Ok(())
}

#[test]
fn garbage_on_the_control_socket() -> Result<()> {
    let machine = Machine::start("sim")?;
    let mut seed = 7u64;
    for _ in 0..500 {
        let mut bytes = Vec::new();
        for _ in 0..(seed >> 40) % 200 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            bytes.push((seed >> 33) as u8);
        }
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(99);
        bytes.push(b'\n');
        let mut stream = UnixStream::connect(machine.run_dir().join("control.sock"))?;
        // A daemon that hangs up early is in its right.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        ensure!(!answer.contains("\"ok\""), "{bytes:?}: {answer}");
    }
    machine.drvhost(&["list"])?;
    Ok(())
}

#[test]
fn crash_reports_tell_what_happened() -> Result<()> {
    let machine = Machine::start("sim")?;
    Client::run(&machine, &["modetest", "-M", "dispi", "-c"])?;
    let old = machine.signal_worker("card0", Signal::SEGV)?;
    machine.wait_new_worker("card0", old)?;
    let reports = machine.json(&["crashes", "1"])?;
    let report = &reports[0];
    ensure!(
        report["cause"]
            .as_str()
            .is_some_and(|c| c.contains("SIGSEGV")),
        "{report}"
    );
    ensure!(
        report["registers"]
            .as_array()
            .is_some_and(|list| !list.is_empty()),
        "{report}"
    );
    ensure!(
        report["ioctls"]
            .as_array()
            .is_some_and(|list| !list.is_empty()),
        "{report}"
    );
    ensure!(machine.drvhost(&["crashes", "1"])?.contains("last ioctls"));
    Ok(())
}
