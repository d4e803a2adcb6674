// SPDX-License-Identifier: MIT
//! What an administrator's override holds: another driver, library or parameters for some devices,
//! or none at all.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::device::Device;
use crate::manifest::{BadManifest, check_driver, check_library, check_params};
use crate::rule::Rule;
use driver_sys::PciAddress;

/// Applies to the devices that fit `address` and `ids`, whichever are given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "RawOverride")]
pub struct Override {
    /// The one device at this address.
    pub address: Option<PciAddress>,
    /// Devices with these ids.
    pub ids: Option<Rule>,
    /// The driver to use, by the name in its manifest; no other one is tried then.
    pub driver: Option<String>,
    /// The library to load instead of the manifest's (the first candidate's, if no `driver` is
    /// given): a file name in one of the directories, or an absolute path.
    pub library: Option<String>,
    /// Parameters to set over the manifest's.
    pub params: BTreeMap<String, String>,
    /// Whether the devices are left without a driver.
    pub disabled: Option<bool>,
}

/// What is parsed before it is known to make sense.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename = "Override")]
struct RawOverride {
    address: Option<PciAddress>,
    ids: Option<Rule>,
    driver: Option<String>,
    library: Option<String>,
    params: BTreeMap<String, String>,
    disabled: Option<bool>,
}

/// An override that can't be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadOverride {
    /// No device is selected.
    #[error("an override selects devices by `address` or `ids`: give one of them")]
    NoSelection,
    /// Nothing is changed.
    #[error("an override changes something: give `driver`, `library`, `params` or `disabled`")]
    NoChange,
    /// A value that a manifest couldn't have either.
    #[error(transparent)]
    Value(#[from] BadManifest),
}

impl TryFrom<RawOverride> for Override {
    type Error = BadOverride;

    fn try_from(raw: RawOverride) -> Result<Self, BadOverride> {
        let RawOverride {
            address,
            ids,
            driver,
            library,
            params,
            disabled,
        } = raw;
        if address.is_none() && ids.is_none() {
            return Err(BadOverride::NoSelection);
        }
        if driver.is_none() && library.is_none() && params.is_empty() && disabled.is_none() {
            return Err(BadOverride::NoChange);
        }
        driver.as_deref().map_or(Ok(()), check_driver)?;
        library.as_deref().map_or(Ok(()), check_library)?;
        check_params(&params)?;
        Ok(Self {
            address,
            ids,
            driver,
            library,
            params,
            disabled,
        })
    }
}

impl Override {
    /// Whether it applies to `device`.
    #[must_use]
    pub fn applies(&self, device: &Device) -> bool {
        self.address.is_none_or(|a| a == device.address)
            && self
                .ids
                .as_ref()
                .is_none_or(|rule| rule.specificity(&device.ids).is_some())
    }
}
