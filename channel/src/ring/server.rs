// SPDX-License-Identifier: MIT
//! The serving end of a ring.

use super::layout::{
    BUSY, CLOSED, DONE, DOORBELL, FREED, Head, REQUEST, Ring, SERVER_CPU, SLEEPERS, STATE, WAITING,
    cpu, wait, wake,
};
use drvhost_abi::tables::ObjectRef;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

#[derive(Debug)]
struct Shared {
    ring: Ring,
    // The truth about being stopped; the word in the memory only tells the client.
    stopped: AtomicBool,
}

/// The serving end. Clones serve the same ring, each from a thread of its own.
#[derive(Clone, Debug)]
pub struct RingServer {
    shared: Arc<Shared>,
}

/// A call that a server took: a copy, checked against the limits.
#[derive(Debug)]
pub struct Taken {
    slot: usize,
    /// The call's head as the client wrote it.
    pub head: Head,
    /// The objects that go with it.
    pub objects: Vec<ObjectRef>,
}

/// Closes a ring from outside.
#[derive(Clone, Debug)]
pub struct Stopper {
    shared: Arc<Shared>,
}

impl RingServer {
    /// Takes the serving end of a ring.
    pub fn new(ring: Ring) -> RingServer {
        RingServer {
            shared: Arc::new(Shared {
                ring,
                stopped: AtomicBool::new(false),
            }),
        }
    }

    /// What closes this ring.
    pub fn stopper(&self) -> Stopper {
        Stopper {
            shared: self.shared.clone(),
        }
    }

    /// Sleeps until there is a call; its payload replaces `payload`. `None` when closed.
    pub fn next(&self, payload: &mut Vec<u8>) -> Option<Taken> {
        let ring = &self.shared.ring;
        loop {
            let seen = ring.word(DOORBELL).load(SeqCst);
            if self.shared.stopped.load(Acquire) {
                return None;
            }
            if let Some(taken) = self.take(payload) {
                return Some(taken);
            }
            ring.word(SLEEPERS).fetch_add(1, SeqCst);
            if ring.word(DOORBELL).load(SeqCst) == seen && !self.shared.stopped.load(Acquire) {
                wait(ring.word(DOORBELL), seen, None);
            }
            ring.word(SLEEPERS).fetch_sub(1, SeqCst);
        }
    }

    /// Whether a request waits that nobody has taken.
    pub fn pending(&self) -> bool {
        let ring = &self.shared.ring;
        (0..ring.len()).any(|slot| ring.slot_word(slot, STATE).load(Acquire) == REQUEST)
    }

    /// Answers a call. The answer's payload must not be longer than the request's.
    pub fn reply(&self, taken: &Taken, result: i64, objects: &[ObjectRef], payload: &[u8]) {
        let head = Head {
            result,
            ..taken.head
        };
        self.reply_head(taken, &head, objects, payload);
    }

    /// Answers a call with a head of its own.
    pub fn reply_head(&self, taken: &Taken, head: &Head, objects: &[ObjectRef], payload: &[u8]) {
        let ring = &self.shared.ring;
        ring.store(taken.slot, head, objects, payload);
        ring.slot_word(taken.slot, SERVER_CPU)
            .store(cpu() + 1, Relaxed);
        let state = ring.slot_word(taken.slot, STATE);
        state.store(DONE, SeqCst);
        if ring.slot_word(taken.slot, WAITING).load(SeqCst) != 0 {
            wake(state, 1);
        }
    }

    fn take(&self, payload: &mut Vec<u8>) -> Option<Taken> {
        let ring = &self.shared.ring;
        for slot in 0..ring.len() {
            let state = ring.slot_word(slot, STATE);
            if state.load(Relaxed) == REQUEST
                && state
                    .compare_exchange(REQUEST, BUSY, AcqRel, Relaxed)
                    .is_ok()
            {
                let head = ring.head(slot);
                payload.resize(head.payload_len as usize, 0);
                ring.payload(slot, payload);
                let objects = ring.objects(slot, &head);
                return Some(Taken {
                    slot,
                    head,
                    objects,
                });
            }
        }
        None
    }
}

impl Stopper {
    /// Closes the ring: servers end at their next look, clients get an error. A client that holds
    /// the doorbell still can keep a server asleep: call again until its thread has ended.
    pub fn stop(&self) {
        let ring = &self.shared.ring;
        self.shared.stopped.store(true, Release);
        ring.word(CLOSED).store(1, SeqCst);
        ring.word(DOORBELL).fetch_add(1, SeqCst);
        wake(ring.word(DOORBELL), u32::MAX >> 1);
        ring.word(FREED).fetch_add(1, SeqCst);
        wake(ring.word(FREED), u32::MAX >> 1);
        for slot in 0..ring.len() {
            // A client that is about to sleep sees that the ring is closed.
            if ring.slot_word(slot, WAITING).load(SeqCst) != 0 {
                wake(ring.slot_word(slot, STATE), u32::MAX >> 1);
            }
        }
    }
}
