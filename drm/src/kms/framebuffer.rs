// SPDX-License-Identifier: MIT
//! Framebuffers: memory seen as pixels.

use super::format::{Format, format};
use crate::gem::Gem;
use crate::uapi::*;
use drvhost_abi::Errno;
use std::sync::Arc;

/// A framebuffer. It lives as long as a file or a plane's state holds it.
#[derive(Debug)]
pub struct Framebuffer {
    /// Object id.
    pub id: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Pixel format.
    pub format: &'static Format,
    /// Modifier; linear is zero.
    pub modifier: u64,
    /// The flags it was made with.
    pub flags: u32,
    /// Bytes from one row to the next.
    pub pitch: u32,
    /// Bytes before the first pixel.
    pub offset: u32,
    /// The memory.
    pub gem: Arc<Gem>,
}

impl Framebuffer {
    /// Copies pixels of row `y` from column `x` on into `out`, in the framebuffer's format.
    pub fn read_row(&self, x: u32, y: u32, out: &mut [u8]) -> Result<(), Errno> {
        let at = u64::from(self.offset)
            + u64::from(y) * u64::from(self.pitch)
            + u64::from(x) * u64::from(self.format.cpp);
        self.gem.buffer().read(at, out)
    }
}

/// The rules of `framebuffer_check` for what a program asks for. Returns the format.
///
/// `supported` says whether any plane can show a format with a modifier.
pub fn check(
    r: &drm_mode_fb_cmd2,
    min: (u32, u32),
    max: (u32, u32),
    supported: impl Fn(u32, u64) -> bool,
) -> Result<&'static Format, Errno> {
    let modifiers = r.flags & DRM_MODE_FB_MODIFIERS != 0;
    if r.flags & !(DRM_MODE_FB_INTERLACED | DRM_MODE_FB_MODIFIERS) != 0
        || !(min.0..=max.0).contains(&r.width)
        || !(min.1..=max.1).contains(&r.height)
    {
        return Err(Errno::EINVAL);
    }
    let format = format(r.pixel_format).ok_or(Errno::EINVAL)?;
    if r.width == 0 || r.height == 0 || r.handles[0] == 0 {
        return Err(Errno::EINVAL);
    }
    let min_pitch = u64::from(r.width) * u64::from(format.cpp);
    let end = u64::from(r.height) * u64::from(r.pitches[0]) + u64::from(r.offsets[0]);
    if min_pitch > u64::from(u32::MAX) || end > u64::from(u32::MAX) {
        return Err(Errno::ERANGE);
    }
    if u64::from(r.pitches[0]) < min_pitch || (r.modifier[0] != 0 && !modifiers) {
        return Err(Errno::EINVAL);
    }
    for i in 1..4 {
        // Programs from before modifiers did not clear what they did not use.
        let used = r.handles[i] != 0 || r.pitches[i] != 0 || r.offsets[i] != 0;
        if r.modifier[i] != 0 || (modifiers && used) {
            return Err(Errno::EINVAL);
        }
    }
    if !supported(r.pixel_format, r.modifier[0]) {
        return Err(Errno::EINVAL);
    }
    Ok(format)
}

/// Whether `size` bytes hold the framebuffer that passed [`check`].
pub fn fits(r: &drm_mode_fb_cmd2, format: &Format, size: u64) -> bool {
    let last = u64::from(r.height - 1) * u64::from(r.pitches[0]);
    let row = u64::from(r.width) * u64::from(format.cpp);
    last + row + u64::from(r.offsets[0]) <= size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_checked_as_linux_checks_them() {
        let good = drm_mode_fb_cmd2 {
            width: 64,
            height: 32,
            pixel_format: DrmFourcc::Xrgb8888 as u32,
            handles: [1, 0, 0, 0],
            pitches: [256, 0, 0, 0],
            ..Default::default()
        };
        let verdict =
            |r: &drm_mode_fb_cmd2| check(r, (1, 1), (8192, 8192), |_, m| m == 0).map(|f| f.cpp);
        assert_eq!(verdict(&good), Ok(4));
        type Spoil = fn(&mut drm_mode_fb_cmd2);
        let table: &[(Spoil, Errno)] = &[
            (|r| r.flags = 4, Errno::EINVAL),
            (|r| r.width = 0, Errno::EINVAL),
            (|r| r.width = 8193, Errno::EINVAL),
            (|r| r.height = 0, Errno::EINVAL),
            (|r| r.height = 8193, Errno::EINVAL),
            (|r| r.pixel_format = 7, Errno::EINVAL),
            (|r| r.handles[0] = 0, Errno::EINVAL),
            (|r| r.pitches[0] = 255, Errno::EINVAL),
            (|r| r.pitches[0] = u32::MAX, Errno::ERANGE),
            (|r| r.offsets[0] = u32::MAX, Errno::ERANGE),
            (|r| r.modifier[0] = 1, Errno::EINVAL),
            (|r| r.modifier[1] = 1, Errno::EINVAL),
            (
                |r| (r.flags, r.modifier[0]) = (DRM_MODE_FB_MODIFIERS, 1),
                Errno::EINVAL,
            ),
            (
                |r| (r.flags, r.handles[1]) = (DRM_MODE_FB_MODIFIERS, 1),
                Errno::EINVAL,
            ),
            (
                |r| (r.flags, r.pitches[2]) = (DRM_MODE_FB_MODIFIERS, 1),
                Errno::EINVAL,
            ),
            (
                |r| (r.flags, r.offsets[3]) = (DRM_MODE_FB_MODIFIERS, 1),
                Errno::EINVAL,
            ),
        ];
        for (index, (spoil, errno)) in table.iter().enumerate() {
            let mut bad = good;
            spoil(&mut bad);
            assert_eq!(verdict(&bad), Err(*errno), "row {index}");
        }
        let mut sloppy = good;
        sloppy.pitches[1] = 5;
        assert_eq!(verdict(&sloppy), Ok(4), "without the modifiers flag");
        let format = format(good.pixel_format).unwrap();
        assert!(fits(&good, format, 32 * 256));
        assert!(!fits(&good, format, 32 * 256 - 1));
    }
}
