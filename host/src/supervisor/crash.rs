// SPDX-License-Identifier: MIT
//! What is kept of a dead worker.

use super::device::Actor;
use crate::control::report::CrashReport;
use drvhost_worker::Link;
use drvhost_worker::link::Frame;
use drvhost_worker::wire::recorder::{AccessRecord, CallRecord};
use std::time::{SystemTime, UNIX_EPOCH};

/// Log lines in a report.
const LINES: usize = 20;

/// Makes the report of a worker that died.
pub(super) fn report(actor: &Actor, link: &Link, cause: &str, progress: bool) -> CrashReport {
    let time = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let seen = link.report();
    let target = actor.target();
    let log = actor.context.lines.last(&target, LINES);
    CrashReport {
        id: 0,
        time_ms: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
        device: actor.device.found.address.to_string(),
        driver: actor
            .candidate()
            .map(|c| c.driver().to_owned())
            .unwrap_or_default(),
        worker: link.pid(),
        cause: match &seen.signal {
            Some(signal) => format!("{cause}: {signal}"),
            None => cause.to_owned(),
        },
        progress,
        verdict: String::new(),
        registers: seen
            .registers
            .iter()
            .map(|(name, value)| format!("{name:<6} {value:#018x}"))
            .collect(),
        backtrace: seen.backtrace.iter().map(frame).collect(),
        ioctls: seen.calls.iter().map(ioctl).collect(),
        accesses: seen.accesses.iter().map(access).collect(),
        log: log
            .into_iter()
            .map(|line| format!("{:<5} {}", line.level, line.text))
            .collect(),
    }
}

fn frame(frame: &Frame) -> String {
    let module = frame.module.map_or("?".to_owned(), |module| {
        format!("{module:?}").to_lowercase()
    });
    match &frame.symbol {
        Some((name, distance)) => format!("{module}+{:#x} {name}+{distance:#x}", frame.offset),
        None => format!("{module}+{:#x}", frame.offset),
    }
}

fn ioctl(call: &CallRecord) -> String {
    let name = drvhost_drm::wire::describe(call.cmd).map_or_else(
        || format!("{:#010x}", call.cmd),
        |descriptor| descriptor.name.to_owned(),
    );
    match call.result {
        Some(result) => format!("{name} of file {} = {result}", call.file),
        None => format!("{name} of file {}: under way", call.file),
    }
}

fn access(access: &AccessRecord) -> String {
    let AccessRecord {
        bar,
        width,
        write,
        ok,
        offset,
        value,
    } = *access;
    let (verb, arrow) = if write {
        ("write", "<-")
    } else {
        ("read", "->")
    };
    let refused = if ok { "" } else { " (refused)" };
    format!(
        "{verb}{} BAR{bar}+{offset:#x} {arrow} {value:#x}{refused}",
        u32::from(width) * 8
    )
}
