// SPDX-License-Identifier: MIT
//! Making a change so: waiting for what it depends on, swapping the state, showing it.

use super::check::check;
use super::damage::damage;
use super::event::{Owed, What};
use super::later::Job;
use super::state::KmsState;
use super::transaction::{Pace, Transaction};
use super::vblank::Flip;
use crate::device::{Device, State, lock};
use crate::gpu::{CrtcUpdate, Frame};
use crate::mode::ModeTiming;
use crate::rect::Damage;
use drvhost_abi::Errno;
use std::sync::{Arc, MutexGuard};

/// Whether and how a commit may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Only check.
    Test,
    /// Wait for the commit before, and for this one to be on the screen.
    Blocking,
    /// `EBUSY` where the commit before is still on its way.
    Nonblocking,
    /// Put it through now: a file closes, or the host puts state back.
    Forced,
}

/// What a commit leaves for the caller.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Fences that were promised: place in the call, id of the host's.
    pub fences: Vec<(u32, u64)>,
}

/// What has to be done in hardware for one CRTC.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) crtc: usize,
    pub(super) modeset: bool,
    pub(super) damage: Damage,
}

impl Device {
    /// Runs a commit. `build` makes the change from the current state; it may run several times,
    /// since the state may change while the commit waits for its turn.
    pub fn commit(
        self: &Arc<Self>,
        how: How,
        mut build: impl FnMut(&mut State) -> Result<Transaction, Errno>,
    ) -> Result<Outcome, Errno> {
        let mut fences_done = false;
        loop {
            let seen = self.seen();
            let now = self.host.now();
            let mut state = self.lock();
            self.complete_due(&mut state, now);
            let mut tx = build(&mut state)?;
            if how == How::Forced {
                // Nobody waits for it, so the next change must not have to either.
                tx.pace = Pace::Async;
            }
            let modeset = check(&self.objects, &*self.gpu, &mut tx)?;
            if how == How::Test {
                return Ok(Outcome::default());
            }
            if how != How::Forced
                && let Some(until) = self.busy(&state, &tx)
            {
                if how == How::Nonblocking {
                    return Err(Errno::EBUSY);
                }
                drop(state);
                self.sleep(seen, until);
                continue;
            }
            let deferred = !fences_done && !tx.in_fences.iter().all(|fence| fence.is_done());
            if deferred && how == How::Blocking {
                let fences = core::mem::take(&mut tx.in_fences);
                drop(state);
                for fence in fences {
                    fence.wait(u64::MAX);
                }
                fences_done = true;
                continue;
            }
            let outcome = self.promise(&mut state, &tx)?;
            let fences = outcome.fences.clone();
            let after = self.swap(state, tx, modeset, deferred, fences, how)?;
            if how == How::Blocking
                && let Some(crtcs) = after
            {
                self.wait_shown(crtcs);
            }
            return Ok(outcome);
        }
    }

    /// When to look again if a commit before is still on its way on one of the CRTCs.
    fn busy(&self, state: &State, tx: &Transaction) -> Option<u64> {
        let crtcs = tx.touched_crtcs();
        let pending = crtcs.iter().filter_map(|crtc| {
            let vblank = &state.vblanks[*crtc];
            let flip = vblank.flip.as_ref()?;
            match flip.target {
                // A cursor does not wait for flips, but for a picture that is not there yet.
                Some(_) if tx.pace == Pace::Immediate => None,
                Some(target) => Some(vblank.time_of(target)),
                None => Some(u64::MAX),
            }
        });
        pending.max()
    }

    /// Reserves the events, and makes the fences, that the change owes.
    fn promise(&self, state: &mut State, tx: &Transaction) -> Result<Outcome, Errno> {
        let mut outcome = Outcome::default();
        let mut reserved = 0;
        let result = (|| {
            if let Some((file, _)) = tx.event {
                for _ in tx.touched_crtcs() {
                    state.owe(file)?;
                    reserved += 1;
                }
            }
            for (_, place) in &tx.out_fences {
                outcome.fences.push((*place, self.host.fence_create()?));
            }
            Ok(())
        })();
        if let Err(errno) = result {
            if let Some(file) = tx.event.and_then(|(file, _)| state.files.get_mut(&file)) {
                file.owed -= reserved;
            }
            for (_, fence) in outcome.fences {
                self.end_fence(fence);
            }
            return Err(errno);
        }
        Ok(outcome)
    }

    /// Makes the new state the current one and shows it. Returns the CRTCs whose next vertical
    /// blank a blocking commit waits for.
    fn swap(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        tx: Transaction,
        modeset: u32,
        deferred: bool,
        fences: Vec<(u32, u64)>,
        how: How,
    ) -> Result<Option<u32>, Errno> {
        let now = self.host.now();
        let mut work = Vec::new();
        for crtc in tx.touched_crtcs() {
            let set = modeset & (1 << crtc) != 0;
            work.push(Work {
                crtc,
                modeset: set,
                damage: damage(&tx, crtc, set),
            });
            if set {
                self.run_vblank(&mut state, &tx.new, crtc, now);
            }
        }
        // Who does not wait need not wait for the drawing either.
        let drawn_later = how == How::Nonblocking
            && tx.pace == Pace::Frame
            && modeset == 0
            && work.iter().any(|work| !work.damage.rects().is_empty());
        let later = deferred || drawn_later;
        let serial = state.next_flip();
        for (crtc, promised) in tx.touched_crtcs().into_iter().map(|crtc| {
            let mine = tx.out_fences.iter().zip(&fences);
            let mine = mine.filter(move |((owner, _), _)| *owner == crtc);
            (crtc, mine.map(|(_, (_, id))| *id).collect::<Vec<_>>())
        }) {
            let flip = Flip {
                serial,
                target: None,
                owed: tx
                    .event
                    .map(|(file, user_data)| Owed {
                        file,
                        what: What::Flip,
                        user_data,
                    })
                    .into_iter()
                    .collect(),
                fences: promised,
            };
            // A mode set is on the screen when it is made: nothing after it has to wait.
            let set = modeset & (1 << crtc) != 0 && !flip.is_awaited() && !later;
            if !set {
                self.start_flip(&mut state, &tx, crtc, flip, later, now);
            }
        }
        for (index, connector) in tx.new.connectors.iter().enumerate() {
            // Mode sets decide what the legacy DPMS property says.
            if let Some(crtc) = connector.crtc
                && modeset & (1 << crtc) != 0
            {
                state.connectors[index].dpms = if tx.new.crtcs[crtc].active { 0 } else { 3 };
            }
        }
        let shown = Arc::new(tx.new);
        state.kms = shown.clone();
        let waits = tx.pace == Pace::Frame && modeset == 0 && how == How::Blocking;
        if later {
            drop(state);
            drop(shown);
            let fences = if deferred { tx.in_fences } else { Vec::new() };
            self.show_later(Job {
                serial,
                work,
                fences,
            })?;
            return Ok(None);
        }
        let hardware = lock(&self.hardware);
        drop(state);
        let result = self.show(&shown, &work);
        drop(hardware);
        self.clock.poke(&self.host);
        result?;
        Ok(waits.then_some(tx.crtcs))
    }

    /// A mode set starts or stops a CRTC's vertical blanks; whoever waited is told.
    fn run_vblank(&self, state: &mut State, new: &KmsState, crtc: usize, now: u64) {
        let new = &new.crtcs[crtc];
        let period = new.mode.map_or(16_666_667, |mode| mode.frame_time());
        let (waiting, flip) = state.vblanks[crtc].run(new.active, period, now);
        self.complete(state, crtc, waiting, flip, now);
        self.notify();
    }

    /// Notes that a commit is on its way, or ends it at once where nothing delays it.
    fn start_flip(
        &self,
        state: &mut State,
        tx: &Transaction,
        crtc: usize,
        mut flip: Flip,
        later: bool,
        now: u64,
    ) {
        let before = state.vblanks[crtc].flip.take();
        let vblank = &state.vblanks[crtc];
        if !vblank.is_running() || tx.pace == Pace::Async {
            self.complete(state, crtc, Vec::new(), before, now);
            self.complete(state, crtc, Vec::new(), Some(flip), now);
            return;
        }
        if tx.pace == Pace::Immediate {
            state.vblanks[crtc].flip = before;
            return;
        }
        if !later {
            flip.target = Some(vblank.sequence(now) + 1);
        }
        self.complete(state, crtc, Vec::new(), before, now);
        state.vblanks[crtc].flip = Some(flip);
    }

    /// Lets the driver show a state.
    pub(super) fn show(&self, state: &KmsState, work: &[Work]) -> Result<(), Errno> {
        let mut result = Ok(());
        for Work {
            crtc,
            modeset,
            damage,
        } in work
        {
            let new = &state.crtcs[*crtc];
            if !modeset && damage.rects().is_empty() {
                continue;
            }
            let done = self.gpu.commit(&CrtcUpdate {
                crtc: *crtc,
                modeset: *modeset,
                active: new.active,
                mode: new.mode.as_ref(),
                frame: Frame::new(state, *crtc, &self.order, damage.clone()),
                state,
            });
            if let Err(errno) = done {
                let text = format!("the device did not take a new picture: {errno}");
                self.log(log::Level::Error, &text);
                result = Err(errno);
            }
        }
        result
    }

    /// Sleeps until the commits on these CRTCs are on the screen.
    fn wait_shown(&self, crtcs: u32) {
        loop {
            let seen = self.seen();
            let now = self.host.now();
            let mut state = self.lock();
            self.complete_due(&mut state, now);
            let pending = (0..state.vblanks.len()).filter(|crtc| crtcs & (1 << crtc) != 0);
            let until = pending
                .filter_map(|crtc| {
                    let vblank = &state.vblanks[crtc];
                    Some(vblank.time_of(vblank.flip.as_ref()?.target?))
                })
                .max();
            drop(state);
            match until {
                Some(until) => self.sleep(seen, until),
                None => return,
            }
        }
    }
}
