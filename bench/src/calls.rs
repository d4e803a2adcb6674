// SPDX-License-Identifier: MIT
//! Round trips of ioctls.

use crate::bed::Bed;
use crate::client::{Call, Order};
use crate::floor::echo;
use crate::placement::Placement;
use crate::row::{Aim, Row};
use crate::samples::Samples;
use anyhow::{Context, Result};

/// What is measured: the call, its name, whether it reaches the worker, and its aim as a multiple
/// of the echo where all processes share a core.
const CALLS: [(Call, &str, bool, f64); 4] = [
    (Call::RenderCap, "GET_CAP, render node", false, 1.0),
    (Call::CardCap, "GET_CAP, card node", false, 2.0),
    (Call::Resources, "MODE_GETRESOURCES, card node", true, 2.0),
    (Call::Flip, "MODE_PAGE_FLIP, card node", true, 2.0),
];

/// Measures all calls, with ratios to the echoes among `floors`. Flips come once a frame, so
/// there are fewer of them.
pub fn measure(
    bed: &mut Bed,
    placements: &[Placement],
    floors: &[Row],
    rounds: usize,
    flips: usize,
) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for placement in placements {
        bed.place(placement)?;
        for (call, name, reaches_worker, limit) in CALLS {
            let ends = placement.two_ends();
            let place = if reaches_worker {
                placement.to_string()
            } else {
                ends.clone()
            };
            if rows
                .iter()
                .any(|row| row.name == name && row.placement == place)
            {
                continue;
            }
            let rounds = if matches!(call, Call::Flip) {
                flips
            } else {
                rounds
            };
            let times = bed.times(Order::Time(call, rounds)).context(name)?;
            let samples = Samples::micros(&times).context("no rounds")?;
            let floor = floors
                .iter()
                .find(|row| row.name == echo::NAME && row.placement == ends);
            let aim = placement.is_one_core().then_some(Aim::Ratio(limit));
            rows.push(
                Row::new(name, &place, "us", &samples)
                    .against(floor)
                    .aiming(aim),
            );
        }
    }
    Ok(rows)
}
