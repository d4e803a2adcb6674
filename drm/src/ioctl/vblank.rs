// SPDX-License-Identifier: MIT
//! Waiting for vertical blanks, and asking when the last one was.

use crate::call::{Answer, Call};
use crate::device::State;
use crate::kms::event::{Owed, What};
use crate::kms::vblank::{Waiting, passed};
use crate::uapi::drm_vblank_seq_type::*;
use crate::uapi::*;
use drvhost_abi::Errno;

/// A blocked call gives up after three seconds, as in Linux.
const PATIENCE: u64 = 3_000_000_000;

/// `WAIT_VBLANK`.
pub fn wait_vblank(call: &mut Call<'_>) -> Answer {
    let mut arg: drm_wait_vblank_request = call.msg.arg();
    let flags = _DRM_VBLANK_EVENT | _DRM_VBLANK_SECONDARY | _DRM_VBLANK_NEXTONMISS;
    let kinds = _DRM_VBLANK_ABSOLUTE | _DRM_VBLANK_RELATIVE;
    if arg.type_ & !(kinds | flags | _DRM_VBLANK_HIGH_CRTC_MASK) != 0 {
        return Err(Errno::EINVAL);
    }
    let high = (arg.type_ & _DRM_VBLANK_HIGH_CRTC_MASK) >> 1;
    let second = u32::from(arg.type_ & _DRM_VBLANK_SECONDARY != 0);
    let pipe = if high != 0 { high } else { second };
    let crtc = held_crtc(call, pipe as usize)?;

    let now = call.device.host.now();
    let mut state = call.lock();
    let sequence = running(&state, crtc, now)?;
    let mut target = if arg.type_ & _DRM_VBLANK_RELATIVE != 0 {
        let target = sequence.wrapping_add(arg.sequence.into());
        arg.type_ &= !_DRM_VBLANK_RELATIVE;
        arg.sequence = low(target);
        target
    } else {
        widen(arg.sequence, sequence)
    };
    if arg.type_ & _DRM_VBLANK_NEXTONMISS != 0 && passed(sequence, target) {
        target = sequence + 1;
        arg.type_ &= !_DRM_VBLANK_NEXTONMISS;
        arg.sequence = low(target);
    }
    if arg.type_ & _DRM_VBLANK_EVENT != 0 {
        let what = What::Vblank;
        arg.sequence = low(queue(call, &mut state, crtc, target, what, arg.signal)?);
        drop(state);
        call.msg.set_arg(&arg);
        return Ok(0);
    }
    drop(state);
    call.msg.set_arg(&arg);
    let result = sleep(call, crtc, target, now);
    let now = call.device.host.now();
    let state = call.lock();
    let vblank = &state.vblanks[crtc];
    let sequence = vblank.sequence(now);
    let time = vblank.time_of(sequence);
    drop(state);
    call.msg.set_arg(&drm_wait_vblank_reply {
        type_: arg.type_,
        sequence: low(sequence),
        tval_sec: i64::try_from(time / 1_000_000_000).unwrap_or(i64::MAX) as _,
        tval_usec: i64::try_from(time % 1_000_000_000 / 1000).unwrap_or(0) as _,
    });
    result
}

/// Sleeps until the CRTC has reached `target`, or no longer runs. `EBUSY` when patience ends.
fn sleep(call: &Call<'_>, crtc: usize, target: u64, since: u64) -> Answer {
    let until = since.saturating_add(PATIENCE);
    loop {
        let seen = call.device.seen();
        let now = call.device.host.now();
        let state = call.lock();
        let vblank = &state.vblanks[crtc];
        if passed(vblank.sequence(now), target) || !vblank.is_running() {
            return Ok(0);
        }
        let due = vblank.time_of(target);
        drop(state);
        if now >= until {
            return Err(Errno::EBUSY);
        }
        call.device.sleep(seen, due.min(until));
    }
}

/// The CRTC that a file counts as its `pipe`-th.
fn held_crtc(call: &Call<'_>, pipe: usize) -> Result<usize, Errno> {
    let state = call.lock();
    let ids = call.device.objects.crtcs.iter().enumerate();
    ids.filter(|(_, id)| state.holds(call.file, **id))
        .nth(pipe)
        .map(|(index, _)| index)
        .ok_or(Errno::EINVAL)
}

/// The number of the last blank: `EINVAL` where the CRTC is off.
fn running(state: &State, crtc: usize, now: u64) -> Result<u64, Errno> {
    let vblank = &state.vblanks[crtc];
    if !vblank.is_running() {
        return Err(Errno::EINVAL);
    }
    Ok(vblank.sequence(now))
}

/// Sends an event now if its number has passed, else queues it. Returns the number it gets.
fn queue(
    call: &Call<'_>,
    state: &mut State,
    crtc: usize,
    target: u64,
    what: What,
    user_data: u64,
) -> Result<u64, Errno> {
    state.owe(call.file)?;
    let owed = Owed {
        file: call.file,
        what,
        user_data,
    };
    let now = call.device.host.now();
    let vblank = &mut state.vblanks[crtc];
    let sequence = vblank.sequence(now);
    if passed(sequence, target) {
        let time = vblank.time_of(sequence);
        call.device.send(state, &owed, crtc, sequence, time);
        return Ok(sequence);
    }
    vblank.waiting.push(Waiting { target, owed });
    call.device.clock.poke(&call.device.host);
    Ok(target)
}

/// `CRTC_GET_SEQUENCE`.
pub fn get_sequence(call: &mut Call<'_>) -> Answer {
    let mut arg: drm_crtc_get_sequence = call.msg.arg();
    let now = call.device.host.now();
    let state = call.lock();
    let crtc = state.find_crtc(&call.device.objects, call.file, arg.crtc_id)?;
    arg.sequence = running(&state, crtc, now)?;
    arg.active = state.kms.crtcs[crtc].mode.is_some().into();
    let time = state.vblanks[crtc].time_of(arg.sequence);
    arg.sequence_ns = i64::try_from(time).unwrap_or(i64::MAX);
    drop(state);
    call.msg.set_arg(&arg);
    Ok(0)
}

/// `CRTC_QUEUE_SEQUENCE`.
pub fn queue_sequence(call: &mut Call<'_>) -> Answer {
    let mut arg: drm_crtc_queue_sequence = call.msg.arg();
    let now = call.device.host.now();
    let mut state = call.lock();
    let crtc = state.find_crtc(&call.device.objects, call.file, arg.crtc_id)?;
    if arg.flags & !(DRM_CRTC_SEQUENCE_RELATIVE | DRM_CRTC_SEQUENCE_NEXT_ON_MISS) != 0 {
        return Err(Errno::EINVAL);
    }
    let sequence = running(&state, crtc, now)?;
    let mut target = arg.sequence;
    if arg.flags & DRM_CRTC_SEQUENCE_RELATIVE != 0 {
        target = target.wrapping_add(sequence);
    }
    if arg.flags & DRM_CRTC_SEQUENCE_NEXT_ON_MISS != 0 && passed(sequence, target) {
        target = sequence + 1;
    }
    let what = What::Sequence;
    arg.sequence = queue(call, &mut state, crtc, target, what, arg.user_data)?;
    drop(state);
    call.msg.set_arg(&arg);
    Ok(0)
}

#[allow(clippy::cast_possible_truncation)] // programs see the low half of the count
fn low(sequence: u64) -> u32 {
    sequence as u32
}

/// The full number that a program means by its low half: the one nearest to `near`.
fn widen(value: u32, near: u64) -> u64 {
    let diff = value.wrapping_sub(low(near)).cast_signed();
    near.wrapping_add_signed(diff.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_halves_are_widened() {
        assert_eq!(widen(5, 3), 5);
        assert_eq!(widen(1, 0xffff_ffff), 0x1_0000_0001);
        assert_eq!(widen(0xffff_ffff, 0x1_0000_0001), 0xffff_ffff);
    }
}
