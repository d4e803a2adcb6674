// SPDX-License-Identifier: MIT
//! Workers that crash, hang and break the protocol: what callers get, what the host says.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // helpers of tests, too

mod common;

use common::{Bench, ioctl, open, plugin};
use drvhost_port::{CallError, Worker};
use drvhost_worker::{Cause, HangReport, Link, LinkError, Status};
use plugin_crash as crash;
use std::sync::mpsc::channel;

/// Binds a worker and makes a call that ends it.
fn end_by(bench: &Bench, cmd: u32) -> Link {
    let link = bench.bound(&plugin("crash"), &[]);
    open(&link, 0, 1).unwrap();
    let (sender, receiver) = channel();
    link.on_exit(move |exit| sender.send(exit.clone()).unwrap());
    assert_eq!(
        ioctl(&link, 1, cmd, &mut []),
        Err(CallError::Died),
        "call {cmd}"
    );
    assert_eq!(receiver.recv().unwrap(), link.wait());
    assert_eq!(
        ioctl(&link, 1, crash::NOTHING, &mut []),
        Err(CallError::Died)
    );
    assert_eq!(link.outstanding(), 0);
    link
}

#[test]
fn crashes_are_told_apart() {
    let bench = Bench::real();
    let table = [
        (crash::SEGFAULT, Status::Signal(libc::SIGSEGV)),
        (crash::ABORT, Status::Signal(libc::SIGABRT)),
        (crash::PANIC, Status::Signal(libc::SIGABRT)),
        (crash::EXIT, Status::Code(3)),
        (crash::OVERFLOW, Status::Signal(libc::SIGSEGV)),
    ];
    for (cmd, status) in table {
        let exit = end_by(&bench, cmd).wait();
        assert_eq!(
            (exit.status, exit.cause),
            (status, Cause::Itself),
            "call {cmd}"
        );
    }
}

#[test]
fn a_crash_report_says_where() {
    let bench = Bench::real();
    let link = end_by(&bench, crash::SEGFAULT);
    let report = link.report();
    assert_eq!(report.signal.as_deref(), Some("SIGSEGV at 0x10"));
    let names: Vec<_> = report
        .backtrace
        .iter()
        .filter_map(|frame| frame.symbol.clone())
        .collect();
    assert!(
        names[0].0.contains("write_nowhere"),
        "{:#?}",
        report.backtrace
    );
    assert!(
        names.iter().any(|(name, _)| name.contains("plugin::ioctl")),
        "{names:?}"
    );
    let last = report.calls.last().unwrap();
    assert_eq!(
        (last.cmd, last.file, last.result),
        (crash::SEGFAULT, 1, None)
    );
    assert_eq!(report.device.as_deref(), Some(common::DISPLAY));
    assert_eq!(report.registers[0].0, "rip");
    assert_ne!(report.registers[0].1, 0);
}

#[test]
fn a_panic_is_in_the_log() {
    let bench = Bench::real();
    let link = end_by(&bench, crash::PANIC);
    let log = link.report().log;
    assert!(
        log.iter().any(|line| line.text.contains("on demand")),
        "{log:?}"
    );
}

#[test]
fn garbage_ends_the_worker() {
    let bench = Bench::real();
    for cmd in [crash::GARBAGE, crash::DESCRIPTOR, crash::CLOSE] {
        let link = bench.bound(&plugin("crash"), &[]);
        open(&link, 0, 1).unwrap();
        // The call itself may still be answered.
        let _ = ioctl(&link, 1, cmd, &mut []);
        let exit = link.wait();
        // A worker whose socket is closed may be quicker to end than the host to see it.
        let told = matches!(exit.cause, Cause::Violation(_));
        assert!(told || cmd == crash::CLOSE, "call {cmd}: {exit}");
    }
}

#[test]
fn the_last_event_arrives() {
    let bench = Bench::real();
    end_by(&bench, crash::EVENT);
    let events = bench.host.state.lock().unwrap().events.clone();
    assert_eq!(events, [(1, b"last words".to_vec())]);
}

#[test]
fn a_crash_in_the_probe_is_an_error() {
    let bench = Bench::real();
    let link = bench.spare(&plugin("crash"));
    let error = bench.bind(&link, &[("crash", "probe")]).unwrap_err();
    let LinkError::Died { exit, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(exit.status, Status::Signal(libc::SIGSEGV));
}

#[test]
fn hangs_are_found_and_waits_are_not() {
    const LIMIT: u64 = 1000;
    let bench = Bench::stepped();
    let clock = bench.config.clock.clone();
    let link = bench.bound(&plugin("crash"), &[]);
    open(&link, 0, 1).unwrap();
    std::thread::scope(|scope| {
        let busy = |count| {
            while link
                .report()
                .threads
                .iter()
                .filter(|t| t.cmd == count)
                .count()
                == 0
            {
                std::thread::yield_now();
            }
        };
        scope.spawn(|| ioctl(&link, 1, crash::WAIT, &mut []));
        // Until it sleeps in the runtime.
        while !link.report().threads.iter().any(|thread| {
            thread.cmd == crash::WAIT
                && thread.state != drvhost_worker::wire::progress::State::Running
        }) {
            std::thread::yield_now();
        }
        clock.advance(10 * LIMIT);
        assert_eq!(link.outstanding(), 1);
        assert_eq!(link.hang(clock.now(), LIMIT), None);
        scope.spawn(|| ioctl(&link, 1, crash::SPIN, &mut []));
        busy(crash::SPIN);
        assert_eq!(link.hang(clock.now(), LIMIT), None);
        clock.advance(LIMIT + 1);
        let report = link.hang(clock.now(), LIMIT).unwrap();
        let HangReport::Running { thread, for_ns } = &report else {
            panic!("{report}")
        };
        assert_eq!((thread.cmd, *for_ns), (crash::SPIN, LIMIT + 1));
        link.kill(Cause::Hang(report.clone()));
        assert_eq!(link.wait().cause, Cause::Hang(report));
    });
    assert_eq!(link.hang(clock.now(), LIMIT), None);
}

#[test]
fn a_stopped_process_is_a_hang() {
    const LIMIT: u64 = 1000;
    let bench = Bench::stepped();
    let clock = bench.config.clock.clone();
    let link = bench.bound(&plugin("crash"), &[]);
    open(&link, 0, 1).unwrap();
    let pid = rustix::process::Pid::from_raw(link.pid().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| ioctl(&link, 1, crash::NOTHING, &mut []));
        while link.outstanding() == 0 {
            std::thread::yield_now();
        }
        clock.advance(LIMIT + 1);
        let report = link.hang(clock.now(), LIMIT).unwrap();
        link.kill(Cause::Hang(report));
        assert_eq!(caller.join().unwrap(), Err(CallError::Died));
    });
}

#[test]
fn expected_events_keep_the_watch() {
    const LIMIT: u64 = 1000;
    let bench = Bench::stepped();
    let clock = bench.config.clock.clone();
    let link = bench.bound(&plugin("crash"), &[]);
    open(&link, 0, 1).unwrap();
    ioctl(&link, 1, crash::THREAD, &mut []).unwrap();
    while !link
        .report()
        .threads
        .iter()
        .any(|thread| thread.name == "spinner")
    {
        std::thread::yield_now();
    }
    clock.advance(LIMIT + 1);
    // Nobody waits for anything.
    assert!(!link.is_watched());
    assert_eq!(link.hang(clock.now(), LIMIT), None);
    link.expect(1);
    assert!(link.hang(clock.now(), LIMIT).is_some());
    link.expect(-1);
    assert_eq!(link.hang(clock.now(), LIMIT), None);
}

#[test]
fn a_hang_in_the_probe_is_found() {
    const LIMIT: u64 = 1000;
    let bench = Bench::stepped();
    let clock = bench.config.clock.clone();
    let link = bench.spare(&plugin("crash"));
    std::thread::scope(|scope| {
        let binder = scope.spawn(|| bench.bind(&link, &[("hang", "probe")]));
        while !link.report().threads.iter().any(|thread| thread.cmd == 2) {
            std::thread::yield_now();
        }
        clock.advance(LIMIT + 1);
        let report = link.hang(clock.now(), LIMIT).unwrap();
        link.kill(Cause::Hang(report));
        assert!(matches!(
            binder.join().unwrap(),
            Err(LinkError::Died { .. })
        ));
    });
}

#[test]
fn nothing_leaks() {
    let bench = Bench::real();
    let plugin = plugin("crash");
    let count = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let round = || {
        let link = bench.bound(&plugin, &[]);
        open(&link, 0, 1).unwrap();
        let _ = ioctl(&link, 1, crash::ABORT, &mut []);
        link.wait();
    };
    round();
    // The device's server closes its end of a connection when it sees that ours is gone.
    let settle = |limit: usize| {
        while count() > limit {
            std::thread::yield_now();
        }
    };
    let before = count();
    for _ in 0..20 {
        round();
    }
    settle(before);
}

/// Whatever a worker says, the host lives, tells callers, and is rid of the process.
#[test]
fn babble_ends_the_worker() {
    let mut bench = Bench::real();
    let plugin = plugin("crash");
    for seed in 1..=60 {
        bench.config.args = vec!["babble".into(), seed.to_string().into()];
        let link = Link::spawn(&bench.config).unwrap();
        if link.load(&plugin).is_ok() && bench.bind(&link, &[]).is_ok() {
            link.kill(Cause::Killed);
        }
        link.wait();
        assert_eq!(
            ioctl(&link, 1, crash::NOTHING, &mut []),
            Err(CallError::Died)
        );
        for line in link.report().log {
            assert!(!line.text.contains(char::is_control), "{line:?}");
        }
    }
}
