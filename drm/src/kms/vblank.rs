// SPDX-License-Identifier: MIT
//! Counting a CRTC's vertical blanks, and what waits for one.
//!
//! Without an interrupt the count follows from the clock: nothing runs while nobody waits.

use super::event::Owed;
use crate::gpu::VblankSource;

/// Something that is due at a vertical blank.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// Sequence number it waits for.
    pub target: u64,
    /// What is then sent.
    pub owed: Owed,
}

/// A commit on its way to the screen.
#[derive(Clone, Debug, Default)]
pub struct Flip {
    /// The commit's number: the one that draws it later finds it by that.
    pub serial: u64,
    /// Sequence number at which it is done; `None` until it is drawn.
    pub target: Option<u64>,
    /// What is then sent.
    pub owed: Vec<Owed>,
    /// The host's fences that are then signalled.
    pub fences: Vec<u64>,
}

impl Flip {
    /// Somebody outside waits for its end.
    pub fn is_awaited(&self) -> bool {
        !self.owed.is_empty() || !self.fences.is_empty()
    }
}

/// A CRTC's vertical blanks.
#[derive(Clone, Debug)]
pub struct Vblank {
    source: VblankSource,
    running: bool,
    base: u64,
    since: u64,
    period: u64,
    /// Events due at later blanks.
    pub waiting: Vec<Waiting>,
    /// The commit on its way.
    pub flip: Option<Flip>,
    /// Where legacy calls moved the cursor to.
    pub cursor: (i32, i32),
}

/// Whether `sequence` has reached `target`, as numbers that wrap.
pub fn passed(sequence: u64, target: u64) -> bool {
    sequence.wrapping_sub(target) <= 1 << 23
}

impl Vblank {
    /// Stopped, at sequence number `base`.
    pub fn new(source: VblankSource, base: u64, now: u64) -> Vblank {
        Vblank {
            source,
            running: false,
            base,
            since: now,
            period: 16_666_667,
            waiting: Vec::new(),
            flip: None,
            cursor: (0, 0),
        }
    }

    /// The CRTC scans out.
    pub fn is_running(&self) -> bool {
        self.running
    }

    /// The number of the last blank.
    pub fn sequence(&self, now: u64) -> u64 {
        match (self.source, self.running) {
            (VblankSource::Software, true) => {
                self.base + now.saturating_sub(self.since) / self.period
            }
            _ => self.base,
        }
    }

    /// When a blank began or will begin, in nanoseconds.
    pub fn time_of(&self, sequence: u64) -> u64 {
        match sequence.checked_sub(self.base) {
            Some(ahead) => self.since.saturating_add(ahead.saturating_mul(self.period)),
            None => self
                .since
                .saturating_sub((self.base - sequence).saturating_mul(self.period)),
        }
    }

    /// The CRTC begins to scan out, or stops. What waited is due at once: it is returned.
    pub fn run(&mut self, running: bool, period: u64, now: u64) -> (Vec<Waiting>, Option<Flip>) {
        self.base = self.sequence(now);
        self.since = now;
        self.running = running;
        self.period = period.max(1);
        (core::mem::take(&mut self.waiting), self.flip.take())
    }

    /// The hardware reports a blank.
    pub fn report(&mut self, time: u64) {
        if self.source == VblankSource::Hardware && self.running {
            self.base += 1;
            self.since = time;
        }
    }

    /// Takes out what is due by now.
    pub fn due(&mut self, now: u64) -> (Vec<Waiting>, Option<Flip>) {
        let sequence = self.sequence(now);
        let (due, later) = core::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|waiting| passed(sequence, waiting.target));
        self.waiting = later;
        let done = |flip: &mut Flip| flip.target.is_some_and(|target| passed(sequence, target));
        (due, self.flip.take_if(done))
    }

    /// When something next becomes due, if the clock decides that.
    pub fn deadline(&self) -> Option<u64> {
        if self.source == VblankSource::Hardware || !self.running {
            return None;
        }
        let flip = self.flip.as_ref().filter(|flip| flip.is_awaited());
        let targets = self.waiting.iter().map(|waiting| waiting.target);
        targets
            .chain(flip.and_then(|flip| flip.target))
            .min()
            .map(|target| self.time_of(target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kms::event::What;

    fn waiting(target: u64) -> Waiting {
        Waiting {
            target,
            owed: Owed {
                file: 1,
                what: What::Vblank,
                user_data: target,
            },
        }
    }

    #[test]
    fn the_clock_counts() {
        let mut vblank = Vblank::new(VblankSource::Software, 100, 0);
        assert_eq!(vblank.sequence(1_000_000), 100, "stopped");
        vblank.run(true, 10, 1000);
        assert_eq!(vblank.sequence(1009), 100);
        assert_eq!(vblank.sequence(1010), 101);
        assert_eq!(vblank.time_of(105), 1050);
        assert_eq!(vblank.time_of(99), 990);
        assert_eq!(vblank.deadline(), None, "nobody waits");
        vblank.waiting = vec![waiting(104), waiting(102)];
        assert_eq!(vblank.deadline(), Some(1020));
        assert_eq!(vblank.due(1019).0.len(), 0);
        assert_eq!(vblank.due(1025).0[0].target, 102);
        let (rest, _) = vblank.run(false, 10, 1030);
        assert_eq!(rest.len(), 1, "stopping lets nobody wait");
        assert_eq!(vblank.sequence(5000), 103, "and never runs back");
    }

    #[test]
    fn hardware_counts_itself() {
        let mut vblank = Vblank::new(VblankSource::Hardware, 7, 0);
        vblank.report(5);
        assert_eq!(vblank.sequence(100), 7, "stopped");
        vblank.run(true, 10, 0);
        vblank.waiting = vec![waiting(8)];
        assert_eq!(vblank.deadline(), None);
        vblank.report(50);
        assert_eq!(vblank.sequence(60), 8);
        assert_eq!(vblank.due(60).0.len(), 1);
    }

    #[test]
    fn flips_end_once() {
        let mut vblank = Vblank::new(VblankSource::Software, 0, 0);
        vblank.run(true, 10, 0);
        vblank.flip = Some(Flip::default());
        assert!(vblank.due(1000).1.is_none(), "not armed");
        vblank.flip = Some(Flip {
            target: Some(101),
            ..Flip::default()
        });
        assert_eq!(vblank.deadline(), None, "nobody is told");
        assert!(vblank.due(1009).1.is_none());
        assert!(vblank.due(1010).1.is_some());
        assert!(vblank.due(1010).1.is_none());
    }
}
