// SPDX-License-Identifier: MIT
//! Events that programs asked for: how many one may have outstanding, and which a dead worker
//! still owes. Each is delivered once.

use drvhost_abi::Errno;
use drvhost_drm::uapi::{
    DRM_EVENT_CRTC_SEQUENCE, DRM_EVENT_FLIP_COMPLETE, DRM_EVENT_VBLANK, Pod, REDOX_EVENT_HOTPLUG,
    drm_event, drm_event_crtc_sequence, drm_event_vblank,
};

/// Bytes of events that a file may have requested or unread, as in Linux.
pub const EVENT_SPACE: usize = 4096;
/// Bytes of each event that can be requested.
pub const EVENT_SIZE: usize = 32;
/// No event that a driver sends by itself is longer.
const MAX_EVENT: usize = 256;
/// Numbers from here up are drivers' own.
const DRIVER_EVENTS: u32 = 0x8000_0000;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `DRM_EVENT_FLIP_COMPLETE`.
    Flip,
    /// `DRM_EVENT_VBLANK`.
    Vblank,
    /// `DRM_EVENT_CRTC_SEQUENCE`.
    Sequence,
}

/// An event that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// Its kind.
    pub kind: Kind,
    /// The CRTC, or zero where the request does not name it.
    pub crtc: u32,
    /// What the program gave to recognise it.
    pub user_data: u64,
}

/// An event that a dead worker owes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    /// The file.
    pub file: u64,
    /// The event.
    pub want: Want,
    /// The request to make again, where it waits for a certain vblank: number and payload.
    pub again: Option<(u32, Vec<u8>)>,
    ticket: u64,
}

#[derive(Clone, Debug)]
struct Pending {
    ticket: u64,
    file: u64,
    want: Want,
    accepted: bool,
    delivered: bool,
    again: Option<(u32, Vec<u8>)>,
}

/// What is to be done with an event from a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Sent: a request asked for it.
    Awaited,
    /// Sent: the driver's own idea.
    Extra,
    /// Dropped: it was replaced before.
    Late,
}

/// The events of one device.
#[derive(Debug, Default)]
pub struct Events {
    pending: Vec<Pending>,
    /// Delivered in place of a dead worker, which may still send them.
    replaced: Vec<(u64, Want)>,
    last: u64,
    highest: u64,
}

impl Events {
    /// Registers what a request asks for, before it is forwarded. `unread` is the number of
    /// events of the file that the program has not read. `ENOMEM`: no space, as in Linux.
    pub fn reserve(&mut self, file: u64, wants: &[Want], unread: usize) -> Result<u64, Errno> {
        let pending = self.pending.iter();
        let pending = pending.filter(|p| p.file == file && !p.delivered).count();
        if (pending + unread + wants.len()) * EVENT_SIZE > EVENT_SPACE {
            return Err(Errno::ENOMEM);
        }
        self.last += 1;
        for want in wants {
            self.replaced.retain(|r| *r != (file, *want));
            self.pending.push(Pending {
                ticket: self.last,
                file,
                want: *want,
                accepted: false,
                delivered: false,
                again: None,
            });
        }
        Ok(self.last)
    }

    /// The driver took the request. `again` is the request as it must be made to a new worker.
    pub fn accept(&mut self, ticket: u64, again: Option<(u32, Vec<u8>)>) {
        self.pending.retain_mut(|pending| {
            if pending.ticket == ticket {
                pending.accepted = true;
                pending.again.clone_from(&again);
            }
            pending.ticket != ticket || !pending.delivered
        });
    }

    /// The driver refused the request. Gives how many events it will not send.
    pub fn cancel(&mut self, ticket: u64) -> usize {
        let before = self.pending.len();
        self.pending.retain(|pending| pending.ticket != ticket);
        before - self.pending.len()
    }

    /// Whether an event of the request was delivered: then the request was done.
    pub fn delivered(&self, ticket: u64) -> bool {
        let mut pending = self.pending.iter();
        pending.any(|p| p.ticket == ticket && p.delivered)
    }

    /// Checks an event from a worker: one whole record of a known length.
    pub fn arrived(&mut self, file: u64, event: &[u8]) -> Result<Arrival, Errno> {
        let Some(want) = parse(event)? else {
            return Ok(Arrival::Extra);
        };
        self.see(match want.kind {
            Kind::Sequence => drm_event_crtc_sequence::read_from(event).sequence,
            _ => self.extend(drm_event_vblank::read_from(event).sequence),
        });
        if let Some(at) = self.replaced.iter().position(|r| *r == (file, want)) {
            self.replaced.swap_remove(at);
            return Ok(Arrival::Late);
        }
        let matches = |pending: &&mut Pending| {
            pending.file == file
                && !pending.delivered
                && pending.want.kind == want.kind
                && pending.want.user_data == want.user_data
                && (pending.want.crtc == want.crtc || pending.want.crtc == 0 || want.crtc == 0)
        };
        match self.pending.iter_mut().find(matches) {
            Some(pending) if pending.accepted => {
                let ticket = (pending.ticket, pending.want);
                self.remove_one(ticket);
            }
            Some(pending) => pending.delivered = true,
            None => return Ok(Arrival::Extra),
        }
        Ok(Arrival::Awaited)
    }

    /// What the dead worker owes: of requests that it took. Others are made again by their
    /// callers.
    pub fn owed(&self) -> Vec<Owed> {
        let accepted = self.pending.iter().filter(|pending| pending.accepted);
        accepted
            .map(|pending| Owed {
                file: pending.file,
                want: pending.want,
                again: pending.again.clone(),
                ticket: pending.ticket,
            })
            .collect()
    }

    /// Makes the event that a dead worker owes, at `now` (monotonic nanoseconds), with the
    /// sequence number `sequence`. `None`: nobody waits for it any more.
    pub fn replace(&mut self, owed: &Owed, sequence: u64, now: u64) -> Option<[u8; EVENT_SIZE]> {
        if !self.remove_one((owed.ticket, owed.want)) {
            return None;
        }
        self.see(sequence);
        self.replaced.push((owed.file, owed.want));
        Some(event(owed.want, sequence, now))
    }

    /// A file is closed.
    pub fn forget_file(&mut self, file: u64) {
        self.pending.retain(|pending| pending.file != file);
        self.replaced.retain(|(other, _)| *other != file);
    }

    /// A new worker is there: events of the one before it cannot come any more.
    pub fn new_worker(&mut self) {
        self.replaced.clear();
    }

    /// A sequence number was shown to a program.
    pub fn see(&mut self, sequence: u64) {
        // A worker is not trusted to make all later numbers useless.
        if sequence.wrapping_sub(self.highest) < 1 << 32 {
            self.highest = self.highest.max(sequence);
        }
    }

    /// The 64-bit number that a 32-bit one stands for: the nearest to what was shown before.
    pub fn extend(&self, sequence: u32) -> u64 {
        let ahead = sequence.wrapping_sub(self.highest as u32) as i32;
        self.highest.saturating_add_signed(i64::from(ahead))
    }

    /// The first number that a new worker may show.
    pub fn base(&self) -> u64 {
        self.highest + 1
    }

    /// Outstanding requests of a file.
    pub fn count(&self, file: u64) -> usize {
        let pending = self.pending.iter();
        pending.filter(|p| p.file == file && !p.delivered).count()
    }

    fn remove_one(&mut self, (ticket, want): (u64, Want)) -> bool {
        let mut pending = self.pending.iter();
        let at = pending.position(|p| p.ticket == ticket && p.want == want && p.accepted);
        at.map(|at| self.pending.remove(at)).is_some()
    }
}

/// Splits what a worker posts into whole records. `EINVAL` where one is cut off or has a length
/// that its type does not have.
pub fn split(mut data: &[u8]) -> Result<Vec<&[u8]>, Errno> {
    let mut records = Vec::new();
    while !data.is_empty() {
        let length = drm_event::read_from(data).length as usize;
        if data.len() < 8 || !(8..=MAX_EVENT).contains(&length) {
            return Err(Errno::EINVAL);
        }
        let record = data.get(..length).ok_or(Errno::EINVAL)?;
        parse(record)?;
        records.push(record);
        data = &data[length..];
    }
    Ok(records)
}

/// Whether a record says that a flip is complete.
pub fn is_flip(event: &[u8]) -> bool {
    drm_event::read_from(event).type_ == DRM_EVENT_FLIP_COMPLETE
}

fn parse(event: &[u8]) -> Result<Option<Want>, Errno> {
    let head = drm_event::read_from(event);
    let (kind, length) = match head.type_ {
        DRM_EVENT_FLIP_COMPLETE => (Some(Kind::Flip), EVENT_SIZE),
        DRM_EVENT_VBLANK => (Some(Kind::Vblank), EVENT_SIZE),
        DRM_EVENT_CRTC_SEQUENCE => (Some(Kind::Sequence), EVENT_SIZE),
        REDOX_EVENT_HOTPLUG => (None, 12),
        DRIVER_EVENTS.. => (None, event.len()),
        _ => return Err(Errno::EINVAL),
    };
    if event.len() != length || head.length as usize != length {
        return Err(Errno::EINVAL);
    }
    Ok(kind.map(|kind| match kind {
        Kind::Sequence => Want {
            kind,
            crtc: 0,
            user_data: drm_event_crtc_sequence::read_from(event).user_data,
        },
        _ => Want {
            kind,
            crtc: drm_event_vblank::read_from(event).crtc_id,
            user_data: drm_event_vblank::read_from(event).user_data,
        },
    }))
}

fn event(want: Want, sequence: u64, now: u64) -> [u8; EVENT_SIZE] {
    let mut bytes = [0; EVENT_SIZE];
    let base = |type_| drm_event {
        type_,
        length: EVENT_SIZE as u32,
    };
    let vblank = |type_| drm_event_vblank {
        base: base(type_),
        user_data: want.user_data,
        tv_sec: (now / 1_000_000_000) as u32,
        tv_usec: (now % 1_000_000_000 / 1000) as u32,
        sequence: sequence as u32,
        crtc_id: want.crtc,
    };
    match want.kind {
        Kind::Flip => vblank(DRM_EVENT_FLIP_COMPLETE).write_to(&mut bytes),
        Kind::Vblank => vblank(DRM_EVENT_VBLANK).write_to(&mut bytes),
        Kind::Sequence => drm_event_crtc_sequence {
            base: base(DRM_EVENT_CRTC_SEQUENCE),
            user_data: want.user_data,
            time_ns: i64::try_from(now).unwrap_or(i64::MAX),
            sequence,
        }
        .write_to(&mut bytes),
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLIP: Want = Want {
        kind: Kind::Flip,
        crtc: 40,
        user_data: 7,
    };

    #[test]
    fn a_flip_is_delivered_once() {
        let mut events = Events::default();
        let ticket = events.reserve(1, &[FLIP], 0).unwrap();
        events.accept(ticket, None);
        let owed = events.owed();
        let bytes = events.replace(&owed[0], 100, 5).unwrap();
        assert!(events.replace(&owed[0], 100, 5).is_none());
        assert_eq!(
            events.arrived(1, &bytes),
            Ok(Arrival::Late),
            "the dead worker's own"
        );
        assert_eq!(events.base(), 101);
        assert_eq!(events.count(1), 0);
    }

    #[test]
    fn an_event_before_the_reply_says_the_request_is_done() {
        let mut events = Events::default();
        let ticket = events.reserve(1, &[FLIP], 0).unwrap();
        assert!(!events.delivered(ticket));
        let arrived = events.arrived(1, &event(FLIP, 9, 0));
        assert_eq!(arrived, Ok(Arrival::Awaited));
        assert!(events.delivered(ticket));
        events.accept(ticket, None);
        assert!(events.owed().is_empty());
    }

    #[test]
    fn space_is_linuxs() {
        let mut events = Events::default();
        for _ in 0..126 {
            let ticket = events.reserve(1, &[FLIP], 1).unwrap();
            events.accept(ticket, None);
        }
        assert_eq!(events.reserve(1, &[FLIP, FLIP], 1), Err(Errno::ENOMEM));
        assert!(events.reserve(1, &[FLIP], 1).is_ok());
        assert!(events.reserve(2, &[FLIP], 127).is_ok());
    }

    #[test]
    fn sequences_wrap_forward() {
        let mut events = Events::default();
        events.see(0xffff_fff0);
        assert_eq!(events.extend(3), 0x1_0000_0003);
        assert_eq!(events.extend(0xffff_ffe0), 0xffff_ffe0);
        events.see(u64::MAX);
        assert_eq!(events.base(), 0xffff_fff1);
    }

    #[test]
    fn records_are_whole() {
        let flip = event(FLIP, 1, 1);
        let two = [flip, flip].concat();
        assert_eq!(split(&two).unwrap().len(), 2);
        for bad in [&two[..40], &two[..4], &[0u8; 32][..]] {
            assert_eq!(split(bad), Err(Errno::EINVAL));
        }
    }
}
