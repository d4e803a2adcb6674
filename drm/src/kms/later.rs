// SPDX-License-Identifier: MIT
//! Commits that nobody waits for: one thread per device draws them, so that a flip's call does not
//! take as long as the drawing. Commits with fences get a thread each, since a fence may never be
//! signalled.
//!
//! A commit's CRTCs are busy until it is drawn and a vertical blank has passed, which keeps their
//! commits in order. The thread starts with the first commit, and sleeps in the host.

use super::commit::Work;
use crate::device::{Device, lock};
use crate::sync::HostFence;
use drvhost_abi::{Errno, Host};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// A commit that is still to be drawn.
#[derive(Debug)]
pub(super) struct Job {
    /// The flips that it makes.
    pub(super) serial: u64,
    pub(super) work: Vec<Work>,
    /// What it waits for first.
    pub(super) fences: Vec<Arc<HostFence>>,
}

/// The thread's end of it. It outlives the device, which the thread must not keep alive.
#[derive(Debug, Default)]
pub struct Later {
    queue: Mutex<Queue>,
    word: AtomicU32,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Job>,
    started: bool,
    stopped: bool,
}

impl Later {
    fn poke(&self, host: &Host) {
        self.word.fetch_add(1, Ordering::Release);
        host.wake(&self.word, 1);
    }

    /// The device goes: the thread ends.
    pub fn stop(&self, host: &Host) {
        lock(&self.queue).stopped = true;
        self.poke(host);
    }
}

impl Device {
    /// Draws a commit on another thread, once its fences are signalled.
    pub(super) fn show_later(self: &Arc<Self>, job: Job) -> Result<(), Errno> {
        if !job.fences.is_empty() {
            let device = self.clone();
            return self.host.spawn("drm-fenced", move || {
                for fence in &job.fences {
                    fence.wait(u64::MAX);
                }
                device.show_job(&job);
            });
        }
        let mut queue = lock(&self.later.queue);
        if !queue.started {
            if let Err(errno) = self.start_drawing() {
                drop(queue);
                let text = format!("no thread for commits, so the call draws: {errno}");
                self.log(log::Level::Warn, &text);
                self.show_job(&job);
                return Ok(());
            }
            queue.started = true;
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.later.poke(&self.host);
        Ok(())
    }

    fn start_drawing(self: &Arc<Self>) -> Result<(), Errno> {
        let (later, host) = (self.later.clone(), self.host);
        let device = Arc::downgrade(self);
        host.spawn("drm-commit", move || {
            loop {
                let seen = later.word.load(Ordering::Acquire);
                let mut queue = lock(&later.queue);
                if queue.stopped {
                    return;
                }
                let job = queue.jobs.pop_front();
                drop(queue);
                match (job, device.upgrade()) {
                    (Some(job), Some(device)) => device.show_job(&job),
                    (None, _) => {
                        let _ = host.wait(&later.word, seen, u64::MAX);
                    }
                    (Some(_), None) => return,
                }
            }
        })
    }

    /// Draws a commit; its flips are done at the vertical blank that follows.
    fn show_job(&self, job: &Job) {
        let state = self.lock();
        // A closing file may have taken its pictures off meanwhile: what is now counts.
        let shown = state.kms.clone();
        let hardware = lock(&self.hardware);
        drop(state);
        // An error was logged; there is nobody left to tell.
        let _ = self.show(&shown, &job.work);
        drop(hardware);
        let now = self.host.now();
        let mut state = self.lock();
        for work in &job.work {
            let vblank = &mut state.vblanks[work.crtc];
            let next = vblank.sequence(now) + 1;
            if let Some(flip) = vblank
                .flip
                .as_mut()
                .filter(|flip| flip.serial == job.serial)
            {
                flip.target.get_or_insert(next);
            }
        }
        drop(state);
        self.notify();
        self.clock.poke(&self.host);
    }
}
