// SPDX-License-Identifier: MIT
//! `drvhost doctor`: why a device has no driver, or this one.

use super::{Output, bad};
use crate::control::client::ask;
use crate::control::protocol::{Failure, Request};
use crate::control::report::Diagnosis;

pub fn run(device: Option<String>, out: &mut Output<'_>) -> Result<(), Failure> {
    let answer = ask(&Request::Doctor { device })?;
    let list: Vec<Diagnosis> = serde_json::from_value(answer).map_err(bad)?;
    if out.json {
        return out.json(&list);
    }
    for diagnosis in &list {
        let device = &diagnosis.device;
        let reason = match device.reason.as_str() {
            "" => String::new(),
            reason => format!(" ({reason})"),
        };
        out.text(format!("{}: {}{reason}", device.address, device.state))?;
        out.text(&diagnosis.text)?;
    }
    if let Some(diagnosis) = list.first() {
        for problem in &diagnosis.problems {
            out.text(format!("skipped: {problem}"))?;
        }
    }
    Ok(())
}
