// SPDX-License-Identifier: MIT
//! `drvhost crashes`.

use super::{Output, bad, table::table};
use crate::control::client::ask;
use crate::control::protocol::{Failure, Request};
use crate::control::report::CrashReport;

pub fn run(id: Option<u64>, out: &mut Output<'_>) -> Result<(), Failure> {
    let answer = ask(&Request::Crashes { id })?;
    let reports: Vec<CrashReport> = serde_json::from_value(answer).map_err(bad)?;
    if out.json {
        return out.json(&reports);
    }
    if id.is_some() {
        return reports.iter().try_for_each(|report| one(report, out));
    }
    if reports.is_empty() {
        return out.text("no crashes since the daemon was started");
    }
    let rows = reports.into_iter().map(|report| {
        vec![
            report.id.to_string(),
            report.device,
            report.driver,
            report.cause,
            report.verdict,
        ]
    });
    out.text(table(
        &["number", "device", "driver", "cause", "then"],
        rows,
    ))
}

fn one(report: &CrashReport, out: &mut Output<'_>) -> Result<(), Failure> {
    out.text(format!(
        "crash {} of {} on {} (pid {}): {}\nprogress before: {}; then: {}",
        report.id,
        report.driver,
        report.device,
        report.worker,
        report.cause,
        if report.progress { "yes" } else { "no" },
        report.verdict,
    ))?;
    let parts = [
        ("registers", &report.registers),
        ("backtrace, innermost first", &report.backtrace),
        ("last ioctls", &report.ioctls),
        ("last register accesses", &report.accesses),
        ("last log lines", &report.log),
    ];
    for (name, lines) in parts {
        if !lines.is_empty() {
            out.text(format!("{name}:"))?;
            lines
                .iter()
                .try_for_each(|line| out.text(format!("  {line}")))?;
        }
    }
    Ok(())
}
