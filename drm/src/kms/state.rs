// SPDX-License-Identifier: MIT
//! What an atomic commit changes. A commit makes a new state from the old one; states that were
//! shown are never written again, so they are shared freely.

use super::blob::Blob;
use super::framebuffer::Framebuffer;
use crate::mode::Mode;
use crate::rect::Rect;
use std::sync::Arc;

/// All of it, by the objects' indexes.
#[derive(Clone, Debug, Default)]
pub struct KmsState {
    /// Planes.
    pub planes: Vec<PlaneState>,
    /// CRTCs.
    pub crtcs: Vec<CrtcState>,
    /// Connectors.
    pub connectors: Vec<ConnectorState>,
}

/// A plane's state.
#[derive(Clone, Debug, Default)]
pub struct PlaneState {
    /// Index of the CRTC it is on.
    pub crtc: Option<usize>,
    /// What it shows; set when and only when `crtc` is.
    pub fb: Option<Arc<Framebuffer>>,
    /// Left edge on the CRTC, in pixels.
    pub crtc_x: i32,
    /// Top edge on the CRTC, in pixels.
    pub crtc_y: i32,
    /// Width on the CRTC, in pixels.
    pub crtc_w: u32,
    /// Height on the CRTC, in pixels.
    pub crtc_h: u32,
    /// Left edge in the framebuffer, in 1/65536 pixels.
    pub src_x: u32,
    /// Top edge in the framebuffer, in 1/65536 pixels.
    pub src_y: u32,
    /// Width in the framebuffer, in 1/65536 pixels.
    pub src_w: u32,
    /// Height in the framebuffer, in 1/65536 pixels.
    pub src_h: u32,
    /// What changed since the last commit; of this commit only.
    pub damage: Option<Arc<Blob>>,
    /// Where it is seen on the CRTC, cut to the mode; set by the check.
    pub visible: Rect,
    /// The framebuffer's pixel at the top left of `visible`; set by the check.
    pub visible_src: (u32, u32),
}

impl PlaneState {
    /// It was given both a CRTC and a framebuffer.
    pub fn is_on(&self) -> bool {
        self.crtc.is_some() && self.fb.is_some()
    }

    /// The whole of its place on the CRTC.
    pub fn dst(&self) -> Rect {
        Rect::new(self.crtc_x, self.crtc_y, self.crtc_w, self.crtc_h)
    }
}

/// A CRTC's state.
#[derive(Clone, Debug, Default)]
pub struct CrtcState {
    /// It scans out; off with a mode is power saving.
    pub active: bool,
    /// Its mode; with one it is enabled.
    pub mode: Option<Mode>,
    /// The blob that the mode came from.
    pub mode_blob: Option<Arc<Blob>>,
    /// Gamma table: `drm_color_lut` entries.
    pub gamma: Option<Arc<Blob>>,
    /// Variable refresh was asked for.
    pub vrr: bool,
}

impl CrtcState {
    /// The mode's size in pixels; empty without a mode.
    pub fn bounds(&self) -> Rect {
        match &self.mode {
            Some(mode) => Rect::new(0, 0, mode.hdisplay.into(), mode.vdisplay.into()),
            None => Rect::default(),
        }
    }
}

/// A connector's state.
#[derive(Clone, Debug, Default)]
pub struct ConnectorState {
    /// Index of the CRTC that feeds it.
    pub crtc: Option<usize>,
    /// `link-status`: zero is good.
    pub link_status: u64,
}
