// SPDX-License-Identifier: MIT
//! Which driver a device gets.

use crate::bus::Found;
use drvhost_manifest::{Candidate, Device, Store};

/// What the manifests say about a device.
#[derive(Debug, PartialEq, Eq)]
pub enum Choice {
    /// Drivers to try, in order; never empty.
    Drivers(Vec<Candidate>),
    /// An override disables the device.
    Disabled(String),
    /// There is none; why.
    None(String),
}

/// A found function as the manifests know it.
pub fn manifest_device(found: &Found) -> Device {
    Device {
        address: found.address,
        ids: found.ids,
    }
}

/// Chooses; `wanted` is the driver that a person asked for.
pub fn choose(store: &Store, found: &Found, wanted: Option<&str>) -> Choice {
    let selection = store.select(&manifest_device(found));
    for error in &selection.errors {
        log::warn!("{}: {error}", found.address);
    }
    if let Some(wanted) = wanted {
        return by_name(store, &selection.candidates, wanted);
    }
    if let Some(file) = selection.disabled_by {
        return Choice::Disabled(format!("disabled by {}", file.display()));
    }
    match (selection.candidates, selection.errors.first()) {
        (list, _) if !list.is_empty() => Choice::Drivers(list),
        (_, Some(error)) => Choice::None(error.to_string()),
        _ => Choice::None("no manifest matches".into()),
    }
}

fn by_name(store: &Store, candidates: &[Candidate], wanted: &str) -> Choice {
    if let Some(candidate) = candidates.iter().find(|c| c.driver() == wanted) {
        return Choice::Drivers(vec![candidate.clone()]);
    }
    match store.manifests().iter().find(|m| m.item.driver == wanted) {
        Some(manifest) => Choice::Drivers(vec![Candidate {
            manifest: manifest.clone(),
            library: manifest.library.clone().unwrap_or_default(),
            params: manifest.item.params.clone(),
            rule: None,
        }]),
        None => Choice::None(format!("no manifest has a driver `{wanted}`")),
    }
}
