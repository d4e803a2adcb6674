// SPDX-License-Identifier: MIT
//! A driver for Bochs DISPI display adapters: QEMU's `bochs-display` and `VGA`, and whatever else
//! has the registers in a memory BAR. It scans out linear video memory; the core composes planes,
//! converts pixels and counts vertical blanks.
//!
//! Read in this order:
//! * [`registers`]: the adapter's registers;
//! * [`vram`]: writing video memory, mapped or not;
//! * [`screen`]: a mode with its two pages, and drawing into them;
//! * [`gpu`]: the driver as the core sees it.

pub mod gpu;
pub mod registers;
pub mod screen;
pub mod vram;

use core::ffi::CStr;
use drvhost_abi::export_driver;
use drvhost_abi::plugin::About;
use drvhost_abi::tables::{ANY_ID, Param, PciId};
use drvhost_drm::plugin::DrmPlugin;

/// The driver's name, for the host and for programs.
pub const NAME: &CStr = c"dispi";

/// Display controllers only: the same numbers could be reused for another class.
const DISPLAY: (u32, u32) = (0x03_0000, 0xff_0000);

const fn id(vendor: u32, device: u32) -> PciId {
    PciId {
        vendor,
        device,
        subvendor: ANY_ID,
        subdevice: ANY_ID,
        class: DISPLAY.0,
        class_mask: DISPLAY.1,
    }
}

const ABOUT: About = About {
    name: NAME,
    description: c"Bochs DISPI display adapters (Bochs, QEMU, VirtualBox)",
    ids: &[id(0x1234, 0x1111), id(0x80ee, 0xbeef)],
    params: &[
        Param {
            name: c"connected".as_ptr(),
            description: c"1: there is a monitor even where none tells its EDID".as_ptr(),
            default: c"0".as_ptr(),
        },
        Param {
            name: c"pageflip".as_ptr(),
            description: c"0: draw into the page that is shown, with half the video memory"
                .as_ptr(),
            default: c"1".as_ptr(),
        },
    ],
};

export_driver!(DrmPlugin<gpu::Dispi>, ABOUT);
