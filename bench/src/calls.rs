// SPDX-License-Identifier: MIT
//! Round trips of ioctls.

use crate::bed::Bed;
use crate::client::{Call, Order};
use crate::floor::echo;
use crate::placement::Placement;
use crate::row::{Aim, Row};
use crate::samples::Samples;
use anyhow::{Context, Result};

/// Which processes a call goes through.
#[derive(Clone, Copy, Debug)]
enum Path {
    /// The worker serves render nodes by itself.
    Worker,
    /// The host answers what is constant.
    Host,
    /// All else of a card node goes to the worker through the host.
    HostAndWorker,
}

/// What is measured: the call, its name, its path, and its aim as a multiple of the echo where all
/// processes share a core.
const CALLS: [(Call, &str, Path, f64); 4] = [
    (Call::RenderCap, "GET_CAP, render node", Path::Worker, 1.0),
    (Call::CardCap, "GET_CAP, card node", Path::Host, 2.0),
    (
        Call::Resources,
        "MODE_GETRESOURCES, card node",
        Path::HostAndWorker,
        2.0,
    ),
    (
        Call::Flip,
        "MODE_PAGE_FLIP, card node",
        Path::HostAndWorker,
        2.0,
    ),
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
        for (call, name, path, limit) in CALLS {
            // The floor has the call's first hop.
            let (place, hop) = match path {
                Path::Worker => (
                    placement.two_ends("worker", &placement.worker),
                    &placement.worker,
                ),
                Path::Host => (placement.two_ends("host", &placement.host), &placement.host),
                Path::HostAndWorker => (placement.to_string(), &placement.host),
            };
            if rows
                .iter()
                .any(|row| row.name == name && row.placement == place)
            {
                continue;
            }
            let rounds = match call {
                Call::Flip => flips,
                _ => rounds,
            };
            let times = bed
                .times(Order::Time(call, rounds))
                .with_context(|| format!("{name} with {place}"))?;
            let samples = Samples::micros(&times).context("no rounds")?;
            let ends = placement.two_ends("server", hop);
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
