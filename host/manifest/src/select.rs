// SPDX-License-Identifier: MIT
//! Which drivers to try for a device, and in which order.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::device::Device;
use crate::index::Hit;
use crate::manifest::Manifest;
use crate::overrides::Override;
use crate::rule::Specificity;
use crate::store::{Loaded, Store};

/// A driver to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The manifest and its file.
    pub manifest: Arc<Loaded<Manifest>>,
    /// The library to load.
    pub library: PathBuf,
    /// The manifest's parameters with the overrides' over them.
    pub params: BTreeMap<String, String>,
    /// The rule that matched, by its number in the manifest from 0, and how specifically; `None`
    /// if an override chose the driver.
    pub rule: Option<(usize, Specificity)>,
}

impl Candidate {
    /// The driver's name.
    #[must_use]
    pub fn driver(&self) -> &str {
        &self.manifest.item.driver
    }
}

/// The answer for a device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Drivers to try, the first one first; the next when one is quarantined.
    pub candidates: Vec<Candidate>,
    /// What kept other drivers out.
    pub errors: Vec<MatchError>,
    /// The override file that disables the device.
    pub disabled_by: Option<PathBuf>,
    /// The override files that apply, in their order.
    pub overrides: Vec<PathBuf>,
}

/// What keeps drivers out of a selection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    /// Manifests match equally specifically and have the same priority.
    #[error("{} match the device equally well: none of them is used; give one a higher `priority`", listed(.0))]
    Tie(Vec<PathBuf>),
    /// An override names a driver that no manifest has.
    #[error("{}: driver `{driver}` has no manifest", .file.display())]
    UnknownDriver {
        /// The override.
        file: PathBuf,
        /// The name it gives.
        driver: String,
    },
    /// An override names a driver that several manifests have.
    #[error("{}: driver `{driver}` has several manifests: {}", .file.display(), listed(.manifests))]
    AmbiguousDriver {
        /// The override.
        file: PathBuf,
        /// The name it gives.
        driver: String,
        /// The manifests of this name.
        manifests: Vec<PathBuf>,
    },
}

/// Paths joined by "and".
fn listed(paths: &[PathBuf]) -> String {
    paths
        .iter()
        .map(|p| p.display().to_string())
        .collect::<Vec<_>>()
        .join(" and ")
}

/// What the overrides of a device come to.
#[derive(Default)]
struct Wish<'a> {
    driver: Option<(&'a str, &'a Path)>,
    library: Option<&'a Path>,
    params: BTreeMap<&'a str, &'a str>,
    disabled_by: Option<&'a Path>,
}

impl<'a> Wish<'a> {
    /// Lays a later override over what earlier ones said.
    fn add(&mut self, file: &'a Loaded<Override>) {
        let over = &file.item;
        if let Some(driver) = &over.driver {
            if self.driver.is_none_or(|(earlier, _)| earlier != driver) {
                // They were meant for another driver.
                self.library = None;
                self.params.clear();
            }
            self.driver = Some((driver, &file.path));
        }
        self.library = file.library.as_deref().or(self.library);
        self.params
            .extend(over.params.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        match over.disabled {
            Some(true) => self.disabled_by = Some(&file.path),
            Some(false) => self.disabled_by = None,
            None => {}
        }
    }
}

impl Store {
    /// The drivers to try for `device`: the most specific match first, then the highest priority.
    /// Manifests that are equal in both are left out and reported. Parameters of overrides go to
    /// every candidate; an override's library to the first one.
    #[must_use]
    pub fn select(&self, device: &Device) -> Selection {
        let applied = || self.overrides().iter().filter(|o| o.item.applies(device));
        let mut wish = Wish::default();
        applied().for_each(|o| wish.add(o));
        let mut selection = Selection {
            overrides: applied().map(|o| o.path.clone()).collect(),
            disabled_by: wish.disabled_by.map(Path::to_owned),
            ..Selection::default()
        };
        if selection.disabled_by.is_some() {
            return selection;
        }
        let chosen = match wish.driver {
            Some((driver, file)) => self.named(driver, file, &mut selection.errors),
            None => self.ranked(device, &mut selection.errors),
        };
        for (manifest, rule) in chosen {
            let loaded = &self.manifests()[manifest];
            let mut params = loaded.item.params.clone();
            params.extend(
                wish.params
                    .iter()
                    .map(|(k, v)| ((*k).to_owned(), (*v).to_owned())),
            );
            let library = wish.library.take().or(loaded.library.as_deref());
            selection.candidates.push(Candidate {
                manifest: Arc::clone(loaded),
                library: library.map(Path::to_owned).unwrap_or_default(),
                params,
                rule,
            });
        }
        selection
    }

    /// The manifest of the driver that an override names.
    fn named(&self, driver: &str, file: &Path, errors: &mut Vec<MatchError>) -> Vec<Chosen> {
        let (file, driver_name) = (file.to_owned(), driver.to_owned());
        match self.index.named(driver) {
            [] => errors.push(MatchError::UnknownDriver {
                file,
                driver: driver_name,
            }),
            &[manifest] => return vec![(manifest, None)],
            several => errors.push(MatchError::AmbiguousDriver {
                file,
                driver: driver_name,
                manifests: several
                    .iter()
                    .map(|&m| self.manifests()[m].path.clone())
                    .collect(),
            }),
        }
        Vec::new()
    }

    /// The manifests that match, in order, without ties.
    fn ranked(&self, device: &Device, errors: &mut Vec<MatchError>) -> Vec<Chosen> {
        let manifests = self.manifests();
        let rank = |h: &Hit| (h.specificity, manifests[h.manifest].item.priority);
        let mut hits = self.index.hits(manifests, &device.ids);
        hits.sort_by_key(|h| Reverse(rank(h)));
        let mut chosen = Vec::new();
        for equal in hits.chunk_by(|a, b| rank(a) == rank(b)) {
            match equal {
                [hit] => chosen.push((hit.manifest, Some((hit.rule, hit.specificity)))),
                tied => errors.push(MatchError::Tie(
                    tied.iter()
                        .map(|h| manifests[h.manifest].path.clone())
                        .collect(),
                )),
            }
        }
        chosen
    }
}

/// A manifest's number, and its rule that matched.
type Chosen = (usize, Option<(usize, Specificity)>);
