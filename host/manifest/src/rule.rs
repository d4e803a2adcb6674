// SPDX-License-Identifier: MIT
//! One rule of a manifest: which ids a device must have, and how specific that is.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::IdSet;
use driver_sys::PciIds;

/// All 24 bits of a class code.
pub const CLASS_MASK: u32 = 0x00ff_ffff;

/// A device fits if every field does; a field left out fits any device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "RawRule")]
pub struct Rule {
    /// Vendor ids.
    #[serde(skip_serializing_if = "IdSet::is_any")]
    pub vendor: IdSet,
    /// Device ids; they mean nothing without a vendor.
    #[serde(skip_serializing_if = "IdSet::is_any")]
    pub device: IdSet,
    /// Subsystem vendor ids.
    #[serde(skip_serializing_if = "IdSet::is_any")]
    pub subvendor: IdSet,
    /// Subsystem ids; they mean nothing without a subsystem vendor.
    #[serde(skip_serializing_if = "IdSet::is_any")]
    pub subdevice: IdSet,
    /// Revision ids, 8 bits.
    #[serde(skip_serializing_if = "IdSet::is_any")]
    pub revision: IdSet,
    /// Class code under a mask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<ClassMatch>,
}

/// A device fits if its class code equals `code` in the bits of `mask`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassMatch {
    /// Base class, subclass and programming interface: `0x030000` is a VGA display.
    pub code: u32,
    /// The bits that count; all 24 if left out.
    #[serde(default = "full_mask")]
    pub mask: u32,
}

fn full_mask() -> u32 {
    CLASS_MASK
}

/// What is parsed before it is known to make sense.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename = "Rule")]
struct RawRule {
    vendor: IdSet,
    device: IdSet,
    subvendor: IdSet,
    subdevice: IdSet,
    revision: IdSet,
    class: Option<ClassMatch>,
}

impl TryFrom<RawRule> for Rule {
    type Error = BadRule;

    fn try_from(raw: RawRule) -> Result<Self, BadRule> {
        let RawRule {
            vendor,
            device,
            subvendor,
            subdevice,
            revision,
            class,
        } = raw;
        let rule = Self {
            vendor,
            device,
            subvendor,
            subdevice,
            revision,
            class,
        };
        rule.validate().map(|()| rule)
    }
}

/// A rule that can't be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRule {
    /// No field is given.
    #[error("a rule without any field would match every device: give at least a vendor or a class")]
    Empty,
    /// Device ids without vendor.
    #[error("`device` needs `vendor` beside it: device ids are each vendor's own")]
    DeviceWithoutVendor,
    /// Subsystem ids without subsystem vendor.
    #[error("`subdevice` needs `subvendor` beside it: subsystem ids are each vendor's own")]
    SubdeviceWithoutSubvendor,
    /// A revision above 0xff.
    #[error("a revision has 8 bits: 0x{0:04x} is above 0xff")]
    Revision(u16),
    /// More than 24 bits, no bit at all, or code bits outside of the mask.
    #[error(
        "class code 0x{code:06x} with mask 0x{mask:06x} can match nothing, or anything: both have 24 bits, the mask has one at least, and the code none outside of the mask"
    )]
    Class {
        /// The class code.
        code: u32,
        /// Its mask.
        mask: u32,
    },
}

impl Rule {
    /// Whether the rule can be meant; what is parsed has passed this.
    ///
    /// # Errors
    /// See [`BadRule`].
    pub fn validate(&self) -> Result<(), BadRule> {
        let sets = [
            &self.vendor,
            &self.device,
            &self.subvendor,
            &self.subdevice,
            &self.revision,
        ];
        if sets.iter().all(|s| s.is_any()) && self.class.is_none() {
            return Err(BadRule::Empty);
        }
        if self.vendor.is_any() && !self.device.is_any() {
            return Err(BadRule::DeviceWithoutVendor);
        }
        if self.subvendor.is_any() && !self.subdevice.is_any() {
            return Err(BadRule::SubdeviceWithoutSubvendor);
        }
        if let Some(r) = self.revision.ranges().iter().find(|r| r.last > 0xff) {
            return Err(BadRule::Revision(r.last));
        }
        match self.class {
            Some(ClassMatch { code, mask })
                if mask == 0 || mask > CLASS_MASK || code & !mask != 0 =>
            {
                Err(BadRule::Class { code, mask })
            }
            _ => Ok(()),
        }
    }

    /// How specifically the rule matches, or else every field that does not.
    ///
    /// # Errors
    /// The fields that differ, in the order of [`Specificity`].
    pub fn fit(&self, ids: &PciIds) -> Result<Specificity, Vec<Mismatch>> {
        self.specificity(ids).ok_or_else(|| self.mismatches(ids))
    }

    /// How specifically the rule matches; `None` if it does not.
    #[must_use]
    pub fn specificity(&self, ids: &PciIds) -> Option<Specificity> {
        let class = match self.class {
            Some(c) if ids.class & c.mask == c.code => c.mask.count_ones(),
            Some(_) => return None,
            None => 0,
        };
        Some(Specificity {
            device: self.device.fit(ids.device)?,
            vendor: self.vendor.fit(ids.vendor)?,
            subdevice: self.subdevice.fit(ids.subdevice)?,
            subvendor: self.subvendor.fit(ids.subvendor)?,
            revision: self.revision.fit(ids.revision.into())?,
            class,
        })
    }

    fn mismatches(&self, ids: &PciIds) -> Vec<Mismatch> {
        let sets = [
            ("vendor", &self.vendor, ids.vendor),
            ("device", &self.device, ids.device),
            ("subvendor", &self.subvendor, ids.subvendor),
            ("subdevice", &self.subdevice, ids.subdevice),
            ("revision", &self.revision, ids.revision.into()),
        ];
        let differs = |(field, set, has): (_, &IdSet, u16)| match set.fit(has) {
            Some(_) => None,
            None => Some(Mismatch {
                field,
                wanted: set.to_string(),
                has: format!("0x{has:04x}"),
            }),
        };
        let class = self
            .class
            .filter(|c| ids.class & c.mask != c.code)
            .map(|c| Mismatch {
                field: "class",
                wanted: format!("0x{:06x} (mask 0x{:06x})", c.code, c.mask),
                has: format!("0x{:06x}", ids.class),
            });
        sets.into_iter().filter_map(differs).chain(class).collect()
    }
}

/// How specific a match is. Compares field by field in this order: device, vendor, subdevice,
/// subvendor, revision, class. A rule with one field more than another is always the more specific
/// of the two, and so is one with a narrower range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Specificity {
    /// As [`IdSet::fit`]: 0 any, to 65536 for the single id.
    pub device: u32,
    /// As `device`.
    pub vendor: u32,
    /// As `device`.
    pub subdevice: u32,
    /// As `device`.
    pub subvendor: u32,
    /// As `device`.
    pub revision: u32,
    /// The number of class bits that count, 0 to 24.
    pub class: u32,
}

impl fmt::Display for Specificity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sets = [
            ("vendor", self.vendor),
            ("device", self.device),
            ("subvendor", self.subvendor),
            ("subdevice", self.subdevice),
            ("revision", self.revision),
        ];
        let named = |&(name, fit): &(&str, u32)| match fit {
            0 => None,
            65536 => Some(name.to_owned()),
            _ => Some(format!("{name} (in a range of {})", 65537 - fit)),
        };
        let class = (self.class > 0).then(|| format!("class ({} bits)", self.class));
        let parts: Vec<String> = sets.iter().filter_map(named).chain(class).collect();
        f.write_str(&parts.join(", "))
    }
}

/// A field that keeps a rule from matching.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// The field's name in the manifest.
    pub field: &'static str,
    /// What the rule wants.
    pub wanted: String,
    /// What the device has.
    pub has: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, wanted {}", self.field, self.has, self.wanted)
    }
}
