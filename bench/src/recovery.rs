// SPDX-License-Identifier: MIT
//! From a worker's death to the first answer of its successor, all state put back.

use crate::bed::Bed;
use crate::client::Order;
use crate::placement::Placement;
use crate::row::{Aim, Row};
use crate::samples::Samples;
use anyhow::{Context, Result};

/// Kills the worker so often, one kill after the other has been recovered from.
pub fn measure(bed: &mut Bed, placement: &Placement, spare: bool, kills: usize) -> Result<Row> {
    bed.place(placement)?;
    let mut times = Vec::with_capacity(kills);
    let mut worker = bed.worker()?;
    for kill in 0..kills {
        let order = Order::Recover(i32::try_from(worker)?);
        times.extend(bed.times(order).with_context(|| format!("kill {kill}"))?);
        worker = bed
            .worker_after(worker)
            .with_context(|| format!("after kill {kill}"))?;
    }
    let samples = Samples::millis(&times).context("no kills")?;
    let (name, aim) = match spare {
        false => ("kill to first answer, no spare", Aim::Both(5.0, 20.0)),
        true => ("kill to first answer, spare", Aim::Both(2.0, 10.0)),
    };
    Ok(Row::new(name, &placement.to_string(), "ms", &samples).aiming(aim))
}
