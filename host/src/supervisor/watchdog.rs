// SPDX-License-Identifier: MIT
//! Finds workers that hang: one thread for all, which sleeps while nothing is expected of any.
//!
//! The actors cannot do it: an actor waits for its worker while it loads and probes.

use drvhost_worker::{Cause, Clock, Link};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// How often it looks while something is expected.
const LOOK: Duration = Duration::from_millis(250);

/// The watchdog.
#[derive(Debug)]
pub struct Watchdog {
    clock: Arc<Clock>,
    state: Mutex<State>,
    woken: Condvar,
}

#[derive(Debug, Default)]
struct State {
    watched: Vec<Watched>,
    awake: bool,
}

#[derive(Debug)]
struct Watched {
    link: Weak<Link>,
    limit: u64,
    target: String,
}

impl Watchdog {
    /// Starts its thread. With a stepped clock there is none: whoever steps calls
    /// [`Watchdog::look`].
    pub fn start(clock: Arc<Clock>) -> io::Result<Arc<Watchdog>> {
        let dog = Arc::new(Watchdog {
            clock,
            state: Mutex::default(),
            woken: Condvar::new(),
        });
        if !dog.clock.is_stepped() {
            let dog = dog.clone();
            std::thread::Builder::new()
                .name("watchdog".into())
                .spawn(move || dog.run())?;
        }
        Ok(dog)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches a worker while it lives.
    pub fn watch(&self, link: &Arc<Link>, limit_ms: u32, target: String) {
        let mut state = self.state();
        state
            .watched
            .retain(|watched| watched.link.strong_count() > 0);
        let limit = u64::from(limit_ms.max(1)) * 1_000_000;
        state.watched.push(Watched {
            link: Arc::downgrade(link),
            limit,
            target,
        });
        state.awake = true;
        self.woken.notify_one();
    }

    /// Something is expected of a worker after a quiet time.
    pub fn wake(&self) {
        self.state().awake = true;
        self.woken.notify_one();
    }

    /// Looks at all workers, and kills those that hang. Says whether anything is expected still.
    pub fn look(&self) -> bool {
        // The links are kept beyond the lock: the last owner of one waits for its end.
        let watched: Vec<_> = self
            .state()
            .watched
            .iter()
            .filter_map(|w| Some((w.link.upgrade()?, w.limit, w.target.clone())))
            .collect();
        let mut busy = false;
        for (link, limit, target) in watched {
            if let Some(hang) = link.hang(self.clock.now(), limit) {
                log::error!(target: &target, "hangs: {hang}");
                link.kill(Cause::Hang(hang));
            }
            busy |= link.is_watched();
        }
        busy
    }

    fn run(&self) {
        loop {
            let mut state = self.state();
            while !state.awake {
                state = self
                    .woken
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            state.awake = false;
            drop(state);
            // It looks after the sleep, not before: it would find no call, ask to be woken by the
            // next one, and so take part in each of a program's calls.
            loop {
                std::thread::sleep(LOOK);
                if !self.look() {
                    break;
                }
            }
            self.rest();
        }
    }

    /// Nothing is expected: each worker's next call is to wake this thread.
    fn rest(&self) {
        let mut state = self.state();
        state
            .watched
            .retain(|watched| watched.link.strong_count() > 0);
        for link in state
            .watched
            .iter()
            .filter_map(|watched| watched.link.upgrade())
        {
            if !link.rest() {
                state.awake = true;
                break;
            }
        }
    }
}
