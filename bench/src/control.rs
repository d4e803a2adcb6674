// SPDX-License-Identifier: MIT
//! Questions to the daemon, without a process for each as the commands have.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// What `show` says of a device.
#[derive(Debug)]
pub struct Shown(Value);

/// Asks for a device by node or address.
pub fn show(run_dir: &Path, device: &str) -> Result<Shown> {
    let mut stream = UnixStream::connect(run_dir.join("control.sock"))?;
    stream.write_all(format!("{}\n", json!({"cmd": "show", "device": device})).as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    match serde_json::from_str::<Value>(&line)?.get_mut("ok") {
        Some(shown) => Ok(Shown(shown.take())),
        None => bail!("show {device}: {line}"),
    }
}

impl Shown {
    /// Whether its driver runs.
    pub fn running(&self) -> bool {
        self.0["state"] == "running"
    }

    /// The worker's process id, while there is one.
    pub fn worker(&self) -> Option<u32> {
        u32::try_from(self.0["worker"].as_u64()?).ok()
    }

    /// The process id of the worker that stands by, while there is one.
    pub fn spare(&self) -> Option<u32> {
        u32::try_from(self.0["spare"].as_u64()?).ok()
    }
}

/// Asks until `ready` gives a value, with a pause between questions.
pub fn wait<T>(
    run_dir: &Path,
    pause: Duration,
    mut ready: impl FnMut(&Shown) -> Option<T>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        let shown = show(run_dir, "card0");
        if let Some(value) = shown.as_ref().ok().and_then(&mut ready) {
            return Ok(value);
        }
        if start.elapsed() > Duration::from_secs(30) {
            return match shown {
                Ok(Shown(shown)) => bail!("card0 does not come: {shown}"),
                Err(error) => Err(error).context("card0 does not come"),
            };
        }
        std::thread::sleep(pause);
    }
}
