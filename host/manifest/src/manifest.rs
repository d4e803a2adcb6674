// SPDX-License-Identifier: MIT
//! What a driver's manifest holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::access::Access;
use crate::policy::Policy;
use crate::rule::Rule;

/// What a driver offers; for people who read a list, nothing depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Kind {
    /// Card and render nodes.
    Display,
    /// Event nodes.
    Input,
    /// Something else.
    #[default]
    Other,
}

/// One driver: its library, its devices, and how it is to be run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "RawManifest")]
pub struct Manifest {
    /// The driver's name: letters, digits, `_`, `-` and `.`, at most 64.
    pub driver: String,
    /// The shared object: a file name beside the manifest, or an absolute path.
    pub library: String,
    /// What it offers.
    pub kind: Kind,
    /// Free text for people.
    pub notes: String,
    /// Decides between drivers whose rules match equally specifically; the higher one wins.
    pub priority: i32,
    /// Which devices it drives: those that fit any of the rules. Without rules, only devices
    /// that an override gives it.
    pub matches: Vec<Rule>,
    /// The driver's parameters by name.
    pub params: BTreeMap<String, String>,
    /// Firmware files it may ask for, relative to the firmware directory.
    pub firmware: Vec<String>,
    /// How crashes and hangs are treated.
    pub policy: Policy,
    /// Who may open its nodes.
    pub access: Access,
}

/// What is parsed before it is known to make sense.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename = "Manifest")]
struct RawManifest {
    driver: String,
    library: String,
    #[serde(default)]
    kind: Kind,
    #[serde(default)]
    notes: String,
    #[serde(default)]
    priority: i32,
    #[serde(default)]
    matches: Vec<Rule>,
    #[serde(default)]
    params: BTreeMap<String, String>,
    #[serde(default)]
    firmware: Vec<String>,
    #[serde(default)]
    policy: Policy,
    #[serde(default)]
    access: Access,
}

/// A manifest or override with a value that can't be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadManifest {
    /// Not a name.
    #[error("driver name `{0}`: use 1 to 64 letters, digits, `_`, `-` and `.`")]
    Driver(String),
    /// Neither file name nor absolute path.
    #[error("library `{0}`: use a file name, or an absolute path without `..`")]
    Library(String),
    /// A path that leaves the firmware directory.
    #[error("firmware `{0}`: use a path relative to the firmware directory, without `..`")]
    Firmware(String),
    /// A name that can't be given on a line `name=value`, or a NUL byte.
    #[error(
        "parameter `{0}`: use a name without `=`, spaces and control characters, and a value without NUL"
    )]
    Param(String),
}

/// The first characters of what was given, for messages.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Whether `name` can be a driver's name.
pub(crate) fn check_driver(name: &str) -> Result<(), BadManifest> {
    let ok = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if (1..=64).contains(&name.len()) && name.chars().all(ok) {
        Ok(())
    } else {
        Err(BadManifest::Driver(shown(name)))
    }
}

/// Whether `library` is a file name or an absolute path.
pub(crate) fn check_library(library: &str) -> Result<(), BadManifest> {
    let plain = library
        .strip_prefix('/')
        .map_or_else(|| !library.contains('/') && clean_path(library), clean_path);
    if plain {
        Ok(())
    } else {
        Err(BadManifest::Library(shown(library)))
    }
}

/// Whether a relative path stays below its directory and has no NUL byte.
fn clean_path(path: &str) -> bool {
    !path.contains('\0') && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// Whether parameters can be handed to a driver.
pub(crate) fn check_params(params: &BTreeMap<String, String>) -> Result<(), BadManifest> {
    let bad = |c: char| c == '=' || c.is_whitespace() || c.is_control();
    match params
        .iter()
        .find(|(k, v)| k.is_empty() || k.contains(bad) || v.contains('\0'))
    {
        Some((name, _)) => Err(BadManifest::Param(shown(name))),
        None => Ok(()),
    }
}

impl TryFrom<RawManifest> for Manifest {
    type Error = BadManifest;

    fn try_from(raw: RawManifest) -> Result<Self, BadManifest> {
        let RawManifest {
            driver,
            library,
            kind,
            notes,
            priority,
            matches,
            params,
            ..
        } = raw;
        let RawManifest {
            firmware,
            policy,
            access,
            ..
        } = raw;
        check_driver(&driver)?;
        check_library(&library)?;
        check_params(&params)?;
        if let Some(name) = firmware.iter().find(|name| !clean_path(name)) {
            return Err(BadManifest::Firmware(shown(name)));
        }
        Ok(Self {
            driver,
            library,
            kind,
            notes,
            priority,
            matches,
            params,
            firmware,
            policy,
            access,
        })
    }
}
