// SPDX-License-Identifier: MIT
//! `drvhost list`.

use super::{Output, bad, table::table};
use crate::control::client::ask;
use crate::control::protocol::{Failure, Request};
use crate::control::report::DeviceReport;

pub fn run(out: &mut Output<'_>) -> Result<(), Failure> {
    let devices: Vec<DeviceReport> = serde_json::from_value(ask(&Request::List)?).map_err(bad)?;
    if out.json {
        return out.json(&devices);
    }
    if devices.is_empty() {
        return out.text("no devices");
    }
    let rows = devices.into_iter().map(|device| {
        let state = if device.reason.is_empty() {
            device.state
        } else {
            format!("{}: {}", device.state, device.reason)
        };
        let driver = device.driver.unwrap_or_else(|| "-".into());
        let nodes = if device.nodes.is_empty() {
            "-".into()
        } else {
            device.nodes.join(" ")
        };
        let restarts = device.restarts.to_string();
        vec![
            device.address,
            device.id,
            device.class,
            driver,
            nodes,
            restarts,
            state,
        ]
    });
    out.text(table(
        &[
            "device", "id", "class", "driver", "nodes", "restarts", "state",
        ],
        rows,
    ))
}
