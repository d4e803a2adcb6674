// SPDX-License-Identifier: MIT
//! The log: env_logger to standard error, and the last lines kept for `drvhost logs` and reports.
//!
//! The target of a line about a device is `<address> <driver>`; the host's own are its modules'.

use log::{Log, Metadata, Record};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Lines that are kept.
const KEPT: usize = 4096;

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// Counts up from the daemon's start.
    pub number: u64,
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// `ERROR` to `TRACE`.
    pub level: String,
    /// `<address> <driver>`, or a module of the host.
    pub target: String,
    /// The text.
    pub text: String,
}

/// The lines that are kept.
#[derive(Debug, Default)]
pub struct Lines {
    kept: Mutex<Kept>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<Line>,
    next: u64,
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, level: &str, target: &str, text: String) {
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let mut kept = self.lock();
        let line = Line {
            number: kept.next,
            time_ms: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
            level: level.into(),
            target: target.into(),
            text,
        };
        kept.next += 1;
        if kept.lines.len() == KEPT {
            kept.lines.pop_front();
        }
        kept.lines.push_back(line);
        self.more.notify_all();
    }

    /// The last `count` lines whose target begins with `target`.
    pub fn last(&self, target: &str, count: usize) -> Vec<Line> {
        let kept = self.lock();
        let matching = kept
            .lines
            .iter()
            .rev()
            .filter(|line| line.target.starts_with(target));
        let mut lines: Vec<_> = matching.take(count).cloned().collect();
        lines.reverse();
        lines
    }

    /// Waits for lines from number `from` on.
    pub fn after(&self, from: u64) -> Vec<Line> {
        let kept = self.lock();
        let kept = self
            .more
            .wait_while(kept, |kept| kept.next <= from)
            .unwrap_or_else(PoisonError::into_inner);
        kept.lines
            .iter()
            .filter(|line| line.number >= from)
            .cloned()
            .collect()
    }
}

struct Tee {
    stderr: env_logger::Logger,
    lines: Arc<Lines>,
}

impl Log for Tee {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.stderr.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.stderr.matches(record) {
            self.stderr.log(record);
            self.lines.push(
                record.level().as_str(),
                record.target(),
                record.args().to_string(),
            );
        }
    }

    fn flush(&self) {
        self.stderr.flush();
    }
}

/// Starts logging: level `info`, or as `RUST_LOG` says.
pub fn start() -> Arc<Lines> {
    let env = env_logger::Env::default().default_filter_or("info");
    let stderr = env_logger::Builder::from_env(env)
        .format_timestamp_millis()
        .build();
    let lines = Arc::new(Lines::default());
    let level = stderr.filter();
    if log::set_boxed_logger(Box::new(Tee {
        stderr,
        lines: lines.clone(),
    }))
    .is_ok()
    {
        log::set_max_level(level);
    }
    lines
}
