// SPDX-License-Identifier: MIT
//! What the daemon tells about a device: enough for the files that programs look for in sysfs.

use serde::{Deserialize, Serialize};

/// One device, a PCI function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceEntry {
    /// `0000:00:02.0`.
    pub address: String,
    /// The id of who made it.
    pub vendor: u16,
    /// The maker's id for it.
    pub device: u16,
    /// The subsystem's vendor.
    pub subsystem_vendor: u16,
    /// The subsystem's id.
    pub subsystem_device: u16,
    /// Revision.
    pub revision: u8,
    /// Class, subclass and programming interface: 24 bits.
    pub class: u32,
    /// Configuration space from its start, 64 bytes or more.
    pub config: Vec<u8>,
    /// The interrupt's number, or zero.
    pub irq: u32,
    /// BARs 0 to 5, then the ROM; missing ones are empty.
    pub resources: Vec<Resource>,
    /// The driver's name.
    pub driver: String,
    /// Its nodes.
    pub nodes: Vec<Node>,
    /// Its connectors.
    pub connectors: Vec<Connector>,
}

/// A range of addresses, as a line of sysfs's `resource`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// First address.
    pub start: u64,
    /// Last address.
    pub end: u64,
    /// `IORESOURCE_*` of `linux/ioport.h`.
    pub flags: u64,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    /// `card0` or `renderD128`.
    pub name: String,
    /// Minor number under DRM's major, 226.
    pub minor: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

/// A connector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Connector {
    /// Whose it is: `card0`.
    pub card: String,
    /// `Virtual-1`.
    pub name: String,
    /// The connector's object id.
    pub id: u32,
    /// `connected`, `disconnected` or `unknown`.
    pub status: String,
    /// Whether a CRTC drives it.
    pub enabled: bool,
    /// `On`, `Standby`, `Suspend` or `Off`; nothing is `On`.
    pub dpms: String,
    /// The modes' names, the preferred one first.
    pub modes: Vec<String>,
    /// The EDID, or nothing.
    pub edid: Vec<u8>,
}

impl DeviceEntry {
    /// The string that modules are found by.
    pub fn modalias(&self) -> String {
        let [_, base, sub, interface] = self.class.to_be_bytes();
        format!(
            "pci:v{:08X}d{:08X}sv{:08X}sd{:08X}bc{base:02X}sc{sub:02X}i{interface:02X}",
            self.vendor, self.device, self.subsystem_vendor, self.subsystem_device
        )
    }

    /// Whether names can be used as parts of paths: they come from outside.
    pub fn is_sound(&self) -> bool {
        let plain = |name: &str| {
            !name.is_empty()
                && !name.starts_with('.')
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte))
        };
        plain(&self.address)
            && self.address.len() >= 7
            && (self.driver.is_empty() || plain(&self.driver))
            && self.nodes.iter().all(|node| plain(&node.name))
            && self
                .connectors
                .iter()
                .all(|connector| plain(&connector.card) && plain(&connector.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modalias_is_linux_s() {
        let device = DeviceEntry {
            vendor: 0x1234,
            device: 0x1111,
            subsystem_vendor: 0x1af4,
            subsystem_device: 0x1100,
            class: 0x038000,
            ..DeviceEntry::default()
        };
        let expected = "pci:v00001234d00001111sv00001AF4sd00001100bc03sc80i00";
        assert_eq!(device.modalias(), expected);
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let mut device = DeviceEntry {
            address: "0000:00:02.0".into(),
            nodes: vec![Node {
                name: "card0".into(),
                ..Node::default()
            }],
            ..DeviceEntry::default()
        };
        assert!(device.is_sound());
        for name in ["../card0", "", ".", "a/b", "a\0b"] {
            device.nodes[0].name = name.into();
            assert!(!device.is_sound(), "{name:?}");
        }
    }
}
