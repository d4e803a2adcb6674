// SPDX-License-Identifier: MIT
//! What a monitor says of itself (EDID 1.0 to 1.4, with CTA-861 extensions), and the modes that
//! follow from it: the same modes in the same order, with the same flags, as Linux makes of it.
//!
//! An EDID comes from outside: every byte of it may be wrong. Offsets and lengths in it are checked
//! against what is there, and what makes no sense is left out.
//!
//! Left out on purpose: DisplayID extensions, stereo and 4:2:0-only formats (which Linux drops again
//! for connectors like ours), and the list of monitors with faults.
//!
//! Read in this order:
//! * [`blocks`]: blocks, checksums, descriptors;
//! * [`info`]: name, size, ranges;
//! * [`timing`]: one mode; [`formulas`]: CVT and GTF; [`tables`]: numbered timings;
//! * [`detailed`], [`standard`], [`cta`], [`inferred`]: the sources of modes, in Linux's order;
//! * [`list`]: merging, pruning and sorting them.

mod blocks;
mod cta;
mod detailed;
mod formulas;
mod inferred;
mod info;
mod list;
mod standard;
mod tables;
#[cfg(test)]
mod tests;
mod timing;

pub use blocks::{Edid, EdidError};
pub use info::RangeLimits;
pub use list::{Limits, for_client, no_edid_modes, prefer};

use crate::uapi::drm_mode_modeinfo;

impl Edid {
    /// The monitor's modes: merged, without those that `limits` or `accept` refuse, the preferred
    /// first, then by size, rate and clock. Flags hold the picture aspect ratio (see
    /// [`for_client`]).
    pub fn modes(
        &self,
        limits: &Limits,
        accept: impl FnMut(&drm_mode_modeinfo) -> bool,
    ) -> Vec<drm_mode_modeinfo> {
        let mut probed = Vec::new();
        detailed::add(self, &mut probed);
        standard::add_cvt_codes(self, &mut probed);
        standard::add_standard(self, &mut probed);
        standard::add_established(self, &mut probed);
        cta::add_formats(self, &mut probed);
        cta::add_alternate_clocks(self, &mut probed);
        inferred::add(self, &mut probed);
        list::finish(&probed, limits, accept)
    }
}
