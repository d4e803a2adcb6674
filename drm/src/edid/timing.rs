// SPDX-License-Identifier: MIT
//! One mode's timing, as the tables and formulas make it.

use crate::uapi::names::fixed;
use crate::uapi::*;

/// The flags that hold the picture's aspect ratio.
pub(super) const ASPECT: u32 = DRM_MODE_FLAG_PIC_AR_MASK;

/// A mode without what follows from it (rate and name).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timing {
    /// Pixel clock in kHz.
    pub(super) clock: u32,
    /// Pixels: displayed, start of sync, end of sync, total.
    pub(super) h: [u16; 4],
    /// Lines: likewise; of a whole frame where interlaced.
    pub(super) v: [u16; 4],
    /// `DRM_MODE_FLAG_*`, with the aspect ratio.
    pub(super) flags: u32,
    /// `DRM_MODE_TYPE_*`.
    pub(super) kind: u32,
}

impl Timing {
    /// The rate in Hz, rounded; 0 if it makes none. Of fields, where interlaced.
    pub(super) fn rate(&self) -> u32 {
        let mut dividend = u64::from(self.clock) * 1000;
        let mut divisor = u64::from(self.h[3]) * u64::from(self.v[3]);
        if self.flags & DRM_MODE_FLAG_INTERLACE != 0 {
            dividend *= 2;
        }
        if self.flags & DRM_MODE_FLAG_DBLSCAN != 0 {
            divisor *= 2;
        }
        let rounded = (dividend + divisor / 2).checked_div(divisor).unwrap_or(0);
        u32::try_from(rounded).unwrap_or(0)
    }

    /// Line rate in kHz, rounded.
    pub(super) fn line_rate(&self) -> u32 {
        let total = u32::from(self.h[3]);
        (self.clock + total / 2).checked_div(total).unwrap_or(0)
    }

    /// The size, without the rate.
    pub(super) fn is_size(&self, width: u16, height: u16) -> bool {
        self.h[0] == width && self.v[0] == height
    }

    /// Blanks as CVT's reduced blanking does.
    pub(super) fn is_reduced(&self) -> bool {
        let [active, start, end, total] = self.h.map(i32::from);
        total - active == 160
            && end - active == 80
            && end - start == 32
            && i32::from(self.v[1]) - i32::from(self.v[0]) == 3
    }

    /// The same but for the clock; the aspect ratio counts if `self` has one.
    pub(super) fn matches(&self, other: &Timing) -> bool {
        let mask = if self.flags & ASPECT == 0 {
            !ASPECT
        } else {
            !0
        };
        self.h == other.h && self.v == other.v && self.flags & mask == other.flags & mask
    }

    /// The same mode to Linux: clocks count as equal if their periods in picoseconds are.
    pub(super) fn is_same(&self, other: &Timing) -> bool {
        self.h == other.h
            && self.v == other.v
            && self.flags == other.flags
            && same_clock(self.clock, other.clock)
    }

    /// Sync and total follow the picture, and there is a clock.
    pub(super) fn is_possible(&self) -> bool {
        let ordered = |[active, start, end, total]: [u16; 4]| {
            active > 0 && active <= start && start <= end && end <= total
        };
        self.clock > 0 && ordered(self.h) && ordered(self.v)
    }

    /// As programs see it.
    pub(super) fn modeinfo(&self) -> drm_mode_modeinfo {
        let interlaced = self.flags & DRM_MODE_FLAG_INTERLACE != 0;
        let name = format!(
            "{}x{}{}",
            self.h[0],
            self.v[0],
            if interlaced { "i" } else { "" }
        );
        drm_mode_modeinfo {
            clock: self.clock,
            hdisplay: self.h[0],
            hsync_start: self.h[1],
            hsync_end: self.h[2],
            htotal: self.h[3],
            hskew: 0,
            vdisplay: self.v[0],
            vsync_start: self.v[1],
            vsync_end: self.v[2],
            vtotal: self.v[3],
            vscan: 0,
            vrefresh: self.rate(),
            flags: self.flags,
            type_: self.kind,
            name: fixed(&name),
        }
    }
}

/// Equal periods, in picoseconds rounded down.
pub(super) fn same_clock(a: u32, b: u32) -> bool {
    let period = |clock: u32| 1_000_000_000u32.checked_div(clock);
    period(a) == period(b)
}
