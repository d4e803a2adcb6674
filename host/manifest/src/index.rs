// SPDX-License-Identifier: MIT
//! Finds the rules that may fit a device without trying all of them.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use crate::ids::IdSet;
use crate::manifest::Manifest;
use crate::rule::{Rule, Specificity};
use crate::store::Loaded;
use driver_sys::PciIds;

/// Rules that name more pairs of vendor and device than this are not worth as many entries.
const MOST_PAIRS: usize = 4096;

/// A rule by the numbers of its manifest in the store and of itself in the manifest.
type Entry = (usize, usize);

/// Rules by what they name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    /// Rules of single vendors and devices.
    exact: HashMap<(u16, u16), Vec<Entry>>,
    /// Other rules of single vendors.
    vendor: HashMap<u16, Vec<Entry>>,
    /// Rules of classes and vendor ranges.
    rest: Vec<Entry>,
    /// Manifests by their driver's name.
    names: HashMap<String, Vec<usize>>,
}

/// A manifest that matches, by its best rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hit {
    /// The manifest's number in the store.
    pub manifest: usize,
    /// The rule's number in the manifest.
    pub rule: usize,
    /// How specific the match is.
    pub specificity: Specificity,
}

/// The ids of a set, if it has some and all are single.
fn singles(set: &IdSet) -> Option<impl Iterator<Item = u16>> {
    let ranges = set.ranges();
    (!ranges.is_empty() && ranges.iter().all(|r| r.is_one()))
        .then(|| ranges.iter().map(|r| r.first))
}

impl Index {
    pub(crate) fn new(manifests: &[Arc<Loaded<Manifest>>]) -> Self {
        let mut index = Self::default();
        for (m, loaded) in manifests.iter().enumerate() {
            index
                .names
                .entry(loaded.item.driver.clone())
                .or_default()
                .push(m);
            for (r, rule) in loaded.item.matches.iter().enumerate() {
                index.add(rule, (m, r));
            }
        }
        index
    }

    fn add(&mut self, rule: &Rule, entry: Entry) {
        let pairs = rule
            .vendor
            .ranges()
            .len()
            .saturating_mul(rule.device.ranges().len());
        let Some(vendors) = singles(&rule.vendor) else {
            self.rest.push(entry);
            return;
        };
        for vendor in vendors {
            match singles(&rule.device) {
                Some(devices) if pairs <= MOST_PAIRS => {
                    for device in devices {
                        self.exact.entry((vendor, device)).or_default().push(entry);
                    }
                }
                _ => self.vendor.entry(vendor).or_default().push(entry),
            }
        }
    }

    /// The manifests of a driver, by their numbers in the store.
    pub(crate) fn named(&self, driver: &str) -> &[usize] {
        self.names.get(driver).map_or(&[], Vec::as_slice)
    }

    /// The manifests that match, each once, in no particular order.
    pub(crate) fn hits(&self, all: &[Arc<Loaded<Manifest>>], ids: &PciIds) -> Vec<Hit> {
        let exact = self
            .exact
            .get(&(ids.vendor, ids.device))
            .into_iter()
            .flatten();
        let vendor = self.vendor.get(&ids.vendor).into_iter().flatten();
        let mut hits: Vec<Hit> = exact
            .chain(vendor)
            .chain(&self.rest)
            .filter_map(|&(manifest, rule)| {
                let specificity = all[manifest].item.matches[rule].specificity(ids)?;
                Some(Hit {
                    manifest,
                    rule,
                    specificity,
                })
            })
            .collect();
        hits.sort_by_key(|h| (h.manifest, Reverse(h.specificity), h.rule));
        hits.dedup_by_key(|h| h.manifest);
        hits
    }
}
