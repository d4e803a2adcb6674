// SPDX-License-Identifier: MIT
//! The capability list of configuration space (PCI Local Bus 3.0, section 6.7).

use crate::config;
use crate::device::PciDevice;
use crate::error::{Error, Result};

/// Message-signalled interrupts.
pub const MSI: u8 = 0x05;
/// Vendor-specific.
pub const VENDOR: u8 = 0x09;
/// PCI Express.
pub const EXPRESS: u8 = 0x10;
/// Extended message-signalled interrupts.
pub const MSIX: u8 = 0x11;

/// One entry of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability {
    /// What it is, for example [`MSI`].
    pub id: u8,
    /// Where it stands in configuration space.
    pub offset: u8,
}

/// Walks the list of a copy of configuration space (at least the first 256 bytes).
///
/// # Errors
/// `Protocol` when the list runs in a circle, out of its area, or the copy is too short.
pub fn walk(space: &[u8]) -> Result<Vec<Capability>> {
    let broken = |why: String| Error::Protocol {
        what: "capability list".into(),
        why,
    };
    let byte = |at: usize| {
        space
            .get(at)
            .copied()
            .ok_or_else(|| broken(format!("configuration space ends at {at:#x}")))
    };
    let status = u16::from_le_bytes([byte(config::STATUS)?, byte(config::STATUS + 1)?]);
    let mut found: Vec<Capability> = Vec::new();
    if status & config::STATUS_CAPABILITIES == 0 {
        return Ok(found);
    }
    // The two low bits are reserved and to be masked.
    let mut at = byte(config::CAPABILITIES)? & !3;
    while at != 0 {
        if at < 0x40 {
            return Err(broken(format!("entry at {at:#x} lies in the header")));
        }
        if found.iter().any(|capability| capability.offset == at) {
            return Err(broken(format!("runs in a circle at {at:#x}")));
        }
        found.push(Capability {
            id: byte(at.into())?,
            offset: at,
        });
        at = byte(usize::from(at) + 1)? & !3;
    }
    Ok(found)
}

/// Reads a device's capability list.
///
/// # Errors
/// Those of [`PciDevice::config_read`] and [`walk`].
pub fn list(device: &dyn PciDevice) -> Result<Vec<Capability>> {
    let mut space = [0; 256];
    device.config_read(0, &mut space)?;
    walk(&space)
}

/// Where capability `id` stands, if the device has it.
///
/// # Errors
/// As [`list`].
pub fn find(device: &dyn PciDevice, id: u8) -> Result<Option<u8>> {
    Ok(list(device)?
        .into_iter()
        .find(|found| found.id == id)
        .map(|found| found.offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn space(entries: &[(usize, u8, u8)]) -> [u8; 256] {
        let mut space = [0; 256];
        space[config::STATUS] = 0x10;
        space[config::CAPABILITIES] = entries.first().map_or(0, |entry| entry.0 as u8);
        for &(at, id, next) in entries {
            space[at] = id;
            space[at + 1] = next;
        }
        space
    }

    #[test]
    fn walks_to_the_end() {
        let space = space(&[(0x80, EXPRESS, 0x43), (0x40, MSI, 0)]);
        let found: Vec<_> = walk(&space)
            .unwrap()
            .iter()
            .map(|c| (c.id, c.offset))
            .collect();
        assert_eq!(found, [(EXPRESS, 0x80), (MSI, 0x40)]);
    }

    #[test]
    fn circles_and_strays_are_refused() {
        assert!(walk(&space(&[(0x80, EXPRESS, 0x40), (0x40, MSI, 0x80)])).is_err());
        assert!(walk(&space(&[(0x80, EXPRESS, 0x80)])).is_err());
        assert!(walk(&space(&[(0x80, EXPRESS, 0x10)])).is_err());
        assert!(walk(&space(&[(0x80, EXPRESS, 0)])[..0x81]).is_err());
        let mut none = space(&[(0x80, EXPRESS, 0x80)]);
        none[config::STATUS] = 0;
        assert_eq!(walk(&none).unwrap(), []);
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
            if let Ok(found) = walk(&bytes) {
                prop_assert!(found.len() <= 48);
            }
        }
    }
}
