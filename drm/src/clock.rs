// SPDX-License-Identifier: MIT
//! The timer: one thread per device that completes what is due at a vertical blank, and sleeps
//! without a deadline while nobody waits for one.

use crate::device::{Device, State};
use crate::kms::event::{MOST_OWED, Owed, record};
use crate::kms::vblank::{Flip, Waiting};
use drvhost_abi::{Errno, Host};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// What the thread sleeps on. It outlives the device, which the thread must not keep alive.
#[derive(Debug, Default)]
pub struct Clock {
    word: AtomicU32,
    stopped: AtomicBool,
}

impl Clock {
    /// Starts the thread of a device.
    pub fn start(device: &Arc<Device>) -> Result<(), Errno> {
        let (clock, host) = (device.clock.clone(), device.host);
        let device = Arc::downgrade(device);
        host.spawn("drm-vblank", move || {
            loop {
                let seen = clock.word.load(Ordering::Acquire);
                let deadline = match device.upgrade() {
                    Some(device) => device.run_due(),
                    None => return,
                };
                if clock.stopped.load(Ordering::Acquire) {
                    return;
                }
                let _ = host.wait(&clock.word, seen, deadline);
            }
        })
    }

    /// Makes the thread look again: something new is waited for.
    pub fn poke(&self, host: &Host) {
        self.word.fetch_add(1, Ordering::Release);
        host.wake(&self.word, 1);
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.clock.stopped.store(true, Ordering::Release);
        self.clock.poke(&self.host);
        self.later.stop(&self.host);
    }
}

impl Device {
    /// Completes what is due. Returns when to look again.
    pub fn run_due(&self) -> u64 {
        let now = self.host.now();
        let mut state = self.lock();
        self.complete_due(&mut state, now);
        let deadlines = state.vblanks.iter().filter_map(|v| v.deadline());
        deadlines.min().unwrap_or(u64::MAX)
    }

    /// Completes what is due by `now`, with the state locked.
    pub fn complete_due(&self, state: &mut State, now: u64) {
        let mut any = false;
        for crtc in 0..state.vblanks.len() {
            let (waiting, flip) = state.vblanks[crtc].due(now);
            any |= !waiting.is_empty() || flip.is_some();
            self.complete(state, crtc, waiting, flip, now);
        }
        if any {
            self.notify();
        }
    }

    /// Tells everybody who waited that it is done, as of the last vertical blank.
    pub fn complete(
        &self,
        state: &mut State,
        crtc: usize,
        waiting: Vec<Waiting>,
        flip: Option<Flip>,
        now: u64,
    ) {
        let vblank = &state.vblanks[crtc];
        let sequence = vblank.sequence(now);
        let time = vblank.time_of(sequence);
        let flip = flip.unwrap_or_default();
        let owed = waiting.iter().map(|waiting| waiting.owed).chain(flip.owed);
        for owed in owed {
            self.send(state, &owed, crtc, sequence, time);
        }
        for fence in flip.fences {
            self.end_fence(fence);
        }
    }

    /// Signals a fence of ours, and is done with it.
    pub fn end_fence(&self, fence: u64) {
        let done = self.host.fence_signal(fence);
        if let Err(errno) = done.and(self.host.fence_put(fence)) {
            self.log(log::Level::Warn, &format!("signalling a fence: {errno}"));
        }
    }

    /// Sends an event that was reserved with [`State::owe`].
    pub fn send(&self, state: &mut State, owed: &Owed, crtc: usize, sequence: u64, time: u64) {
        // A file that closed meanwhile gets nothing.
        let Some(file) = state.files.get_mut(&owed.file) else {
            return;
        };
        file.owed = file.owed.saturating_sub(1);
        let record = record(owed, self.objects.crtcs[crtc], sequence, time);
        if let Err(errno) = self.host.post_event(file.cookie, &record) {
            self.log(
                log::Level::Debug,
                &format!("an event was not taken: {errno}"),
            );
        }
    }

    /// The hardware reports a vertical blank.
    pub fn hardware_vblank(&self, crtc: usize, time: u64) {
        let now = self.host.now();
        let mut state = self.lock();
        if let Some(vblank) = state.vblanks.get_mut(crtc) {
            vblank.report(time);
        }
        self.complete_due(&mut state, now);
    }
}

impl State {
    /// Reserves room for an event: `ENOMEM` when too many are owed to the file already.
    pub fn owe(&mut self, file: u64) -> Result<(), Errno> {
        let file = self.file(file)?;
        if file.owed >= MOST_OWED {
            return Err(Errno::ENOMEM);
        }
        file.owed += 1;
        Ok(())
    }
}
