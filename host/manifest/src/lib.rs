// SPDX-License-Identifier: MIT
//! Driver manifests in RON, overrides, and the matching of devices to drivers.
//!
//! A driver's shared object has a manifest beside it that says which PCI functions it drives and
//! how it is to be run; an administrator's override changes that for one device or model.
//! [`Store::load`] reads the directories, [`Store::select`] answers which drivers to try for a
//! device and in which order, [`Store::explain`] why.
//!
//! Read in this order:
//!
//! | module | subject |
//! |---|---|
//! | [`device`] | what a PCI function says it is, and where it is |
//! | [`ids`], [`rule`] | sets of ids, and a rule that a device fits or not |
//! | [`manifest`], [`policy`], [`access`] | what a manifest holds |
//! | [`overrides`] | what an override holds |
//! | [`document`], [`emit`] | text to manifest, and back |
//! | [`problem`], [`read`] | what can be wrong with a file; reading one with care |
//! | [`store`], [`mod@diff`] | the directories as a whole, and what changed in them |
//! | [`select`], [`explain`] | matching, and why; a private index makes it quick |
//! | [`mod@check`] | one file alone, for `drvhost manifest check` |

pub mod access;
pub mod check;
pub mod device;
pub mod diff;
pub mod document;
pub mod emit;
pub mod explain;
pub mod ids;
mod index;
pub mod manifest;
pub mod overrides;
pub mod policy;
pub mod problem;
pub mod read;
pub mod rule;
pub mod select;
pub mod store;

pub use access::{Access, NodeAccess};
pub use check::{Checked, check};
pub use device::Device;
pub use diff::{Change, ChangeKind, Diff, diff};
pub use document::Document;
pub use driver_sys::{PciAddress, PciIds};
pub use explain::Explanation;
pub use ids::{IdRange, IdSet};
pub use manifest::{Kind, Manifest};
pub use overrides::Override;
pub use policy::{Policy, Restart};
pub use problem::Problem;
pub use rule::{ClassMatch, Mismatch, Rule, Specificity};
pub use select::{Candidate, MatchError, Selection};
pub use store::{DEFAULT_DIRS, Loaded, Store};
