// SPDX-License-Identifier: MIT
//! `drvhost show`.

use super::{Output, bad};
use crate::control::client::ask;
use crate::control::protocol::{Failure, Request};
use crate::control::report::DeviceReport;
use std::fmt::Write;

pub fn run(device: String, out: &mut Output<'_>) -> Result<(), Failure> {
    let device: DeviceReport =
        serde_json::from_value(ask(&Request::Show { device })?).map_err(bad)?;
    if out.json {
        return out.json(&device);
    }
    let dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let mut text = String::new();
    let crashes: Vec<_> = device.crashes.iter().map(u64::to_string).collect();
    let lines = [
        ("device", device.address),
        (
            "id",
            format!("{} subsystem {}", device.id, device.subsystem),
        ),
        ("class", device.class),
        ("state", device.state),
        ("reason", device.reason),
        ("driver", dash(device.driver)),
        ("library", dash(device.library)),
        ("nodes", device.nodes.join(" ")),
        (
            "worker",
            dash(device.worker.map(|pid| format!("pid {pid}"))),
        ),
        ("spare", dash(device.spare.map(|pid| format!("pid {pid}")))),
        ("restarts", device.restarts.to_string()),
        ("lost", device.lost.join("; ")),
        ("crashes", crashes.join(" ")),
    ];
    for (name, value) in lines {
        if !value.is_empty() {
            let _ = writeln!(text, "{name:<9} {value}");
        }
    }
    if !device.front.is_null() {
        let front = serde_json::to_string_pretty(&device.front).map_err(bad)?;
        let _ = writeln!(text, "front     {front}");
    }
    out.text(text)
}
