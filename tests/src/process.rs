// SPDX-License-Identifier: MIT
//! Child processes that end with the test, and waiting for what must come.

use anyhow::{Result, bail};
use std::process::Child;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up: generous, for slow machines.
const PATIENCE: Duration = Duration::from_secs(60);

/// Polls until `ready` gives a value; an error that names `what` after a minute.
pub fn until<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = ready() {
            return Ok(value);
        }
        if start.elapsed() > PATIENCE {
            bail!("waited a minute for {what}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A child process that is killed with its guard.
#[derive(Debug)]
pub struct Guard(pub Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
