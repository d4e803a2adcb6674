// SPDX-License-Identifier: MIT
//! What is measured, in which order.

use crate::bed::Bed;
use crate::placement::{Cpus, Placement};
use crate::row::{self, Row};
use crate::{calls, flips, floor, matching, recovery, resting, start};
use anyhow::{Context, Result};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Parts of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Round trips, and their floors.
    Calls,
    /// Kills.
    Recovery,
    /// Vblanks missed over kills.
    Flips,
    /// Starts of the daemon.
    Start,
    /// Manifests.
    Matching,
    /// Memory and wake-ups.
    Resting,
}

/// How often everything is done.
struct Rounds {
    calls: usize,
    flips: usize,
    kills: usize,
    starts: usize,
    matching: usize,
    resting: Duration,
}

const FULL: Rounds = Rounds {
    calls: 20_000,
    flips: 400,
    kills: 120,
    starts: 30,
    matching: 30,
    resting: Duration::from_secs(5),
};

const QUICK: Rounds = Rounds {
    calls: 2_000,
    flips: 50,
    kills: 10,
    starts: 3,
    matching: 3,
    resting: Duration::from_secs(1),
};

/// Rows as they come, and what could not be measured.
struct Results {
    rows: Vec<Row>,
    failed: bool,
}

impl Results {
    fn add(&mut self, what: &str, rows: Result<Vec<Row>>) {
        match rows {
            Ok(rows) => {
                rows.iter().for_each(|row| println!("{row}"));
                self.rows.extend(rows);
            }
            Err(error) => {
                println!("{what}: failed: {error:#}");
                self.failed = true;
            }
        }
    }
}

/// Measures, prints and writes. The exit code says whether everything could be measured; an aim
/// that is missed is no failure.
pub fn run(out: &Path, quick: bool, only: &[Part]) -> Result<ExitCode> {
    let wanted = |part: Part| only.is_empty() || only.contains(&part);
    let rounds = if quick { QUICK } else { FULL };
    let cpus = Cpus::allowed()?;
    let placements = Placement::pinned(&cpus);
    let one = placements.first().context("no CPU")?.clone();
    let mut results = Results {
        rows: Vec::new(),
        failed: false,
    };
    println!("{}", row::heading());

    if wanted(Part::Calls) {
        floors(&placements, rounds.calls, &mut results)?;
    }
    // Crashes are measured on one core, and where the new worker has room.
    let mut places = vec![one.clone()];
    places.extend(Placement::spread(&cpus));
    for spare in [false, true] {
        let calls = !spare && wanted(Part::Calls);
        let rest = !spare && wanted(Part::Resting);
        if !(calls || rest || wanted(Part::Recovery) || wanted(Part::Flips)) {
            continue;
        }
        let mut bed = match Bed::start(spare) {
            Ok(bed) => bed,
            Err(error) => {
                results.add("starting drvhost", Err(error));
                continue;
            }
        };
        if rest {
            results.add(
                "resting",
                resting::measure(&mut bed, &one.client, rounds.resting),
            );
        }
        if calls {
            let floors = results.rows.clone();
            let (calls, flips) = (rounds.calls, rounds.flips);
            let rows = calls::measure(&mut bed, &placements, &floors, calls, flips);
            results.add("calls", rows);
        }
        for place in &places {
            let kills = rounds.kills;
            if wanted(Part::Recovery) {
                let row = recovery::measure(&mut bed, place, spare, kills);
                results.add("recovery", row.map(|row| vec![row]));
            }
            if wanted(Part::Flips) {
                let row = flips::measure(&mut bed, place, spare, kills);
                results.add("flips over kills", row.map(|row| vec![row]));
            }
        }
    }
    if wanted(Part::Start) {
        results.add(
            "start",
            start::measure(&cpus, rounds.starts).map(|row| vec![row]),
        );
    }
    if wanted(Part::Matching) {
        results.add("matching", matching::measure(&one.client, rounds.matching));
    }
    row::write(&results.rows, out)?;
    println!("written to {}", out.display());
    Ok(if results.failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The echo between the ends of each placement, and beside it the ring's and the FUSE ioctl.
fn floors(placements: &[Placement], rounds: usize, results: &mut Results) -> Result<()> {
    let mut ends: Vec<&Placement> = Vec::new();
    for place in placements {
        if !ends.iter().any(|seen| seen.floor() == place.floor()) {
            ends.push(place);
        }
    }
    for place in ends {
        let echo = floor::echo::measure(place, rounds)?;
        let fuse = floor::fuse::measure(place, rounds);
        results.add("echo", Ok(vec![echo.clone()]));
        let ring = floor::ring::measure(place, rounds).map(|row| vec![row.against(Some(&echo))]);
        results.add("ring", ring);
        match fuse {
            Ok(row) => results.add("FUSE", Ok(vec![row.against(Some(&echo))])),
            // Not every machine lets us: the other rows do not need it.
            Err(error) => println!("FUSE ioctl: left out: {error:#}"),
        }
    }
    Ok(())
}
