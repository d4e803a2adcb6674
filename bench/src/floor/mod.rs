// SPDX-License-Identifier: MIT
//! What a round trip to another process costs without drvhost, or with its ring alone.
//!
//! * [`echo`]: a message over a Unix seqpacket socket and back;
//! * [`ring`]: a call through drvhost's ring and back;
//! * [`fuse`]: an ioctl on a file of a FUSE file system.

pub mod echo;
pub mod fuse;
pub mod ring;

use anyhow::Result;
use std::time::{Duration, Instant};

/// How long each of `rounds` calls took, after a tenth as many that are not counted.
pub fn time(rounds: usize, mut call: impl FnMut() -> Result<()>) -> Result<Vec<Duration>> {
    for _ in 0..rounds.div_ceil(10) {
        call()?;
    }
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let start = Instant::now();
        call()?;
        times.push(start.elapsed());
    }
    Ok(times)
}
