// SPDX-License-Identifier: MIT
//! The calling end of a ring.

use super::layout::{
    CLAIMED, CLOSED, DONE, DOORBELL, FREE, FREED, Head, QUEUE, REQUEST, Ring, SERVER_CPU, SLEEPERS,
    STATE, WAITING, cpu, wait, wake,
};
use drvhost_abi::tables::ObjectRef;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::time::Duration;

/// How long a caller sleeps before it looks whether the other end is still there.
const LOOK: Duration = Duration::from_millis(250);
/// How often a caller looks at the answer before it sleeps, when the server is on another CPU.
const SPINS: u32 = 2000;

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The other end closed the ring, or is gone.
    #[error("the other end of the ring is gone")]
    Gone,
    /// The payload is larger than a slot.
    #[error("the payload is larger than a slot of the ring")]
    TooLarge,
}

/// The calling end.
#[derive(Debug)]
pub struct RingClient {
    ring: Ring,
}

impl RingClient {
    /// Takes the calling end of a ring.
    pub fn new(ring: Ring) -> RingClient {
        RingClient { ring }
    }

    /// Calls and waits for the answer. The answer's payload (at most as long as the request's)
    /// overwrites `payload`; its head and objects are returned. `alive` is asked every quarter of
    /// a second whether to wait on.
    pub fn call(
        &self,
        head: &Head,
        objects: &[ObjectRef],
        payload: &mut [u8],
        alive: &dyn Fn() -> bool,
    ) -> Result<(Head, Vec<ObjectRef>), CallError> {
        if payload.len() > super::MAX_PAYLOAD {
            return Err(CallError::TooLarge);
        }
        let slot = self.claim(alive)?;
        self.ring.store(slot, head, objects, payload);
        let state = self.ring.slot_word(slot, STATE);
        state.store(REQUEST, Release);
        self.ring.word(DOORBELL).fetch_add(1, SeqCst);
        if self.ring.word(SLEEPERS).load(SeqCst) > 0 {
            wake(self.ring.word(DOORBELL), 1);
        }
        self.await_answer(slot, alive)?;
        let answer = self.ring.head(slot);
        let len = payload.len().min(answer.payload_len as usize);
        if let Some(payload) = payload.get_mut(..len) {
            self.ring.payload(slot, payload);
        }
        let objects = self.ring.objects(slot, &answer);
        self.free(slot);
        Ok((answer, objects))
    }

    /// Whether the ring is closed.
    pub fn is_closed(&self) -> bool {
        self.ring.word(CLOSED).load(SeqCst) != 0
    }

    fn claim(&self, alive: &dyn Fn() -> bool) -> Result<usize, CallError> {
        loop {
            if self.is_closed() {
                return Err(CallError::Gone);
            }
            let freed = self.ring.word(FREED).load(Acquire);
            for slot in 0..self.ring.len() {
                let state = self.ring.slot_word(slot, STATE);
                if state.load(Relaxed) == FREE
                    && state
                        .compare_exchange(FREE, CLAIMED, AcqRel, Relaxed)
                        .is_ok()
                {
                    return Ok(slot);
                }
            }
            self.ring.word(QUEUE).fetch_add(1, SeqCst);
            wait(self.ring.word(FREED), freed, Some(LOOK));
            self.ring.word(QUEUE).fetch_sub(1, SeqCst);
            if !alive() {
                return Err(CallError::Gone);
            }
        }
    }

    fn free(&self, slot: usize) {
        self.ring.slot_word(slot, STATE).store(FREE, Release);
        self.ring.word(FREED).fetch_add(1, SeqCst);
        if self.ring.word(QUEUE).load(SeqCst) > 0 {
            wake(self.ring.word(FREED), 1);
        }
    }

    fn await_answer(&self, slot: usize, alive: &dyn Fn() -> bool) -> Result<(), CallError> {
        let state = self.ring.slot_word(slot, STATE);
        if self.ring.slot_word(slot, SERVER_CPU).load(Relaxed) != cpu() + 1 {
            for _ in 0..SPINS {
                if state.load(Acquire) == DONE {
                    return Ok(());
                }
                std::hint::spin_loop();
            }
        }
        let waiting = self.ring.slot_word(slot, WAITING);
        loop {
            // The server looks at it after the answer's `DONE`: one of the two sees the other's.
            waiting.store(1, SeqCst);
            let seen = state.load(SeqCst);
            if seen == DONE {
                waiting.store(0, Relaxed);
                return Ok(());
            }
            // The slot is not freed on the way out: the server may still write to it.
            if self.is_closed() {
                return Err(CallError::Gone);
            }
            wait(state, seen, Some(LOOK));
            if state.load(Acquire) != DONE && !alive() {
                return Err(CallError::Gone);
            }
        }
    }
}
