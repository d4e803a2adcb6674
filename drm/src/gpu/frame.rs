// SPDX-License-Identifier: MIT
//! What a CRTC is to show: layers of framebuffers, or rows of finished pixels composed from them.

use crate::kms::format::Format;
use crate::kms::framebuffer::Framebuffer;
use crate::kms::state::{CrtcState, KmsState};
use crate::mode::Mode;
use crate::rect::{Damage, Rect};
use crate::uapi::drm_color_lut;
use std::sync::Arc;

/// A CRTC's new state, for [`super::GpuDriver::commit`].
#[derive(Debug)]
pub struct CrtcUpdate<'a> {
    /// Index of the CRTC.
    pub crtc: usize,
    /// The mode, the power or the routing changed.
    pub modeset: bool,
    /// It shall scan out.
    pub active: bool,
    /// Its mode, if it has one.
    pub mode: Option<&'a Mode>,
    /// The picture.
    pub frame: Frame,
    /// The state of everything.
    pub state: &'a KmsState,
}

/// A picture and which parts of it changed.
#[derive(Debug)]
pub struct Frame {
    /// Size in pixels.
    pub bounds: Rect,
    /// What is seen, bottom to top; below it is black.
    pub layers: Vec<Layer>,
    /// What changed since the last commit, within `bounds`.
    pub damage: Damage,
    gamma: Option<Box<[[u8; 256]; 3]>>,
}

/// A plane's visible part.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Index of the plane.
    pub plane: usize,
    /// Its pixels.
    pub fb: Arc<Framebuffer>,
    /// Where it is seen.
    pub dst: Rect,
    /// The framebuffer's pixel at the top left of `dst`.
    pub src: (u32, u32),
}

impl Frame {
    /// The picture of a CRTC. `order`: planes from the bottom to the top.
    pub fn new(state: &KmsState, crtc: usize, order: &[usize], damage: Damage) -> Frame {
        let CrtcState { gamma, .. } = &state.crtcs[crtc];
        let layer = |plane: &usize| {
            let s = &state.planes[*plane];
            let fb = s.fb.clone()?;
            (s.crtc == Some(crtc) && !s.visible.is_empty()).then_some(Layer {
                plane: *plane,
                fb,
                dst: s.visible,
                src: s.visible_src,
            })
        };
        Frame {
            bounds: state.crtcs[crtc].bounds(),
            layers: order.iter().filter_map(layer).collect(),
            damage,
            gamma: gamma
                .as_ref()
                .and_then(|blob| blob.elements::<drm_color_lut>())
                .and_then(|lut| tables(&lut)),
        }
    }

    /// Pixels of row `y` from column `x` on as XRGB8888 (bytes blue, green, red, zero), as many as
    /// `out` holds. What lies outside the picture is black.
    pub fn row(&self, x: u32, y: u32, out: &mut [u8]) {
        out.fill(0);
        let width = u32::try_from(out.len() / 4).unwrap_or(u32::MAX);
        let (Ok(left), Ok(top)) = (i32::try_from(x), i32::try_from(y)) else {
            return;
        };
        let wanted = Rect::new(left, top, width, 1);
        for layer in &self.layers {
            let part = wanted.intersect(&layer.dst);
            if part.is_empty() {
                continue;
            }
            let skip = (part.x1 - left).unsigned_abs() as usize * 4;
            let len = part.width() as usize * 4;
            layer.blend(&part, &mut out[skip..skip + len]);
        }
        if let Some(gamma) = &self.gamma {
            for pixel in out.chunks_exact_mut(4) {
                for (value, table) in pixel.iter_mut().zip(gamma.iter()) {
                    *value = table[usize::from(*value)];
                }
            }
        }
    }
}

impl Layer {
    /// Draws the part of one row over `out`, which is exactly that part.
    fn blend(&self, part: &Rect, out: &mut [u8]) {
        let format: &Format = self.fb.format;
        let x = self.src.0 + (part.x1 - self.dst.x1).unsigned_abs();
        let y = self.src.1 + (part.y1 - self.dst.y1).unsigned_abs();
        if format.is_native() && format.opaque() {
            // A row that can't be read (checked at commit) stays as it was.
            if self.fb.read_row(x, y, out).is_ok() {
                // By words, which the compiler does several at a time.
                for pixel in out.as_chunks_mut::<4>().0 {
                    *pixel = (u32::from_le_bytes(*pixel) & 0x00ff_ffff).to_le_bytes();
                }
            }
            return;
        }
        let cpp = format.cpp as usize;
        let mut row = vec![0; part.width() as usize * cpp];
        if self.fb.read_row(x, y, &mut row).is_err() {
            return;
        }
        for (to, from) in out.chunks_exact_mut(4).zip(row.chunks_exact(cpp)) {
            let [blue, green, red, alpha] = format.argb(format.load(from)).to_le_bytes();
            let under = 255 - u32::from(alpha);
            for (to, from) in to.iter_mut().zip([blue, green, red]) {
                // Premultiplied, as planes are without a blend mode.
                let below = (u32::from(*to) * under + 127) / 255;
                *to = u8::try_from(below + u32::from(from)).unwrap_or(255);
            }
        }
    }
}

/// Gamma tables for blue, green and red; `None` where they change nothing.
fn tables(lut: &[drm_color_lut]) -> Option<Box<[[u8; 256]; 3]>> {
    let last = lut.len().checked_sub(1)?;
    let mut tables = Box::new([[0; 256]; 3]);
    for value in 0..256 {
        let entry = &lut[value * last / 255];
        for (table, level) in tables.iter_mut().zip([entry.blue, entry.green, entry.red]) {
            table[value] = level.to_be_bytes()[0];
        }
    }
    let same = |table: &[u8; 256]| table.iter().enumerate().all(|(i, v)| i == usize::from(*v));
    (!tables.iter().all(same)).then_some(tables)
}
