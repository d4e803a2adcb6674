// SPDX-License-Identifier: MIT
//! Vblanks that a client which flips at each of them misses when the worker is killed.

use crate::bed::Bed;
use crate::client::{Answer, Order};
use crate::placement::Placement;
use crate::row::{Aim, Row};
use crate::samples::Samples;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// From one kill to the next, with up to a frame more so that kills meet every part of a frame.
const BETWEEN: Duration = Duration::from_millis(90);
const FRAME_US: u64 = 16_667;

/// Kills the worker so often while the client flips.
pub fn measure(bed: &mut Bed, placement: &Placement, spare: bool, kills: usize) -> Result<Row> {
    bed.place(placement)?;
    let mut worker = bed.worker()?;
    bed.order(Order::Flip)?;
    let mut killed = Vec::with_capacity(kills);
    for kill in 0..kills as u64 {
        // Steps of the golden ratio meet all parts of a frame evenly.
        let phase = kill * 10_301 % FRAME_US;
        std::thread::sleep(BETWEEN + Duration::from_micros(phase));
        killed.push(now());
        kill_process(
            Pid::from_raw(i32::try_from(worker)?).context("pid")?,
            Signal::KILL,
        )?;
        worker = bed
            .worker_after(worker)
            .with_context(|| format!("after kill {kill}"))?;
    }
    // What the last kill delays still belongs to it.
    std::thread::sleep(BETWEEN);
    bed.order(Order::Stop)?;
    let Answer::Vblanks(vblanks) = bed.answer()? else {
        bail!("no list of vblanks")
    };
    let missed = missed(&killed, &vblanks)
        .iter()
        .map(|&count| f64::from(count))
        .collect();
    let samples = Samples::new(missed).context("no kills while the client flipped")?;
    let name = match spare {
        false => "vblanks missed at 60 Hz, no spare",
        true => "vblanks missed at 60 Hz, spare",
    };
    let row = Row::new(name, &placement.to_string(), "vblanks", &samples);
    Ok(row.aiming(Aim::Both(1.0, 1.0)))
}

fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// For each kill, the vblanks without a flip from it to the next kill.
fn missed(killed: &[u64], vblanks: &[(u32, u64)]) -> Vec<u32> {
    let mut missed = vec![0; killed.len()];
    for pair in vblanks.windows(2) {
        let (before, after) = (pair[0], pair[1]);
        let gap = after.0.wrapping_sub(before.0).saturating_sub(1);
        // The last kill before this vblank.
        let kill = killed.partition_point(|&kill| kill < after.1);
        if let Some(count) = kill.checked_sub(1).and_then(|kill| missed.get_mut(kill)) {
            *count += gap;
        }
    }
    missed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_count_for_the_kill_before_them() {
        let vblanks = [
            (1, 10),
            (2, 20),
            (4, 40),
            (5, 50),
            (6, 60),
            (9, 90),
            (10, 100),
            (12, 120),
        ];
        // The gap at 40 is before the first kill.
        assert_eq!(missed(&[45, 61, 95], &vblanks), [0, 2, 1]);
        assert_eq!(missed(&[25], &vblanks), [4]);
        assert!(missed(&[], &vblanks).is_empty());
    }

    #[test]
    fn sequence_numbers_wrap() {
        assert_eq!(missed(&[5], &[(u32::MAX, 1), (1, 10)]), [1]);
    }
}
