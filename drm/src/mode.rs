// SPDX-License-Identifier: MIT
//! Display modes: the arithmetic of their timings, which are valid, and their order in a list.

use crate::uapi::*;
use drvhost_abi::Errno;

/// A display mode as programs see it. Clock in kHz, sizes in pixels and lines.
pub type Mode = drm_mode_modeinfo;

/// What a mode's numbers mean.
pub trait ModeTiming {
    /// Nanoseconds from one vertical blank to the next; never zero.
    fn frame_time(&self) -> u64;
    /// Vertical refresh in Hz, rounded, as `vrefresh` has it.
    fn refresh(&self) -> u32;
    /// The checks of a mode that a program made: `EINVAL`, or `ERANGE` for numbers past `i32`.
    fn validate(&self) -> Result<(), Errno>;
    /// The same timings, whatever the names.
    fn same_timing(&self, other: &Mode) -> bool;
}

impl ModeTiming for Mode {
    fn frame_time(&self) -> u64 {
        let pixels = u64::from(self.htotal) * u64::from(self.vtotal);
        if self.clock == 0 || pixels == 0 {
            return 16_666_667;
        }
        let mut time = pixels * 1_000_000 / u64::from(self.clock);
        if self.flags & DRM_MODE_FLAG_INTERLACE != 0 {
            time /= 2;
        }
        if self.flags & DRM_MODE_FLAG_DBLSCAN != 0 {
            time *= 2;
        }
        // Faster than any display: a hostile mode must not make the timer spin.
        time.clamp(1_000_000, 10_000_000_000)
    }

    fn refresh(&self) -> u32 {
        let mut pixels = u64::from(self.htotal) * u64::from(self.vtotal);
        let mut clock = u64::from(self.clock) * 1000;
        if pixels == 0 {
            return 0;
        }
        if self.flags & DRM_MODE_FLAG_INTERLACE != 0 {
            clock *= 2;
        }
        if self.flags & DRM_MODE_FLAG_DBLSCAN != 0 {
            pixels *= 2;
        }
        if self.vscan > 1 {
            pixels *= u64::from(self.vscan);
        }
        u32::try_from((clock + pixels / 2) / pixels).unwrap_or(u32::MAX)
    }

    fn validate(&self) -> Result<(), Errno> {
        const ALL: u32 = 0x3fff | DRM_MODE_FLAG_PIC_AR_MASK | DRM_MODE_FLAG_3D_MASK;
        if self.clock > i32::MAX as u32 || self.vrefresh > i32::MAX as u32 {
            return Err(Errno::ERANGE);
        }
        let aspect = (self.flags & DRM_MODE_FLAG_PIC_AR_MASK) >> 19;
        let stereo = (self.flags & DRM_MODE_FLAG_3D_MASK) >> 14;
        let bad = self.flags & !ALL != 0
            || aspect > 4
            || stereo > 8
            || self.clock == 0
            || self.hdisplay == 0
            || self.hsync_start < self.hdisplay
            || self.hsync_end < self.hsync_start
            || self.htotal < self.hsync_end
            || self.vdisplay == 0
            || self.vsync_start < self.vdisplay
            || self.vsync_end < self.vsync_start
            || self.vtotal < self.vsync_end;
        if bad { Err(Errno::EINVAL) } else { Ok(()) }
    }

    fn same_timing(&self, other: &Mode) -> bool {
        let key = |m: &Mode| {
            (
                (m.clock, m.hdisplay, m.hsync_start, m.hsync_end, m.htotal),
                (m.hskew, m.vdisplay, m.vsync_start, m.vsync_end, m.vtotal),
                (m.vscan, m.flags & !DRM_MODE_FLAG_PIC_AR_MASK),
            )
        };
        key(self) == key(other)
    }
}

/// Brings a connector's modes into the order programs see: preferred first, then the larger, the
/// faster; invalid ones and duplicates go.
pub fn tidy(modes: &mut Vec<Mode>, keep: impl Fn(&Mode) -> bool) {
    let mut kept: Vec<Mode> = Vec::with_capacity(modes.len());
    for mut mode in modes.drain(..) {
        if mode.validate().is_err() || !keep(&mode) {
            continue;
        }
        mode.vrefresh = mode.refresh();
        let aspect = |m: &Mode| m.flags & DRM_MODE_FLAG_PIC_AR_MASK;
        match kept
            .iter_mut()
            .find(|k| k.same_timing(&mode) && aspect(k) == aspect(&mode))
        {
            Some(twin) => twin.type_ |= mode.type_,
            None => kept.push(mode),
        }
    }
    kept.sort_by_key(|m| {
        let area = u32::from(m.hdisplay) * u32::from(m.vdisplay);
        let preferred = m.type_ & DRM_MODE_TYPE_PREFERRED != 0;
        core::cmp::Reverse((preferred, area, m.vrefresh, m.clock))
    });
    *modes = kept;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(clock: u32, h: [u16; 4], v: [u16; 4], type_: u32) -> Mode {
        Mode {
            clock,
            hdisplay: h[0],
            hsync_start: h[1],
            hsync_end: h[2],
            htotal: h[3],
            vdisplay: v[0],
            vsync_start: v[1],
            vsync_end: v[2],
            vtotal: v[3],
            type_,
            ..Default::default()
        }
    }

    #[test]
    fn timings() {
        let xga = mode(65000, [1024, 1048, 1184, 1344], [768, 771, 777, 806], 0);
        assert_eq!(xga.frame_time(), 16_665_600);
        assert_eq!(xga.refresh(), 60);
        assert_eq!(Mode::default().refresh(), 0);
        assert!(Mode::default().frame_time() > 0);
    }

    #[test]
    fn bad_modes() {
        let good = mode(25175, [640, 656, 752, 800], [480, 490, 492, 525], 0);
        assert_eq!(good.validate(), Ok(()));
        type Spoil = fn(&mut Mode);
        let table: &[(Spoil, Errno)] = &[
            (|m| m.clock = 0, Errno::EINVAL),
            (|m| m.clock = u32::MAX, Errno::ERANGE),
            (|m| m.vrefresh = u32::MAX, Errno::ERANGE),
            (|m| m.hdisplay = 0, Errno::EINVAL),
            (|m| m.hsync_start = 1, Errno::EINVAL),
            (|m| m.hsync_end = 1, Errno::EINVAL),
            (|m| m.htotal = 1, Errno::EINVAL),
            (|m| m.vdisplay = 0, Errno::EINVAL),
            (|m| m.vsync_start = 1, Errno::EINVAL),
            (|m| m.vsync_end = 1, Errno::EINVAL),
            (|m| m.vtotal = 1, Errno::EINVAL),
            (|m| m.flags = 1 << 30, Errno::EINVAL),
        ];
        for (index, (spoil, errno)) in table.iter().enumerate() {
            let mut bad = good;
            spoil(&mut bad);
            assert_eq!(bad.validate(), Err(*errno), "row {index}");
        }
    }

    #[test]
    fn lists_are_tidied() {
        let vga = mode(25175, [640, 656, 752, 800], [480, 490, 492, 525], 64);
        let xga = mode(65000, [1024, 1048, 1184, 1344], [768, 771, 777, 806], 64);
        let mut first = vga;
        first.type_ = DRM_MODE_TYPE_PREFERRED;
        let mut modes = vec![Mode::default(), vga, xga, first];
        tidy(&mut modes, |_| true);
        assert_eq!(modes.len(), 2);
        assert_eq!(modes[0].hdisplay, 640);
        assert_eq!(modes[0].type_, 64 | DRM_MODE_TYPE_PREFERRED);
        tidy(&mut modes, |m| m.hdisplay > 640);
        assert_eq!(modes.len(), 1);
    }
}
