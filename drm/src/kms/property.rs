// SPDX-License-Identifier: MIT
//! The standard properties: their ids, names, kinds and values, in Linux's order of creation.
//!
//! The numbers 1 to 31 are those that Linux 6.12 gives them.

use crate::uapi::*;

/// Id of a standard property.
pub type PropId = u32;

/// What values a property takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// From the first to the second.
    Range(u64, u64),
    /// The same, signed.
    SignedRange(i64, i64),
    /// One of the named values.
    Enum(&'static [(u64, &'static str)]),
    /// An id of a blob, or zero.
    Blob,
    /// An id of an object of a type, or zero.
    Object(u32),
}

/// One property.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// Object id.
    pub id: PropId,
    /// Name.
    pub name: &'static str,
    /// Values.
    pub kind: Kind,
    /// Programs can't set it.
    pub immutable: bool,
    /// Shown only to programs with `DRM_CLIENT_CAP_ATOMIC`.
    pub atomic: bool,
}

const NORMAL: (bool, bool) = (false, false);
const IMMUTABLE: (bool, bool) = (true, false);
const ATOMIC: (bool, bool) = (false, true);

const I32: Kind = Kind::SignedRange(i32::MIN as i64, i32::MAX as i64);
const U31: Kind = Kind::Range(0, i32::MAX as u64);
const U32: Kind = Kind::Range(0, u32::MAX as u64);
const BOOL: Kind = Kind::Range(0, 1);
const DPMS_NAMES: &[(u64, &str)] = &[(0, "On"), (1, "Standby"), (2, "Suspend"), (3, "Off")];
const LINK: &[(u64, &str)] = &[(0, "Good"), (1, "Bad")];
const TYPES: &[(u64, &str)] = &[(0, "Overlay"), (1, "Primary"), (2, "Cursor")];

macro_rules! properties {
    ($($konst:ident = $id:literal, $name:literal, $kind:expr, $flags:expr;)*) => {
        $(#[doc = concat!("Property `", $name, "`.")] pub const $konst: PropId = $id;)*
        /// All of them, ascending by id.
        pub static PROPERTIES: &[Property] = &[$(Property {
            id: $id, name: $name, kind: $kind, immutable: $flags.0, atomic: $flags.1,
        }),*];
    };
}

properties! {
    EDID = 1, "EDID", Kind::Blob, IMMUTABLE;
    DPMS = 2, "DPMS", Kind::Enum(DPMS_NAMES), NORMAL;
    PATH = 3, "PATH", Kind::Blob, IMMUTABLE;
    TILE = 4, "TILE", Kind::Blob, IMMUTABLE;
    LINK_STATUS = 5, "link-status", Kind::Enum(LINK), NORMAL;
    NON_DESKTOP = 6, "non-desktop", BOOL, IMMUTABLE;
    HDR_OUTPUT_METADATA = 7, "HDR_OUTPUT_METADATA", Kind::Blob, NORMAL;
    TYPE = 8, "type", Kind::Enum(TYPES), IMMUTABLE;
    SRC_X = 9, "SRC_X", U32, ATOMIC;
    SRC_Y = 10, "SRC_Y", U32, ATOMIC;
    SRC_W = 11, "SRC_W", U32, ATOMIC;
    SRC_H = 12, "SRC_H", U32, ATOMIC;
    CRTC_X = 13, "CRTC_X", I32, ATOMIC;
    CRTC_Y = 14, "CRTC_Y", I32, ATOMIC;
    CRTC_W = 15, "CRTC_W", U31, ATOMIC;
    CRTC_H = 16, "CRTC_H", U31, ATOMIC;
    FB_ID = 17, "FB_ID", Kind::Object(DRM_MODE_OBJECT_FB), ATOMIC;
    IN_FENCE_FD = 18, "IN_FENCE_FD", Kind::SignedRange(-1, i32::MAX as i64), ATOMIC;
    OUT_FENCE_PTR = 19, "OUT_FENCE_PTR", Kind::Range(0, u64::MAX), ATOMIC;
    CRTC_ID = 20, "CRTC_ID", Kind::Object(DRM_MODE_OBJECT_CRTC), ATOMIC;
    FB_DAMAGE_CLIPS = 21, "FB_DAMAGE_CLIPS", Kind::Blob, ATOMIC;
    ACTIVE = 22, "ACTIVE", BOOL, ATOMIC;
    MODE_ID = 23, "MODE_ID", Kind::Blob, ATOMIC;
    VRR_ENABLED = 24, "VRR_ENABLED", BOOL, NORMAL;
    DEGAMMA_LUT = 25, "DEGAMMA_LUT", Kind::Blob, NORMAL;
    DEGAMMA_LUT_SIZE = 26, "DEGAMMA_LUT_SIZE", U32, IMMUTABLE;
    CTM = 27, "CTM", Kind::Blob, NORMAL;
    GAMMA_LUT = 28, "GAMMA_LUT", Kind::Blob, NORMAL;
    GAMMA_LUT_SIZE = 29, "GAMMA_LUT_SIZE", U32, IMMUTABLE;
    IN_FORMATS = 30, "IN_FORMATS", Kind::Blob, IMMUTABLE;
    SIZE_HINTS = 31, "SIZE_HINTS", Kind::Blob, IMMUTABLE;
}

/// First id of an object of the pipeline.
pub const FIRST_OBJECT: u32 = 32;

/// Looks a property up.
pub fn property(id: PropId) -> Option<&'static Property> {
    PROPERTIES.get(id.checked_sub(1)? as usize)
}

impl Property {
    /// `DRM_MODE_PROP_*` flags.
    pub fn flags(&self) -> u32 {
        let kind = match self.kind {
            Kind::Range(..) => DRM_MODE_PROP_RANGE,
            Kind::SignedRange(..) => DRM_MODE_PROP_SIGNED_RANGE,
            Kind::Enum(_) => DRM_MODE_PROP_ENUM,
            Kind::Blob => DRM_MODE_PROP_BLOB,
            Kind::Object(_) => DRM_MODE_PROP_OBJECT,
        };
        let immutable = if self.immutable {
            DRM_MODE_PROP_IMMUTABLE
        } else {
            0
        };
        let atomic = if self.atomic { DRM_MODE_PROP_ATOMIC } else { 0 };
        kind | immutable | atomic
    }

    /// The values that `GETPROPERTY` lists.
    #[allow(clippy::cast_sign_loss)] // signed bounds travel as their bits
    pub fn values(&self) -> Vec<u64> {
        match self.kind {
            Kind::Range(low, high) => vec![low, high],
            Kind::SignedRange(low, high) => vec![low as u64, high as u64],
            Kind::Enum(names) => names.iter().map(|(value, _)| *value).collect(),
            Kind::Blob => Vec::new(),
            Kind::Object(kind) => vec![u64::from(kind)],
        }
    }

    /// Whether a program may set this value; that an object or blob exists is checked elsewhere.
    #[allow(clippy::cast_possible_wrap)] // signed values travel as their bits
    pub fn accepts(&self, value: u64) -> bool {
        !self.immutable
            && match self.kind {
                Kind::Range(low, high) => (low..=high).contains(&value),
                Kind::SignedRange(low, high) => (low..=high).contains(&(value as i64)),
                Kind::Enum(names) => names.iter().any(|(known, _)| *known == value),
                Kind::Blob | Kind::Object(_) => u32::try_from(value).is_ok(),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_places() {
        for (index, property) in PROPERTIES.iter().enumerate() {
            assert_eq!(property.id as usize, index + 1, "{}", property.name);
        }
        assert_eq!(PROPERTIES.len() as u32 + 1, FIRST_OBJECT);
        assert!(property(0).is_none() && property(32).is_none());
    }

    #[test]
    fn values_are_checked() {
        let accepts = |id, value: i64| property(id).unwrap().accepts(value as u64);
        assert!(accepts(CRTC_X, -5) && !accepts(CRTC_X, 1 << 31));
        assert!(accepts(IN_FENCE_FD, -1) && !accepts(IN_FENCE_FD, -2));
        assert!(accepts(ACTIVE, 1) && !accepts(ACTIVE, 2));
        assert!(accepts(DPMS, 3) && !accepts(DPMS, 4));
        assert!(!accepts(TYPE, 1), "immutable");
        assert!(accepts(OUT_FENCE_PTR, -1));
        assert!(!accepts(FB_ID, 1 << 32));
    }
}
