// SPDX-License-Identifier: MIT
//! The program itself: ready, asked, stopped, and gone without a trace.

#![allow(clippy::unwrap_used)] // a test

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_drvhost-sim");

fn start(dir: &Path, machine: &str) -> Child {
    let machine = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("machines")
        .join(machine);
    let mut child = Command::new(PROGRAM)
        .arg(machine)
        .arg("--dir")
        .arg(dir)
        .arg("--exit-with-parent")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "ready\n");
    child
}

fn ctl(dir: &Path, words: &[&str]) -> (Output, serde_json::Value) {
    let output = Command::new(PROGRAM)
        .arg("ctl")
        .arg(dir)
        .args(words)
        .output()
        .unwrap();
    let reply = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output, reply)
}

#[test]
fn asked_and_stopped() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("machine");
    let mut child = start(&dir, "two-displays.ron");
    let (_, list) = ctl(&dir, &["list"]);
    assert_eq!(list["devices"].as_array().unwrap().len(), 2);
    let png = parent.path().join("shot.png");
    let (_, shot) = ctl(&dir, &["screenshot", "0000:00:02.0", png.to_str().unwrap()]);
    assert_eq!((&shot["ok"], &shot["width"]), (&true.into(), &640.into()));
    assert!(png.exists());
    let (output, reply) = ctl(&dir, &["plug", "0000:00:02.0"]);
    assert_eq!(
        (output.status.code(), &reply["ok"]),
        (Some(1), &false.into())
    );
    // Monitors.
    for (words, monitor) in [
        (&["unplug-monitor", "0000:00:02.0"][..], false),
        (&["plug-monitor", "0000:00:02.0"], true),
    ] {
        assert_eq!(ctl(&dir, words).1["ok"], true);
        assert_eq!(
            ctl(&dir, &["monitor", "0000:00:02.0"]).1["monitor"],
            monitor
        );
        assert_eq!(ctl(&dir, &["screenshot", "0000:00:02.0"]).1["ok"], monitor);
    }
    assert_eq!(
        ctl(&dir, &["clock", "stepped"]).1["clock"]["mode"],
        "stepped"
    );
    assert_eq!(ctl(&dir, &["step", "5"]).1["ok"], true);
    assert_eq!(ctl(&dir, &["stop"]).1["ok"], true);
    assert!(child.wait().unwrap().success());
    assert!(!dir.exists());
    assert_eq!(ctl(&dir, &["list"]).0.status.code(), Some(2));
}

#[test]
fn ended_by_a_signal_and_started_over_leftovers() {
    let dir = tempfile::tempdir().unwrap();
    let mut killed = start(dir.path(), "sim.ron");
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        2,
        "left behind"
    );

    let mut child = start(dir.path(), "sim.ron");
    // The directory is taken.
    let machine = Path::new(env!("CARGO_MANIFEST_DIR")).join("machines/sim.ron");
    let second = Command::new(PROGRAM)
        .arg(machine)
        .arg("--dir")
        .arg(dir.path())
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&second.stderr).contains("somebody else"));
    assert_eq!(ctl(dir.path(), &["list"]).1["ok"], true);

    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_bad_machine_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bad.ron");
    std::fs::write(&file, "(devices: [\n  (address: \"nowhere\")])").unwrap();
    let output = Command::new(PROGRAM)
        .arg(&file)
        .arg("--dir")
        .arg(dir.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains("bad.ron:2:"), "{message}");
}
