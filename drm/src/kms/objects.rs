// SPDX-License-Identifier: MIT
//! The pipeline as programs see it: objects with ids and properties. Fixed after the probe.

use super::blob::bytes_of;
use super::property::*;
use crate::gpu::{ConnectorDesc, Pipeline, PlaneKind};
use crate::uapi::*;
use std::collections::BTreeMap;

/// An object of the pipeline: its type and index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// Index of a plane.
    Plane(usize),
    /// Index of a CRTC.
    Crtc(usize),
    /// Index of an encoder.
    Encoder(usize),
    /// Index of a connector.
    Connector(usize),
}

impl Object {
    /// `DRM_MODE_OBJECT_*`.
    pub fn kind(self) -> u32 {
        match self {
            Object::Plane(_) => DRM_MODE_OBJECT_PLANE,
            Object::Crtc(_) => DRM_MODE_OBJECT_CRTC,
            Object::Encoder(_) => DRM_MODE_OBJECT_ENCODER,
            Object::Connector(_) => DRM_MODE_OBJECT_CONNECTOR,
        }
    }

    /// A lease decides who sees it.
    pub fn leasable(self) -> bool {
        !matches!(self, Object::Encoder(_))
    }
}

/// The objects and their ids.
#[derive(Debug)]
pub struct Objects {
    /// What the driver described.
    pub pipeline: Pipeline,
    /// Ids of the planes, by index.
    pub planes: Vec<u32>,
    /// Ids of the planes' `IN_FORMATS` blobs and their contents.
    pub in_formats: Vec<(u32, Vec<u8>)>,
    /// Ids of the CRTCs.
    pub crtcs: Vec<u32>,
    /// Ids of the encoders.
    pub encoders: Vec<u32>,
    /// Ids of the connectors.
    pub connectors: Vec<u32>,
    /// Index of each CRTC's primary plane.
    pub primary: Vec<usize>,
    /// Index of each CRTC's cursor plane, if it has one.
    pub cursor: Vec<Option<usize>>,
    by_id: BTreeMap<u32, Object>,
    /// First id that no object has.
    pub end: u32,
}

impl Objects {
    /// Numbers the pipeline's objects: planes, each before its formats, then CRTCs, encoders and
    /// connectors. `None`: a CRTC has no primary plane, or an index does not exist.
    pub fn new(pipeline: Pipeline) -> Option<Objects> {
        let mut next = FIRST_OBJECT;
        let mut id = || {
            next += 1;
            next - 1
        };
        let mut by_id = BTreeMap::new();
        let (mut planes, mut in_formats) = (Vec::new(), Vec::new());
        for (index, plane) in pipeline.planes.iter().enumerate() {
            planes.push(id());
            by_id.insert(planes[index], Object::Plane(index));
            in_formats.push((id(), in_formats_blob(&plane.formats, &plane.modifiers)));
        }
        let mut number = |count: usize, object: fn(usize) -> Object| -> Vec<u32> {
            (0..count)
                .map(|index| {
                    let id = id();
                    by_id.insert(id, object(index));
                    id
                })
                .collect()
        };
        let crtcs = number(pipeline.crtcs.len(), Object::Crtc);
        let encoders = number(pipeline.encoders.len(), Object::Encoder);
        let connectors = number(pipeline.connectors.len(), Object::Connector);

        let find = |crtc: usize, kind: PlaneKind| {
            pipeline
                .planes
                .iter()
                .position(|p| p.kind == kind && p.possible_crtcs & (1 << crtc) != 0)
        };
        let count = crtcs.len();
        let primary = (0..count)
            .map(|crtc| find(crtc, PlaneKind::Primary))
            .collect::<Option<Vec<_>>>()?;
        let cursor = (0..count)
            .map(|crtc| find(crtc, PlaneKind::Cursor))
            .collect();
        let encoders_exist = |c: &ConnectorDesc| c.encoders.iter().all(|e| *e < encoders.len());
        let most = [&planes, &crtcs, &encoders, &connectors]
            .iter()
            .map(|list| list.len())
            .max();
        if !pipeline.connectors.iter().all(encoders_exist) || most > Some(32) {
            return None;
        }
        Some(Objects {
            pipeline,
            planes,
            in_formats,
            crtcs,
            encoders,
            connectors,
            primary,
            cursor,
            by_id,
            end: next,
        })
    }

    /// What an id names.
    pub fn find(&self, id: u32) -> Option<Object> {
        self.by_id.get(&id).copied()
    }

    /// All ids, ascending.
    pub fn ids(&self) -> impl Iterator<Item = u32> + '_ {
        self.by_id.keys().copied()
    }

    /// CRTCs that can feed a connector, as a mask.
    pub fn connector_crtcs(&self, connector: usize) -> u32 {
        let encoders = &self.pipeline.connectors[connector].encoders;
        encoders
            .iter()
            .map(|e| self.pipeline.encoders[*e].possible_crtcs)
            .fold(0, |a, b| a | b)
    }

    /// The encoder that takes a CRTC's picture to a connector.
    pub fn encoder_for(&self, connector: usize, crtc: usize) -> Option<usize> {
        let encoders = &self.pipeline.connectors[connector].encoders;
        encoders
            .iter()
            .copied()
            .find(|e| self.pipeline.encoders[*e].possible_crtcs & (1 << crtc) != 0)
    }

    /// Whether a plane can show a format with a modifier.
    pub fn plane_shows(&self, plane: usize, format: u32, modifier: u64) -> bool {
        let plane = &self.pipeline.planes[plane];
        plane.formats.contains(&format) && plane.modifiers.contains(&modifier)
    }

    /// The number in a connector's name: the how-many-th of its type it is, from 1.
    pub fn connector_type_id(&self, connector: usize) -> u32 {
        let list = &self.pipeline.connectors;
        let kind = list[connector].kind;
        let before = list.iter().take(connector).filter(|c| c.kind == kind);
        u32::try_from(before.count()).unwrap_or(0) + 1
    }

    /// The properties of an object, in the order programs see them.
    pub fn properties(&self, object: Object) -> Vec<PropId> {
        match object {
            Object::Plane(_) => vec![
                TYPE,
                FB_ID,
                IN_FENCE_FD,
                CRTC_ID,
                CRTC_X,
                CRTC_Y,
                CRTC_W,
                CRTC_H,
                SRC_X,
                SRC_Y,
                SRC_W,
                SRC_H,
                IN_FORMATS,
                FB_DAMAGE_CLIPS,
            ],
            Object::Crtc(index) => {
                let mut list = vec![ACTIVE, MODE_ID, OUT_FENCE_PTR, VRR_ENABLED];
                if self.pipeline.crtcs[index].gamma_size > 0 {
                    list.extend([GAMMA_LUT, GAMMA_LUT_SIZE]);
                }
                list
            }
            Object::Encoder(_) => Vec::new(),
            Object::Connector(index) => {
                let connector = &self.pipeline.connectors[index];
                let mut list = vec![DPMS, LINK_STATUS, NON_DESKTOP, TILE, CRTC_ID];
                // Linux adds it to virtual connectors only when the driver has one, so last.
                match (connector.edid, connector.kind == DRM_MODE_CONNECTOR_VIRTUAL) {
                    (true, true) => list.push(EDID),
                    (true, false) => list.insert(0, EDID),
                    (false, _) => {}
                }
                list
            }
        }
    }
}

/// The `IN_FORMATS` blob: every format with every modifier.
fn in_formats_blob(formats: &[u32], modifiers: &[u64]) -> Vec<u8> {
    let header = size_of::<drm_format_modifier_blob>();
    // Modifier rows follow at a multiple of eight.
    let rows = (header + formats.len() * 4).next_multiple_of(8);
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let mut blob = bytes_of(&[drm_format_modifier_blob {
        version: FORMAT_BLOB_CURRENT,
        flags: 0,
        count_formats: number(formats.len()),
        formats_offset: number(header),
        count_modifiers: number(modifiers.len() * formats.len().div_ceil(64)),
        modifiers_offset: number(rows),
    }]);
    blob.extend(bytes_of(formats));
    blob.resize(rows, 0);
    for modifier in modifiers {
        for (chunk, part) in formats.chunks(64).enumerate() {
            let mask = u64::MAX >> (64 - part.len());
            blob.extend(bytes_of(&[drm_format_modifier {
                formats: mask,
                offset: number(chunk * 64),
                pad: 0,
                modifier: *modifier,
            }]));
        }
    }
    blob
}
