// SPDX-License-Identifier: MIT
//! The state of the fake driver's display and objects, with Linux's rules for what calls change.

use std::collections::{BTreeMap, BTreeSet};

pub const CRTCS: [u32; 2] = [40, 41];
pub const CONNECTORS: [u32; 2] = [50, 51];
/// Primary planes of the CRTCs, then overlays.
pub const PLANES: [u32; 4] = [30, 31, 32, 33];

pub const FB_ID: u32 = 1;
pub const CRTC_ID: u32 = 2;
pub const MODE_ID: u32 = 3;
pub const ACTIVE: u32 = 4;
pub const IN_FENCE_FD: u32 = 5;
pub const OUT_FENCE_PTR: u32 = 6;
pub const ALPHA: u32 = 7;
pub const GAMMA_LUT: u32 = 8;
pub const TYPE: u32 = 10;

/// Name, flags.
pub const PROPERTIES: [(u32, &str, u32); 9] = [
    (FB_ID, "FB_ID", 0x40),
    (CRTC_ID, "CRTC_ID", 0x40),
    (MODE_ID, "MODE_ID", 0x10),
    (ACTIVE, "ACTIVE", 2),
    (IN_FENCE_FD, "IN_FENCE_FD", 2),
    (OUT_FENCE_PTR, "OUT_FENCE_PTR", 2),
    (ALPHA, "alpha", 2),
    (GAMMA_LUT, "GAMMA_LUT", 0x10),
    (TYPE, "type", 8),
];

pub fn properties(object: u32) -> &'static [u32] {
    match object {
        30..=39 => &[FB_ID, CRTC_ID, IN_FENCE_FD, ALPHA, TYPE],
        40..=49 => &[MODE_ID, ACTIVE, OUT_FENCE_PTR, GAMMA_LUT],
        50..=59 => &[CRTC_ID],
        _ => &[],
    }
}

/// The value that stands for a mode set by a legacy call.
pub const INTERNAL: u32 = 9;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fb {
    pub owner: u64,
    pub buffers: [u64; 4],
    pub width: u32,
    /// Clients know it.
    pub listed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    pub owner: u64,
    pub data: Vec<u8>,
    pub listed: bool,
}

/// Values of properties, and everything that ids in them stand for.
#[derive(Clone, Debug, Default)]
pub struct Display {
    pub fbs: BTreeMap<u32, Fb>,
    pub blobs: BTreeMap<u32, Blob>,
    pub values: BTreeMap<(u32, u32), u64>,
    /// Modes of CRTCs, as bytes.
    pub modes: BTreeMap<u32, Vec<u8>>,
    pub gamma: BTreeMap<u32, Vec<u8>>,
    /// Buffer of the cursor image.
    pub cursors: BTreeMap<u32, u64>,
    pub cursor_places: BTreeMap<u32, (i32, i32)>,
}

impl Display {
    pub fn value(&self, object: u32, property: u32) -> u64 {
        if property == TYPE {
            return u64::from(object < 32);
        }
        self.values.get(&(object, property)).copied().unwrap_or(0)
    }

    /// Whether an id is taken: framebuffers and blobs share them.
    pub fn has(&self, id: u32) -> bool {
        self.fbs.contains_key(&id) || self.blobs.contains_key(&id)
    }

    pub fn set(&mut self, object: u32, property: u32, value: u64) {
        self.values.insert((object, property), value);
    }

    pub fn primary(crtc: u32) -> u32 {
        crtc - 10
    }

    fn crtc_off(&mut self, crtc: u32) {
        self.modes.remove(&crtc);
        self.set(crtc, MODE_ID, 0);
        self.set(crtc, ACTIVE, 0);
        for plane in PLANES {
            if self.value(plane, CRTC_ID) == crtc.into() {
                self.plane_off(plane);
            }
        }
        for connector in CONNECTORS {
            if self.value(connector, CRTC_ID) == crtc.into() {
                self.set(connector, CRTC_ID, 0);
            }
        }
    }

    pub fn plane_off(&mut self, plane: u32) {
        self.set(plane, FB_ID, 0);
        self.set(plane, CRTC_ID, 0);
    }

    pub fn set_crtc(&mut self, crtc: u32, fb: u32, connectors: &[u32], mode: Option<Vec<u8>>) {
        let Some(mode) = mode else {
            self.crtc_off(crtc);
            return;
        };
        let mut robbed = BTreeSet::new();
        for connector in CONNECTORS {
            let had = self.value(connector, CRTC_ID);
            if connectors.contains(&connector) {
                if had != 0 && had != u64::from(crtc) {
                    robbed.insert(had as u32);
                }
                self.set(connector, CRTC_ID, crtc.into());
            } else if had == u64::from(crtc) {
                self.set(connector, CRTC_ID, 0);
            }
        }
        for other in robbed {
            let mut left = CONNECTORS.iter();
            if !left.any(|c| self.value(*c, CRTC_ID) == other.into()) {
                self.crtc_off(other);
            }
        }
        self.modes.insert(crtc, mode);
        self.set(crtc, MODE_ID, INTERNAL.into());
        self.set(crtc, ACTIVE, 1);
        self.set(Self::primary(crtc), FB_ID, fb.into());
        self.set(Self::primary(crtc), CRTC_ID, crtc.into());
    }

    pub fn commit(&mut self, object: u32, property: u32, value: u64) {
        self.set(object, property, value);
        if property == MODE_ID {
            match self.blobs.get(&(value as u32)) {
                Some(blob) => self.modes.insert(object, blob.data.clone()),
                None => self.modes.remove(&object),
            };
        }
    }

    /// Whether a commit may leave it so, as Linux's checks have it.
    pub fn is_valid(&self) -> bool {
        let crtcs = CRTCS.iter().all(|crtc| {
            let mode = self.modes.contains_key(crtc);
            let mut connectors = CONNECTORS.iter();
            let wired = connectors.any(|c| self.value(*c, CRTC_ID) == u64::from(*crtc));
            let active = self.value(*crtc, ACTIVE) != 0;
            let primary = self.value(Self::primary(*crtc), CRTC_ID) == u64::from(*crtc);
            mode == wired && (mode || !active) && (primary || !active)
        });
        let planes = PLANES.iter().all(|plane| {
            let crtc = self.value(*plane, CRTC_ID) as u32;
            let lit = self.modes.contains_key(&crtc);
            (crtc != 0) == (self.value(*plane, FB_ID) != 0) && (crtc == 0 || lit)
        });
        crtcs && planes
    }

    /// The end of a framebuffer turns off what shows it.
    pub fn remove_fb(&mut self, id: u32) {
        for plane in PLANES {
            if self.value(plane, FB_ID) == id.into() {
                self.plane_off(plane);
                if let Some(crtc) = CRTCS.iter().find(|c| Self::primary(**c) == plane) {
                    self.crtc_off(*crtc);
                }
            }
        }
        self.fbs.remove(&id);
    }

    /// Forgets what clients do not know and nothing shows.
    pub fn collect(&mut self) {
        let used = |kinds: &[u32]| -> BTreeSet<u32> {
            let values = self.values.iter();
            values
                .filter(|((_, property), _)| kinds.contains(property))
                .map(|(_, value)| *value as u32)
                .collect()
        };
        let (fbs, blobs) = (used(&[FB_ID]), used(&[MODE_ID, GAMMA_LUT]));
        self.fbs.retain(|id, fb| fb.listed || fbs.contains(id));
        self.blobs
            .retain(|id, blob| blob.listed || blobs.contains(id));
    }

    /// What can be seen of it: ids that clients do not know are replaced by what they stand for.
    pub fn visible(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (id, fb) in self.fbs.iter().filter(|(_, fb)| fb.listed) {
            lines.push(format!("fb {id} {fb:?}"));
        }
        for (id, blob) in self.blobs.iter().filter(|(_, blob)| blob.listed) {
            lines.push(format!("blob {id} {blob:?}"));
        }
        for ((object, property), value) in &self.values {
            let shown = match *property {
                _ if *value == 0 => continue,
                FB_ID => {
                    let fb = self.fbs.get(&(*value as u32));
                    fb.map_or("?".into(), |fb| format!("{:?} {}", fb.buffers, fb.width))
                }
                MODE_ID => format!("{:?}", self.modes.get(object)),
                GAMMA_LUT => {
                    let blob = self.blobs.get(&(*value as u32));
                    blob.map_or("?".into(), |blob| format!("{:?}", blob.data))
                }
                _ => value.to_string(),
            };
            lines.push(format!("{object}.{property} {shown}"));
        }
        lines.push(format!(
            "{:?} {:?} {:?}",
            self.gamma, self.cursors, self.cursor_places
        ));
        lines
    }
}
