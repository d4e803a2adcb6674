// SPDX-License-Identifier: MIT
//! The ring that calls go through, alone: what is above it in a call is drvhost's own work.

use super::time;
use crate::placement::Placement;
use crate::row::Row;
use crate::samples::Samples;
use anyhow::{Context, Result, ensure};
use drvhost_channel::ring::{Head, Ring, RingClient, RingServer, Slots};
use drvhost_tests::Guard;
use std::os::fd::AsFd;
use std::process::Command;

/// Bytes: `GET_CAP`'s argument.
const PAYLOAD: usize = 16;

/// Measures it between the client's CPU and the host's.
pub fn measure(placement: &Placement, rounds: usize) -> Result<Row> {
    let memory = Ring::create(Slots::Program)?;
    let client = RingClient::new(Ring::open(&memory, Slots::Program)?);
    let mut command = Command::new(std::env::current_exe()?);
    let _server = placement
        .host
        .spawn(command.arg("ring").stdin(memory))
        .map(Guard)?;
    let times = placement.client.during(|| {
        let mut payload = [7; PAYLOAD];
        time(rounds, || {
            let answer = client.call(&Head::default(), &[], &mut payload, &|| true)?;
            ensure!(
                answer.0.payload_len == PAYLOAD as u32,
                "an answer of another length"
            );
            Ok(())
        })
    })?;
    let samples = Samples::micros(&times).context("no rounds")?;
    Ok(Row::new("ring echo", &placement.floor(), "us", &samples))
}

/// The other end.
pub fn serve() -> Result<()> {
    let server = RingServer::new(Ring::open(std::io::stdin().as_fd(), Slots::Program)?);
    let mut payload = Vec::new();
    while let Some(taken) = server.next(&mut payload) {
        server.reply(&taken, 0, &[], &payload);
    }
    Ok(())
}
