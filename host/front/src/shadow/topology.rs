// SPDX-License-Identifier: MIT
//! A device's display objects and properties, as its driver lists them. They are made at probe,
//! so after a crash they must be the same again, or what refers to them is lost.

use super::wire::{Caller, elements, fixed_part, payload};
use drvhost_drm::uapi::ioctl;
use drvhost_drm::uapi::names::from_fixed;
use drvhost_drm::uapi::{
    DRM_MODE_PROP_BLOB, DRM_PLANE_TYPE_PRIMARY, drm_mode_card_res, drm_mode_get_plane,
    drm_mode_get_plane_res, drm_mode_get_property, drm_mode_obj_get_properties,
};
use drvhost_port::CallError;
use std::collections::BTreeMap;

/// What a property's value is, as far as recovery must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropertyKind {
    /// A plain value.
    Plain,
    /// A framebuffer's id (`FB_ID`).
    Framebuffer,
    /// A blob's id.
    Blob,
    /// A CRTC's id (`CRTC_ID`).
    Crtc,
    /// A descriptor that the call takes (`IN_FENCE_FD`).
    InFence,
    /// Where the call writes a descriptor (`OUT_FENCE_PTR`).
    OutFence,
}

/// The objects and properties.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// CRTC ids, in the order of their index.
    pub crtcs: Vec<u32>,
    /// Connector ids.
    pub connectors: Vec<u32>,
    /// Plane ids.
    pub planes: Vec<u32>,
    /// The primary plane of each CRTC.
    pub primary: BTreeMap<u32, u32>,
    /// Property ids of each object.
    pub properties: BTreeMap<u32, Vec<u32>>,
    /// Name and flags of each property.
    pub names: BTreeMap<u32, (String, u32)>,
}

impl Topology {
    /// Asks a worker. What is known from before saves questions.
    pub fn learn(caller: &Caller<'_>, before: &Topology) -> Result<Topology, CallError> {
        let [crtcs, connectors] = caller.lists(
            ioctl::MODE_GETRESOURCES,
            [4, 4],
            |[count_crtcs, count_connectors]| drm_mode_card_res {
                count_crtcs,
                count_connectors,
                ..Default::default()
            },
            |answer: &drm_mode_card_res| [answer.count_crtcs, answer.count_connectors],
        )?;
        let [planes] = caller.lists(
            ioctl::MODE_GETPLANERESOURCES,
            [4],
            |[count_planes]| drm_mode_get_plane_res {
                count_planes,
                ..Default::default()
            },
            |answer: &drm_mode_get_plane_res| [answer.count_planes],
        )?;
        let mut topology = Topology {
            crtcs: elements(&crtcs),
            connectors: elements(&connectors),
            planes: elements(&planes),
            ..Topology::default()
        };
        for object in topology.objects() {
            let values = properties(caller, object)?;
            for (property, _) in &values {
                if topology.names.contains_key(property) {
                    continue;
                }
                let name = match before.names.get(property) {
                    Some(known) => known.clone(),
                    None => name(caller, *property)?,
                };
                topology.names.insert(*property, name);
            }
            let is_primary = |(property, value): &(u32, u64)| {
                topology.name(*property) == "type" && *value == u64::from(DRM_PLANE_TYPE_PRIMARY)
            };
            if values.iter().any(is_primary) {
                topology.primary_plane(caller, object)?;
            }
            let list = values.into_iter().map(|(property, _)| property);
            topology.properties.insert(object, list.collect());
        }
        Ok(topology)
    }

    /// A primary plane belongs to the first CRTC that it can be on and that has none.
    fn primary_plane(&mut self, caller: &Caller<'_>, plane_id: u32) -> Result<(), CallError> {
        let cmd = ioctl::MODE_GETPLANE;
        let get = drm_mode_get_plane {
            plane_id,
            ..Default::default()
        };
        let answer = caller.call(cmd, payload(cmd, &get, &[]))?;
        let possible = fixed_part::<drm_mode_get_plane>(cmd, &answer).possible_crtcs;
        let crtcs = self.crtcs.iter().enumerate().take(32);
        let mut free = crtcs.filter(|(index, crtc)| {
            possible >> index & 1 == 1 && !self.primary.contains_key(*crtc)
        });
        if let Some((_, crtc)) = free.next() {
            self.primary.insert(*crtc, plane_id);
        }
        Ok(())
    }

    /// All objects.
    pub fn objects(&self) -> Vec<u32> {
        [&self.crtcs[..], &self.connectors, &self.planes].concat()
    }

    /// Whether the driver listed anything.
    pub fn is_empty(&self) -> bool {
        self.crtcs.is_empty() && self.connectors.is_empty() && self.planes.is_empty()
    }

    /// What a property's value is.
    pub fn kind(&self, property: u32) -> PropertyKind {
        match self.names.get(&property) {
            Some((name, flags)) => match name.as_str() {
                "FB_ID" => PropertyKind::Framebuffer,
                "CRTC_ID" => PropertyKind::Crtc,
                "IN_FENCE_FD" => PropertyKind::InFence,
                "OUT_FENCE_PTR" => PropertyKind::OutFence,
                _ if flags & DRM_MODE_PROP_BLOB != 0 => PropertyKind::Blob,
                _ => PropertyKind::Plain,
            },
            None => PropertyKind::Plain,
        }
    }

    /// The name of a property, if it is known.
    pub fn name(&self, property: u32) -> &str {
        self.names.get(&property).map_or("", |(name, _)| name)
    }

    /// What was there and is not, or has changed, in words.
    pub fn missing(&self, now: &Topology) -> Vec<String> {
        let mut lost = Vec::new();
        for (kind, before, now) in [
            ("CRTC", &self.crtcs, &now.crtcs),
            ("connector", &self.connectors, &now.connectors),
            ("plane", &self.planes, &now.planes),
        ] {
            for id in before.iter().filter(|id| !now.contains(id)) {
                lost.push(format!(
                    "{kind} {id}: the new driver process has none of this id"
                ));
            }
        }
        for (object, properties) in &self.properties {
            let known = now.properties.get(object);
            if known.is_some_and(|now| now != properties) {
                lost.push(format!(
                    "object {object}: its properties have other ids now"
                ));
            }
        }
        lost
    }
}

/// An object's properties with their values.
pub fn properties(caller: &Caller<'_>, object: u32) -> Result<Vec<(u32, u64)>, CallError> {
    let [ids, values] = caller.lists(
        ioctl::MODE_OBJ_GETPROPERTIES,
        [4, 8],
        |[count_props, _]| drm_mode_obj_get_properties {
            count_props,
            obj_id: object,
            // Zero is any type.
            obj_type: 0,
            ..Default::default()
        },
        |answer: &drm_mode_obj_get_properties| [answer.count_props; 2],
    )?;
    let values = elements::<u64>(&values);
    Ok(elements::<u32>(&ids).into_iter().zip(values).collect())
}

fn name(caller: &Caller<'_>, property: u32) -> Result<(String, u32), CallError> {
    let cmd = ioctl::MODE_GETPROPERTY;
    let argument = drm_mode_get_property {
        prop_id: property,
        ..Default::default()
    };
    let answer = caller.call(cmd, payload(cmd, &argument, &[]))?;
    let answer: drm_mode_get_property = fixed_part(cmd, &answer);
    Ok((from_fixed(&answer.name), answer.flags))
}
