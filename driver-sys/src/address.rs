// SPDX-License-Identifier: MIT
//! Where a PCI function is: domain, bus, device, function.

use std::fmt;
use std::str::FromStr;

/// Address of one PCI function, written as `0000:00:02.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PciAddress {
    domain: u32,
    bus: u8,
    device: u8,
    function: u8,
}

impl PciAddress {
    /// Makes an address; `None` when the device is above 31 or the function above 7.
    pub fn new(domain: u32, bus: u8, device: u8, function: u8) -> Option<Self> {
        (device < 32 && function < 8).then_some(Self {
            domain,
            bus,
            device,
            function,
        })
    }

    /// PCI domain (segment group); Linux gives some bridges domains past 16 bits.
    pub fn domain(self) -> u32 {
        self.domain
    }

    /// Bus number within the domain.
    pub fn bus(self) -> u8 {
        self.bus
    }

    /// Device number on the bus, 0 to 31.
    pub fn device(self) -> u8 {
        self.device
    }

    /// Function number of the device, 0 to 7.
    pub fn function(self) -> u8 {
        self.function
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:04x}:{:02x}:{:02x}.{}",
            self.domain, self.bus, self.device, self.function
        )
    }
}

/// A text that is not a PCI address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a PCI address; write it as 0000:00:02.0")]
pub struct ParseAddressError(String);

fn hex(text: &str, min: usize, max: usize) -> Option<u32> {
    let digits = text.bytes().all(|b| b.is_ascii_hexdigit());
    ((min..=max).contains(&text.len()) && digits)
        .then(|| u32::from_str_radix(text, 16).ok())
        .flatten()
}

impl FromStr for PciAddress {
    type Err = ParseAddressError;

    /// Reads `0000:00:02.0`, or `00:02.0` for domain 0.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (rest, function) = text.split_once('.')?;
            let (rest, device) = rest.rsplit_once(':')?;
            let (domain, bus) = match rest.split_once(':') {
                Some((domain, bus)) => (hex(domain, 4, 8)?, bus),
                None => (0, rest),
            };
            let byte = |text, digits| u8::try_from(hex(text, digits, digits)?).ok();
            Self::new(domain, byte(bus, 2)?, byte(device, 2)?, byte(function, 1)?)
        };
        parse().ok_or_else(|| ParseAddressError(text.chars().take(64).collect()))
    }
}

impl serde::Serialize for PciAddress {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for PciAddress {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn accepts_and_refuses() {
        for (text, want) in [
            ("0000:00:02.0", Some("0000:00:02.0")),
            ("00:1f.7", Some("0000:00:1f.7")),
            ("10000:e1:00.0", Some("10000:e1:00.0")),
            ("0000:00:20.0", None),
            ("0000:00:02.8", None),
            ("0000:00:2.0", None),
            ("000:00:02.0", None),
            ("0000:00:02", None),
            ("0000:00:+2.0", None),
            ("0000:00:02.0 ", None),
            ("a:0000:00:02.0", None),
            ("", None),
        ] {
            let got = text.parse::<PciAddress>().ok().map(|a| a.to_string());
            assert_eq!(got.as_deref(), want, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn round_trips(domain: u32, bus: u8, device in 0u8..32, function in 0u8..8) {
            let address = PciAddress::new(domain, bus, device, function).unwrap();
            prop_assert_eq!(address.to_string().parse::<PciAddress>().unwrap(), address);
        }

        #[test]
        fn never_panics(text in "\\PC*") {
            let _ = text.parse::<PciAddress>();
        }
    }
}
