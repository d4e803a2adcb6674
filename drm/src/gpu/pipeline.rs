// SPDX-License-Identifier: MIT
//! How a driver describes its display hardware.
//!
//! Planes, CRTCs, encoders and connectors refer to each other by index in these lists; masks have
//! bit `i` for index `i`. At most 32 of each.

use crate::uapi::drm_mode_modeinfo;

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Pipeline {
    /// Planes, bottom to top within each kind.
    pub planes: Vec<PlaneDesc>,
    /// CRTCs.
    pub crtcs: Vec<CrtcDesc>,
    /// Encoders.
    pub encoders: Vec<EncoderDesc>,
    /// Connectors.
    pub connectors: Vec<ConnectorDesc>,
    /// Smallest framebuffer, width and height in pixels.
    pub min_size: (u32, u32),
    /// Largest framebuffer, width and height in pixels.
    pub max_size: (u32, u32),
    /// Cursor size that programs should use, in pixels.
    pub cursor_size: (u32, u32),
    /// `DRM_CAP_DUMB_PREFERRED_DEPTH`; zero for none.
    pub preferred_depth: u32,
    /// `DRM_CAP_DUMB_PREFER_SHADOW`: reading back from dumb buffers is slow.
    pub prefer_shadow: bool,
    /// Flips without waiting for the vertical blank.
    pub async_page_flip: bool,
}

/// What a plane is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaneKind {
    /// Above the primary plane.
    Overlay = 0,
    /// Legacy mode sets and flips use it. Each CRTC has one.
    Primary = 1,
    /// On top; legacy cursor calls use it.
    Cursor = 2,
}

/// A plane, of the hardware or composed in software.
#[derive(Clone, Debug)]
pub struct PlaneDesc {
    /// What it is for.
    pub kind: PlaneKind,
    /// Fourcc codes, preferred first. The core can compose those in `kms::format`.
    pub formats: Vec<u32>,
    /// Modifiers; every format has every one.
    pub modifiers: Vec<u64>,
    /// CRTCs it can be on.
    pub possible_crtcs: u32,
    /// It may cover a part of the CRTC only.
    pub movable: bool,
}

/// Where vertical blanks come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VblankSource {
    /// The core counts them, from the mode's timings.
    Software,
    /// The driver reports each one.
    Hardware,
}

/// A CRTC.
#[derive(Clone, Debug)]
pub struct CrtcDesc {
    /// Entries in the gamma table; zero for none.
    pub gamma_size: u32,
    /// Where vertical blanks come from.
    pub vblank: VblankSource,
}

/// An encoder.
#[derive(Clone, Debug)]
pub struct EncoderDesc {
    /// `DRM_MODE_ENCODER_*`.
    pub kind: u32,
    /// CRTCs that can feed it.
    pub possible_crtcs: u32,
    /// Encoders that can show the same picture, itself included.
    pub possible_clones: u32,
}

/// A connector.
#[derive(Clone, Debug)]
pub struct ConnectorDesc {
    /// `DRM_MODE_CONNECTOR_*`.
    pub kind: u32,
    /// Encoders it can use.
    pub encoders: Vec<usize>,
    /// It has an `EDID` property.
    pub edid: bool,
}

/// Whether something is plugged in; the values are the uAPI's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Yes.
    Connected = 1,
    /// No.
    Disconnected = 2,
    /// Can't be told.
    #[default]
    Unknown = 3,
}

/// What a probe of a connector found.
#[derive(Clone, Debug, Default)]
pub struct Detected {
    /// Whether something is plugged in.
    pub status: Status,
    /// EDID blocks as read, or empty. Its modes are added by the core.
    pub edid: Vec<u8>,
    /// Modes that the driver knows beyond the EDID's.
    pub modes: Vec<drm_mode_modeinfo>,
}
