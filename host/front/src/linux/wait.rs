// SPDX-License-Identifier: MIT
//! Calls that wait for a sync object. Where Linux ends such a wait with a signal when its program
//! is killed, nothing reaches a call in a worker; so it is cut into short waits.

use super::device::now;
use super::file::OpenFile;
use drvhost_abi::Errno;
use drvhost_drm::uapi::{Pod, ioctl as number};
use drvhost_port::{Answer, CallError, Ioctl, Worker};
use std::sync::atomic::Ordering;

/// Nanoseconds of one wait.
const PIECE: i64 = 500_000_000;
/// A piece that ends sooner with `ETIME` shows that the worker's clock is another one.
const SOON: u64 = 100_000_000;

/// Where in the payload the deadline lies: monotonic nanoseconds.
fn deadline_at(cmd: u32) -> Option<std::ops::Range<usize>> {
    let offset = match cmd {
        number::SYNCOBJ_WAIT => {
            std::mem::offset_of!(drvhost_drm::uapi::drm_syncobj_wait, timeout_nsec)
        }
        number::SYNCOBJ_TIMELINE_WAIT => {
            std::mem::offset_of!(drvhost_drm::uapi::drm_syncobj_timeline_wait, timeout_nsec)
        }
        _ => return None,
    };
    let at = drvhost_drm::wire::describe(cmd)?.wire_offset(offset)?;
    Some(at..at + 8)
}

/// One ioctl on a worker, which ends soon when the file is closed.
pub(crate) fn ioctl(
    file: &OpenFile,
    worker: &dyn Worker,
    call: &Ioctl,
    payload: &mut [u8],
) -> Result<Answer, CallError> {
    let deadline = deadline_at(call.cmd).and_then(|at| {
        let bytes = payload.get(at.clone())?;
        Some((i64::read_from(bytes), at))
    });
    let Some((deadline, at)) = deadline else {
        return worker.ioctl(file.cookie, call, payload);
    };
    loop {
        let start = now();
        let piece = i64::try_from(start).unwrap_or(0).saturating_add(PIECE);
        if deadline <= piece {
            return worker.ioctl(file.cookie, call, payload);
        }
        let mut short = payload.to_vec();
        short[at.clone()].copy_from_slice(&piece.to_le_bytes());
        match worker.ioctl(file.cookie, call, &mut short) {
            Err(CallError::Errno(Errno::ETIME)) if !file.closing.load(Ordering::Relaxed) => {
                if now() - start < SOON {
                    return worker.ioctl(file.cookie, call, payload);
                }
            }
            result => {
                short[at.clone()].copy_from_slice(&deadline.to_le_bytes());
                payload.copy_from_slice(&short);
                return result;
            }
        }
    }
}
