// SPDX-License-Identifier: MIT
//! Timings that standards have numbered.
//!
//! * [`dmt`]: VESA's list; * [`cta`]: the television formats; * [`established`]: EDID's bits.

pub(crate) mod cta;
pub(crate) mod dmt;
pub(crate) mod established;

use super::timing::Timing;
use crate::uapi::*;

const PP: u32 = DRM_MODE_FLAG_PHSYNC | DRM_MODE_FLAG_PVSYNC;
const PN: u32 = DRM_MODE_FLAG_PHSYNC | DRM_MODE_FLAG_NVSYNC;
const NP: u32 = DRM_MODE_FLAG_NHSYNC | DRM_MODE_FLAG_PVSYNC;
const NN: u32 = DRM_MODE_FLAG_NHSYNC | DRM_MODE_FLAG_NVSYNC;
const I: u32 = DRM_MODE_FLAG_INTERLACE;
const D: u32 = DRM_MODE_FLAG_DBLCLK;
const R_4_3: u32 = DRM_MODE_FLAG_PIC_AR_4_3;
const R_16_9: u32 = DRM_MODE_FLAG_PIC_AR_16_9;
const R_64_27: u32 = DRM_MODE_FLAG_PIC_AR_64_27;
const R_256_135: u32 = DRM_MODE_FLAG_PIC_AR_256_135;

/// A row: clock in kHz; displayed, sync start, sync end, total; flags.
const fn t(clock: u32, h: [u16; 4], v: [u16; 4], flags: u32) -> Timing {
    Timing {
        clock,
        h,
        v,
        flags,
        kind: DRM_MODE_TYPE_DRIVER,
    }
}
