// SPDX-License-Identifier: MIT
//! Which process sits on which CPU.

use anyhow::{Context, Result};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::collections::HashSet;
use std::fmt;
use std::process::{Child, Command};

/// CPU numbers, rising.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpus(Vec<usize>);

/// The CPUs of each process. The machine's simulator sits with the worker, which it is hardware to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The program that calls.
    pub client: Cpus,
    /// drvhost, or the serving end of a floor.
    pub host: Cpus,
    /// The worker and the simulator.
    pub worker: Cpus,
}

impl Cpus {
    /// The CPUs that this process may use.
    pub fn allowed() -> Result<Cpus> {
        let set = sched_getaffinity(None)?;
        Ok(Cpus(
            (0..CpuSet::MAX_CPU)
                .filter(|&cpu| set.is_set(cpu))
                .collect(),
        ))
    }

    fn one(&self, index: usize) -> Option<Cpus> {
        self.0.get(index).map(|&cpu| Cpus(vec![cpu]))
    }

    fn set(&self) -> CpuSet {
        let mut set = CpuSet::new();
        self.0.iter().for_each(|&cpu| set.set(cpu));
        set
    }

    /// Pins this thread, and what it starts from now on.
    pub fn pin_self(&self) -> Result<()> {
        sched_setaffinity(None, &self.set()).with_context(|| format!("pinning to CPU {self}"))
    }

    /// Pins all threads of a process.
    pub fn pin(&self, process: u32) -> Result<()> {
        let mut done = HashSet::new();
        // A thread that starts meanwhile has its parent's CPUs, so look until there is no new one.
        loop {
            let mut new = false;
            for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
                let thread: i32 = task?.file_name().to_string_lossy().parse()?;
                if !done.insert(thread) {
                    continue;
                }
                new = true;
                match sched_setaffinity(Pid::from_raw(thread), &self.set()) {
                    // It ended.
                    Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                    Err(error) => {
                        return Err(error)
                            .with_context(|| format!("pinning thread {thread} to CPU {self}"));
                    }
                }
            }
            if !new {
                return Ok(());
            }
        }
    }

    /// Starts a process on these CPUs; this thread's own stay as they are.
    pub fn spawn(&self, command: &mut Command) -> Result<Child> {
        self.during(|| {
            command
                .spawn()
                .with_context(|| format!("starting {command:?}"))
        })
    }

    /// Does something with this thread on these CPUs: what it starts inherits them.
    pub fn during<T>(&self, body: impl FnOnce() -> Result<T>) -> Result<T> {
        let before = sched_getaffinity(None)?;
        self.pin_self()?;
        let result = body();
        sched_setaffinity(None, &before)?;
        result
    }
}

/// As `lscpu` writes them: `0`, `0-3`, `0,2`.
impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, run) in self.0.chunk_by(|a, b| a + 1 == *b).enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match run {
                [one] => write!(f, "{comma}{one}")?,
                [first, .., last] => write!(f, "{comma}{first}-{last}")?,
                [] => {}
            }
        }
        Ok(())
    }
}

impl Placement {
    /// Those that a machine with these CPUs has, the one with a single CPU first.
    pub fn pinned(cpus: &Cpus) -> Vec<Placement> {
        // Indexes of client, host and worker.
        [[0, 0, 0], [0, 1, 1], [0, 1, 0], [0, 1, 2]]
            .iter()
            .filter_map(|&[client, host, worker]| {
                Some(Placement {
                    client: cpus.one(client)?,
                    host: cpus.one(host)?,
                    worker: cpus.one(worker)?,
                })
            })
            .collect()
    }

    /// The client on one CPU, all others wherever the scheduler puts them; `None` where that is
    /// the same as one CPU.
    pub fn spread(cpus: &Cpus) -> Option<Placement> {
        let client = cpus.one(0).filter(|_| cpus.0.len() > 1)?;
        Some(Placement {
            client,
            host: cpus.clone(),
            worker: cpus.clone(),
        })
    }

    /// Whether all sit on one CPU.
    pub fn is_one_core(&self) -> bool {
        self.client.0.len() == 1 && self.client == self.host && self.host == self.worker
    }

    /// Where the client and another process sit, for calls that reach only that one.
    pub fn two_ends(&self, name: &str, other: &Cpus) -> String {
        match &self.client == other {
            true => format!("client, {name}: CPU {other}"),
            false => format!("client: CPU {}; {name}: CPU {other}", self.client),
        }
    }

    /// The same for a floor, whose other end is on the host's CPU.
    pub fn floor(&self) -> String {
        self.two_ends("server", &self.host)
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Placement {
            client,
            host,
            worker,
        } = self;
        if self.is_one_core() {
            write!(f, "client, host, worker: CPU {client}")
        } else if host == worker {
            write!(f, "client: CPU {client}; host, worker: CPU {host}")
        } else if client == worker {
            write!(f, "client, worker: CPU {client}; host: CPU {host}")
        } else {
            write!(
                f,
                "client: CPU {client}; host: CPU {host}; worker: CPU {worker}"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_written_as_ranges() {
        let cases: [(&[usize], &str); 4] = [
            (&[0], "0"),
            (&[0, 1], "0-1"),
            (&[0, 2], "0,2"),
            (&[1, 2, 3, 7], "1-3,7"),
        ];
        for (cpus, text) in cases {
            assert_eq!(Cpus(cpus.to_vec()).to_string(), text);
        }
    }

    #[test]
    fn a_machine_has_the_placements_that_its_cpus_allow() {
        for (cpus, pinned, spread) in [(1, 1, false), (2, 3, true), (3, 4, true), (8, 4, true)] {
            let cpus = Cpus((0..cpus).collect());
            assert_eq!(Placement::pinned(&cpus).len(), pinned);
            assert_eq!(Placement::spread(&cpus).is_some(), spread);
            assert!(Placement::pinned(&cpus)[0].is_one_core());
        }
    }

    #[test]
    fn all_threads_are_pinned_and_this_one_is_put_back() -> Result<()> {
        let all = Cpus::allowed()?;
        let one = all.one(0).unwrap();
        let mut child = one.spawn(Command::new("sleep").arg("100"))?;
        let pid = Pid::from_child(&child);
        let pinned = sched_getaffinity(Some(pid));
        all.pin(child.id())?;
        let free = sched_getaffinity(Some(pid));
        child.kill()?;
        child.wait()?;
        assert!(pinned? == one.set());
        assert!(free? == all.set());
        assert_eq!(Cpus::allowed()?, all);
        Ok(())
    }
}
