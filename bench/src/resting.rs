// SPDX-License-Identifier: MIT
//! What host and worker take while nobody calls: memory, and wake-ups.

use crate::bed::Bed;
use crate::placement::Cpus;
use crate::row::{Aim, Row};
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::fs::{read_dir, read_to_string};
use std::time::Duration;

/// Measures with a client connected that has a picture on the screen, over so long a time.
pub fn measure(bed: &mut Bed, cpus: &Cpus, time: Duration) -> Result<Vec<Row>> {
    bed.place_all(cpus)?;
    let processes = [("host", bed.host()), ("worker", bed.worker()?)];
    let placement = format!("client, host, worker: CPU {cpus}");
    let mut rows = Vec::new();
    for (name, pid) in processes {
        for field in ["Rss", "Pss"] {
            let (name, value) = (
                format!("memory of the {name} ({field})"),
                memory(pid, field)?,
            );
            rows.push(Row::single(&name, &placement, "KiB", value));
        }
    }
    // What the last questions and calls set in motion comes to rest.
    std::thread::sleep(Duration::from_secs(1));
    let before = processes.map(|(_, pid)| switches(pid));
    std::thread::sleep(time);
    for ((name, pid), before) in processes.into_iter().zip(before) {
        let (before, after) = (before?, switches(pid)?);
        let woken: u64 = after
            .iter()
            .map(|(thread, count)| count - before.get(thread).copied().unwrap_or(0).min(*count))
            .sum();
        let rate = woken as f64 / time.as_secs_f64();
        let row = Row::single(
            &format!("wake-ups of the {name}, idle"),
            &placement,
            "1/s",
            rate,
        );
        rows.push(row.aiming((name == "host").then_some(Aim::Median(0.0))));
    }
    Ok(rows)
}

/// A field of a process's memory in KiB.
fn memory(pid: u32, field: &str) -> Result<f64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = read_to_string(&path).with_context(|| path.clone())?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .and_then(|rest| rest.split_whitespace().next());
    Ok(value
        .with_context(|| format!("{path} has no {field}"))?
        .parse()?)
}

/// How often each thread of a process went to sleep; as often it was woken.
fn switches(pid: u32) -> Result<HashMap<u32, u64>> {
    let mut switches = HashMap::new();
    for task in read_dir(format!("/proc/{pid}/task"))? {
        let task = task?;
        let text = read_to_string(task.path().join("status"))?;
        let count = text
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))
            .context("status without voluntary_ctxt_switches")?;
        switches.insert(
            task.file_name().to_string_lossy().parse()?,
            count.trim().parse()?,
        );
    }
    Ok(switches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_wakes_up() -> Result<()> {
        let own = std::process::id();
        assert!(memory(own, "Rss")? >= memory(own, "Pss")?);
        let count = |switches: HashMap<u32, u64>| switches.values().sum::<u64>();
        let before = count(switches(own)?);
        std::thread::sleep(Duration::from_millis(1));
        assert!(count(switches(own)?) > before);
        assert!(memory(own, "Nothing").is_err());
        Ok(())
    }
}
