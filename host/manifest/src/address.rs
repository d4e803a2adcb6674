// SPDX-License-Identifier: MIT
//! A PCI function's address, as people and `lspci -D` write it: `0000:00:02.0`.
//!
//! This crate has an address type of its own so that reading manifests needs no hardware crate.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Domain (segment), bus, device (slot) and function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    /// The PCI segment; more than 16 bits because Linux numbers VMD's domains from 0x10000 up.
    pub domain: u32,
    /// The bus, 0 to 255.
    pub bus: u8,
    /// The device (slot) on the bus, 0 to 31.
    pub device: u8,
    /// The function of the device, 0 to 7.
    pub function: u8,
}

/// A text that is no PCI address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no PCI address: write domain:bus:device.function in hex, such as 0000:00:02.0")]
pub struct BadAddress(String);

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        parse(text).ok_or_else(|| BadAddress(text.chars().take(40).collect()))
    }
}

/// The four numbers; `None` where one is missing, too long or too large.
fn parse(text: &str) -> Option<Address> {
    let (domain, rest) = text.split_once(':')?;
    let (bus, rest) = rest.split_once(':')?;
    let (device, function) = rest.split_once('.')?;
    let address = Address {
        domain: hex(domain, 4..=8)?,
        bus: u8::try_from(hex(bus, 2..=2)?).ok()?,
        device: u8::try_from(hex(device, 2..=2)?).ok()?,
        function: u8::try_from(hex(function, 1..=1)?).ok()?,
    };
    (address.device < 32 && address.function < 8).then_some(address)
}

/// Hex digits only: `from_str_radix` alone would take a sign.
fn hex(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<u32> {
    let plain = text.bytes().all(|b| b.is_ascii_hexdigit());
    (plain && digits.contains(&text.len())).then(|| u32::from_str_radix(text, 16).ok())?
}

impl TryFrom<String> for Address {
    type Error = BadAddress;

    fn try_from(text: String) -> Result<Self, BadAddress> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            domain,
            bus,
            device,
            function,
        } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function:x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_addresses() {
        for text in ["0000:00:02.0", "10000:e1:1f.7", "ffffffff:ff:00.0"] {
            assert_eq!(text.parse::<Address>().expect(text).to_string(), text);
        }
        for text in [
            "",
            "00:02.0",
            "0000:00:20.0",
            "0000:00:02.8",
            "+000:00:02.0",
            "0000:000:02.0",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
