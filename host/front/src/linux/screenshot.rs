// SPDX-License-Identifier: MIT
//! A picture of what a card shows: the framebuffer of its first lit CRTC, read from the buffer's
//! memory, so it works without a worker too.

use super::device::Device;
use crate::shadow::log::{Key, Link};
use crate::shadow::wire::argument;
use drvhost_channel::memory::Mapping;
use drvhost_drm::uapi::{DrmFourcc, drm_mode_fb_cmd, drm_mode_fb_cmd2, ioctl};

/// A picture: three bytes (red, green, blue) for each pixel, rows from the top.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `width * height * 3` bytes.
    pub rgb: Vec<u8>,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({}x{})", self.width, self.height)
    }
}

/// Why there is no picture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// Nothing is shown.
    #[error("{0} shows nothing: no program has set a mode")]
    Dark(String),
    /// The framebuffer's format cannot be read.
    #[error("the framebuffer's format {0:#010x} cannot be turned into a picture")]
    Format(u32),
    /// The framebuffer's memory is the driver's own, or too short.
    #[error("the framebuffer's memory cannot be read: {0}")]
    Memory(String),
}

/// Where the pixels are.
struct Layout {
    width: u32,
    height: u32,
    pitch: u32,
    offset: u32,
    format: u32,
}

impl Device {
    /// A picture of what the card shows: its first lit CRTC's framebuffer, without cursor and
    /// overlays.
    pub fn screenshot(&self) -> Result<Picture, PictureError> {
        let (layout, buffer) = {
            let shadow = self.shadow();
            let primary = shadow.topology.crtcs.iter().find_map(|crtc| {
                let plane = shadow.topology.primary.get(crtc)?;
                shadow
                    .log
                    .commit
                    .iter()
                    .find_map(|((object, property), value)| {
                        let fb = object == plane && shadow.topology.name(*property) == "FB_ID";
                        (fb && value.plain != 0).then_some(value.link)
                    })
            });
            let mut calls = shadow.log.legacy.iter();
            let legacy = calls.find_map(|call| match (call.key, call.link) {
                (Key::Crtc(_) | Key::Flip(_), Link::Framebuffer(_)) => Some(call.link),
                _ => None,
            });
            let shown = primary.or(legacy);
            let fb = match shown {
                Some(Link::Framebuffer(serial)) => shadow.framebuffers.get(&serial),
                _ => None,
            };
            let fb = fb.ok_or_else(|| PictureError::Dark(self.address().to_owned()))?;
            (layout(fb.cmd, &fb.payload), fb.buffers[0])
        };
        let memory = |error: &dyn std::fmt::Display| PictureError::Memory(error.to_string());
        let buffer = self.objects.buffer(buffer).map_err(|e| memory(&e))?;
        let pixel = reader(layout.format).ok_or(PictureError::Format(layout.format))?;
        let length = usize::try_from(buffer.size).map_err(|e| memory(&e))?;
        let map = Mapping::sealed(&buffer.fd, length).map_err(|e| memory(&e))?;
        let end = u64::from(layout.offset)
            + u64::from(layout.pitch) * u64::from(layout.height.saturating_sub(1))
            + u64::from(layout.width) * pixel.bytes as u64;
        if end > buffer.size || layout.width > 1 << 15 || layout.height > 1 << 15 {
            return Err(memory(&"the framebuffer is larger than its buffer"));
        }
        let mut bytes = vec![0; length];
        // SAFETY: the mapping is `length` bytes long; programs may change them meanwhile, which
        // shows in the picture only.
        unsafe { std::ptr::copy_nonoverlapping(map.as_ptr(), bytes.as_mut_ptr(), length) };
        let mut rgb = Vec::with_capacity(layout.width as usize * layout.height as usize * 3);
        for row in 0..layout.height as usize {
            let start = layout.offset as usize + row * layout.pitch as usize;
            let row = &bytes[start..start + layout.width as usize * pixel.bytes];
            for bytes in row.chunks_exact(pixel.bytes) {
                rgb.extend_from_slice(&(pixel.read)(bytes));
            }
        }
        Ok(Picture {
            width: layout.width,
            height: layout.height,
            rgb,
        })
    }
}

fn layout(cmd: u32, payload: &[u8]) -> Layout {
    if cmd == ioctl::MODE_ADDFB {
        let fb: drm_mode_fb_cmd = argument(cmd, payload);
        let format = match (fb.bpp, fb.depth) {
            (32, 24) => DrmFourcc::Xrgb8888,
            (32, 32) => DrmFourcc::Argb8888,
            (24, 24) => DrmFourcc::Rgb888,
            (16, 16) => DrmFourcc::Rgb565,
            (16, 15) => DrmFourcc::Xrgb1555,
            _ => DrmFourcc::C8,
        };
        return Layout {
            width: fb.width,
            height: fb.height,
            pitch: fb.pitch,
            offset: 0,
            format: format as u32,
        };
    }
    let fb: drm_mode_fb_cmd2 = argument(cmd, payload);
    Layout {
        width: fb.width,
        height: fb.height,
        pitch: fb.pitches[0],
        offset: fb.offsets[0],
        format: fb.pixel_format,
    }
}

/// Red, green and blue of a pixel's bytes.
type Read = fn(&[u8]) -> [u8; 3];

struct Pixel {
    bytes: usize,
    read: Read,
}

fn reader(format: u32) -> Option<Pixel> {
    let (bytes, read): (usize, Read) = match DrmFourcc::try_from(format).ok()? {
        DrmFourcc::Xrgb8888 | DrmFourcc::Argb8888 => (4, |p| [p[2], p[1], p[0]]),
        DrmFourcc::Xbgr8888 | DrmFourcc::Abgr8888 => (4, |p| [p[0], p[1], p[2]]),
        DrmFourcc::Rgb888 => (3, |p| [p[2], p[1], p[0]]),
        DrmFourcc::Bgr888 => (3, |p| [p[0], p[1], p[2]]),
        DrmFourcc::Rgb565 => (2, |p| {
            let value = u16::from_le_bytes([p[0], p[1]]);
            [
                wide(value >> 11, 5),
                wide(value >> 5 & 0x3f, 6),
                wide(value & 0x1f, 5),
            ]
        }),
        DrmFourcc::Xrgb1555 => (2, |p| {
            let value = u16::from_le_bytes([p[0], p[1]]);
            [
                wide(value >> 10 & 0x1f, 5),
                wide(value >> 5 & 0x1f, 5),
                wide(value & 0x1f, 5),
            ]
        }),
        _ => return None,
    };
    Some(Pixel { bytes, read })
}

/// A channel of few bits as one of eight: all ones stay all ones.
fn wide(value: u16, bits: u32) -> u8 {
    let most = (1u32 << bits) - 1;
    ((u32::from(value) * 255 + most / 2) / most) as u8
}
