// SPDX-License-Identifier: MIT
//! The records that a program reads from its file.

use super::blob::bytes_of;
use crate::uapi::*;

/// What a program asked to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// `WAIT_VBLANK` with an event.
    Vblank,
    /// A flip took effect.
    Flip,
    /// `CRTC_QUEUE_SEQUENCE`.
    Sequence,
}

/// An event that is owed to a file.
#[derive(Clone, Copy, Debug)]
pub struct Owed {
    /// The file: the core's number.
    pub file: u64,
    /// What happened.
    pub what: What,
    /// The program's cookie.
    pub user_data: u64,
}

/// The most events that may be owed to one file: Linux's 4096 bytes of records.
pub const MOST_OWED: usize = 4096 / 32;

/// The record. `time` is in monotonic nanoseconds.
pub fn record(owed: &Owed, crtc_id: u32, sequence: u64, time: u64) -> Vec<u8> {
    let base = |type_: u32| drm_event { type_, length: 32 };
    let part = |value: u64| u32::try_from(value & u64::from(u32::MAX)).unwrap_or(0);
    match owed.what {
        What::Sequence => bytes_of(&[drm_event_crtc_sequence {
            base: base(DRM_EVENT_CRTC_SEQUENCE),
            user_data: owed.user_data,
            time_ns: i64::try_from(time).unwrap_or(i64::MAX),
            sequence,
        }]),
        What::Vblank | What::Flip => bytes_of(&[drm_event_vblank {
            base: base(match owed.what {
                What::Flip => DRM_EVENT_FLIP_COMPLETE,
                _ => DRM_EVENT_VBLANK,
            }),
            user_data: owed.user_data,
            tv_sec: part(time / 1_000_000_000),
            tv_usec: part(time % 1_000_000_000 / 1000),
            sequence: part(sequence),
            crtc_id,
        }]),
    }
}
