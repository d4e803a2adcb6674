// SPDX-License-Identifier: MIT
//! A plugin that attacks: every attempt fails, and the worker serves on.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // helpers of tests, too

mod common;

use common::{Bench, ioctl, open, plugin};
use drvhost_abi::Errno;
use drvhost_port::CallError;
use drvhost_worker::Limits;
use plugin_attack as attack;

#[test]
fn every_attack_fails() {
    let bench = Bench::real();
    let link = bench.bound(&plugin("attack"), &[]);
    open(&link, 0, 1).unwrap();
    let host = std::process::id().to_le_bytes();
    let attempt = |number| ioctl(&link, 1, number, &mut host.to_vec());
    let mut got_through = Vec::new();
    for (number, (name, _)) in (0..).zip(attack::ATTACKS) {
        match attempt(number) {
            Err(CallError::Errno(Errno::EPERM | Errno::EACCES | Errno::ENOSYS | Errno::ENOENT)) => {
            }
            other => got_through.push((*name, other)),
        }
    }
    assert!(got_through.is_empty(), "{got_through:?}");
    let constructor = attempt(attack::CONSTRUCTOR);
    assert!(
        matches!(constructor, Err(CallError::Errno(_))),
        "{constructor:?}"
    );
    assert!(link.exited().is_none());
}

#[test]
fn bombs_meet_limits() {
    let mut bench = Bench::real();
    bench.config.limits = Limits {
        memory: 1 << 30,
        descriptors: 64,
        ..Limits::default()
    };
    let link = bench.bound(&plugin("attack"), &[]);
    open(&link, 0, 1).unwrap();
    let eaten = |number| ioctl(&link, 1, number, &mut [0; 4]).unwrap().value;
    assert!(eaten(attack::MEMORY) < 1 << 30);
    assert!(eaten(attack::DESCRIPTORS) < 64);
    assert!(eaten(attack::THREADS) < 256);
    // It lives and answers.
    eaten(attack::DESCRIPTORS);
}

/// What the system says about the process itself: the plugin may have overlooked something.
#[test]
fn the_process_has_nothing() {
    if !rustix::process::geteuid().is_root() {
        // A process that can't be traced shows itself to root alone.
        return;
    }
    let bench = Bench::real();
    let link = bench.bound(&plugin("attack"), &[]);
    let proc =
        |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", link.pid())).unwrap();
    let status = proc("status");
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_once(':').unwrap().1.trim().to_string()
    };
    for sets in ["CapInh", "CapPrm", "CapEff"] {
        assert_eq!(field(sets), "0000000000000000", "{sets}");
    }
    assert_eq!(field("NoNewPrivs"), "1");
    assert_eq!(field("Seccomp"), "2");
    assert_eq!(field("Seccomp_filters"), "3");
    assert_eq!(field("Uid"), "65534\t65534\t65534\t65534");
    assert_eq!(field("Groups"), "");
    let mounts = proc("mounts");
    assert_eq!(mounts.lines().count(), 1, "{mounts}");
    let open = std::fs::read_dir(format!("/proc/{}/fd", link.pid())).unwrap();
    let open: Vec<_> = open
        .map(|entry| {
            std::fs::read_link(entry.unwrap().path())
                .unwrap()
                .display()
                .to_string()
        })
        .collect();
    let known = |name: &String| {
        ["socket:", "pipe:", "anon_inode:[eventfd]", "/dev/null"]
            .iter()
            .any(|known| name.starts_with(known))
    };
    assert!(open.iter().all(known), "{open:?}");
    // Standard output and error, control, device; the wake-up; standard input.
    assert!(open.len() <= 6, "{open:?}");
    let root = std::fs::read_dir(format!("/proc/{}/root", link.pid())).unwrap();
    assert_eq!(root.count(), 0);
}
