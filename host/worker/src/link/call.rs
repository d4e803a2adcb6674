// SPDX-License-Identifier: MIT
//! Calls to the driver, through the ring.

use super::Link;
use crate::wire::message::ToWorker;
use crate::wire::ops;
use drvhost_abi::Errno;
use drvhost_abi::tables::{MmapOut, ObjectRef, OpenArgs, REQUEST_REPLAY};
use drvhost_channel::ring::{self, Head};
use drvhost_port::{Answer, CallError, Ioctl, Node, Worker};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;

/// Splits a worker's result. Numbers that are no error numbers count as EIO.
fn check(result: i64) -> Result<u64, CallError> {
    match result {
        0.. => Ok(result.unsigned_abs()),
        -4095..=-1 => Err(CallError::Errno(Errno(result.unsigned_abs() as i32))),
        _ => Err(CallError::Errno(Errno::EIO)),
    }
}

impl Link {
    fn call(
        &self,
        head: &Head,
        objects: &[ObjectRef],
        payload: &mut [u8],
    ) -> Result<(u64, Head, Vec<ObjectRef>), CallError> {
        let shared = &self.shared;
        if shared.is_dead() {
            return Err(CallError::Died);
        }
        let _call = shared.begin();
        let answer = shared
            .ring
            .call(head, objects, payload, &|| !shared.is_dead());
        match answer {
            Ok((answer, objects)) => {
                if head.op == ops::IOCTL && head.flags & REQUEST_REPLAY == 0 {
                    shared.answered.fetch_add(1, Ordering::Relaxed);
                }
                check(answer.result).map(|value| (value, answer, objects))
            }
            Err(ring::CallError::TooLarge) => Err(CallError::Errno(Errno::E2BIG)),
            Err(ring::CallError::Gone) => {
                // A worker that closes its ring and lives on serves nobody.
                if !shared.is_dead() {
                    shared.kill(super::Cause::Violation("closed its call ring".into()));
                }
                Err(CallError::Died)
            }
        }
    }
}

impl Worker for Link {
    fn nodes(&self) -> &[Node] {
        self.shared.nodes.get().map_or(&[], Vec::as_slice)
    }

    fn open(&self, args: &OpenArgs) -> Result<(), CallError> {
        let head = Head {
            op: ops::OPEN,
            ..Head::default()
        };
        self.call(&head, &[], &mut ops::encode_open(args)).map(drop)
    }

    fn ioctl(&self, file: u64, call: &Ioctl, payload: &mut [u8]) -> Result<Answer, CallError> {
        let head = Head {
            op: ops::IOCTL,
            cmd: call.cmd,
            flags: call.flags,
            want_id: call.want_id,
            file,
            extra: [call.buffer, 0],
            ..Head::default()
        };
        let (value, _, objects) = self.call(&head, &call.objects, payload)?;
        Ok(Answer { value, objects })
    }

    fn mmap(&self, file: u64, offset: u64, length: u64, write: bool) -> Result<MmapOut, CallError> {
        let head = Head {
            op: ops::MMAP,
            flags: write.into(),
            file,
            extra: [offset, length],
            ..Head::default()
        };
        let (_, answer, _) = self.call(&head, &[], &mut [])?;
        let [buffer, offset] = answer.extra;
        Ok(MmapOut { buffer, offset })
    }

    fn release(&self, file: u64) {
        let head = Head {
            op: ops::RELEASE,
            file,
            ..Head::default()
        };
        // An error means that the file is closed already, or the worker dead, which is as good.
        let _ = self.call(&head, &[], &mut []);
    }

    fn serve(&self, args: &OpenArgs, ring: OwnedFd, events: OwnedFd) -> Result<(), CallError> {
        let shared = &self.shared;
        let _call = shared.begin();
        let seq = {
            let mut state = shared.state();
            state.next_serve = state.next_serve.wrapping_add(1);
            let seq = state.next_serve;
            state.served.insert(seq, None);
            seq
        };
        let message = ToWorker::Serve {
            seq,
            open: ops::encode_open(args),
        };
        shared.send(&message, &[ring.as_fd(), events.as_fd()]);
        let status = shared
            .wait_for("opened a node", |state| {
                let status = (*state.served.get(&seq)?)?;
                state.served.remove(&seq);
                Some(status)
            })
            .map_err(|_| CallError::Died)?;
        check(status.into()).map(drop)
    }

    fn restored(&self) {
        self.shared.answered.store(0, Ordering::Relaxed);
    }

    fn expect(&self, change: i32) {
        self.shared
            .expected
            .fetch_add(change.into(), Ordering::Relaxed);
        if change > 0 {
            self.shared.stir();
        }
    }
}
