// SPDX-License-Identifier: MIT
//! Values of the uAPI that `drm-sys` lacks.

/// A connector's `connection`: something is plugged in.
pub const DRM_MODE_CONNECTED: u32 = 1;
/// A connector's `connection`: nothing is plugged in.
pub const DRM_MODE_DISCONNECTED: u32 = 2;
/// A connector's `connection`: can't be told.
pub const DRM_MODE_UNKNOWNCONNECTION: u32 = 3;

/// A connector's `subpixel`, as the kernel's enum counts: not known (virtual outputs).
pub const SUBPIXEL_UNKNOWN: u32 = 0;
/// Subpixels run red, green, blue from the left.
pub const SUBPIXEL_HORIZONTAL_RGB: u32 = 1;
/// Subpixels run blue, green, red from the left.
pub const SUBPIXEL_HORIZONTAL_BGR: u32 = 2;
/// Subpixels run red, green, blue from the top.
pub const SUBPIXEL_VERTICAL_RGB: u32 = 3;
/// Subpixels run blue, green, red from the top.
pub const SUBPIXEL_VERTICAL_BGR: u32 = 4;
/// The display has no subpixels.
pub const SUBPIXEL_NONE: u32 = 5;

/// Version of the `IN_FORMATS` blob (`drm_format_modifier_blob`).
pub const FORMAT_BLOB_CURRENT: u32 = 1;

/// `DRM_FORMAT_MOD_INVALID`: the layout is implied by the buffer.
pub const DRM_FORMAT_MOD_INVALID: u64 = 0x00ff_ffff_ffff_ffff;
/// `DRM_FORMAT_MOD_LINEAR`: rows follow each other.
pub const DRM_FORMAT_MOD_LINEAR: u64 = 0;
/// Flag in a fourcc: big-endian pixels.
pub const DRM_FORMAT_BIG_ENDIAN: u32 = 1 << 31;

/// Blend mode property values, in the order of the kernel's enum.
pub const DRM_MODE_BLEND_PREMULTI: u64 = 0;
/// Pixels are not multiplied by their alpha.
pub const DRM_MODE_BLEND_COVERAGE: u64 = 1;
/// The pixels' alpha is ignored.
pub const DRM_MODE_BLEND_PIXEL_NONE: u64 = 2;

/// Redox's client cap for hot-plug events (value 1 enables them).
pub const REDOX_CLIENT_CAP_HOTPLUG: u64 = 0x299f_c90c;
/// Redox's hot-plug event: `drm_event`, then the connector's id as a `u32`.
pub const REDOX_EVENT_HOTPLUG: u32 = 0x299f_c90d;
