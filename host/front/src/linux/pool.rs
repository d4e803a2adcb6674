// SPDX-License-Identifier: MIT
//! A few threads for work that may wait for a worker: started on demand, kept while there is
//! work, with one spare that sleeps.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    stopped: bool,
}

struct Shared {
    name: &'static str,
    limit: usize,
    state: Mutex<State>,
    changed: Condvar,
}

/// The threads. Dropping it lets queued jobs finish and ends them.
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.shared.lock();
        write!(f, "Pool({}: {} threads)", self.shared.name, state.threads)
    }
}

impl Pool {
    pub(crate) fn new(name: &'static str, limit: usize) -> Pool {
        Pool {
            shared: Arc::new(Shared {
                name,
                limit: limit.max(1),
                state: Mutex::default(),
                changed: Condvar::new(),
            }),
        }
    }

    /// Runs a job on a thread of the pool, at once or when one is free.
    pub(crate) fn run(&self, job: impl FnOnce() + Send + 'static) {
        let mut state = self.shared.lock();
        state.jobs.push_back(Box::new(job));
        if state.idle >= state.jobs.len() || state.threads >= self.shared.limit {
            self.shared.changed.notify_one();
            return;
        }
        let shared = self.shared.clone();
        let thread = std::thread::Builder::new().name(self.shared.name.into());
        match thread.spawn(move || shared.work()) {
            Ok(_) => state.threads += 1,
            Err(error) if state.threads == 0 => {
                log::error!("cannot start a {} thread: {error}", self.shared.name);
                state.jobs.pop_back();
            }
            Err(_) => self.shared.changed.notify_one(),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.stopped = true;
        self.shared.changed.notify_all();
        // A job may hold the last reference to what holds the pool: then this is a thread of the
        // pool, which cannot wait for itself. Threads end by themselves.
        state.jobs.shrink_to_fit();
    }
}

impl Shared {
    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = self.lock();
                continue;
            }
            if state.stopped || state.idle > 0 {
                state.threads -= 1;
                return;
            }
            state.idle += 1;
            let result = self.changed.wait(state);
            state = result.unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
