// SPDX-License-Identifier: MIT
//! `drvhost logs`.

use super::{Output, bad};
use crate::control::client::Connection;
use crate::control::protocol::{Failure, Request};
use crate::logs::Line;

pub fn run(
    device: Option<String>,
    lines: usize,
    follow: bool,
    out: &mut Output<'_>,
) -> Result<(), Failure> {
    let mut connection = Connection::send(&Request::Logs {
        device,
        lines,
        follow,
    })?;
    while let Some(value) = connection.line()? {
        if follow {
            print(&serde_json::from_value(value).map_err(bad)?, out)?;
            continue;
        }
        let lines: Vec<Line> = serde_json::from_value(value).map_err(bad)?;
        for line in &lines {
            print(line, out)?;
        }
        break;
    }
    Ok(())
}

fn print(line: &Line, out: &mut Output<'_>) -> Result<(), Failure> {
    if out.json {
        return out.text(serde_json::to_string(line).map_err(bad)?);
    }
    let (seconds, millis) = (line.time_ms / 1000 % 86400, line.time_ms % 1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let Line {
        level,
        target,
        text,
        ..
    } = line;
    out.text(format!(
        "{hours:02}:{minutes:02}:{seconds:02}.{millis:03} {level:<5} {target}: {text}"
    ))
}
