// SPDX-License-Identifier: MIT
//! What `drvhost exec` shows to a program: each device as programs find it in sysfs.

use crate::supervisor::Device;
use driver_sys::{BarInfo, BarKind};
use drvhost_exec::{Connector, DeviceEntry, Node, Resource};

// `linux/ioport.h`.
const IORESOURCE_IO: u64 = 0x100;
const IORESOURCE_MEM: u64 = 0x200;
const IORESOURCE_PREFETCH: u64 = 0x2000;
const IORESOURCE_SIZEALIGN: u64 = 0x4_0000;
const IORESOURCE_MEM_64: u64 = 0x10_0000;

/// Where BAR 0 is in configuration space (PCI 3.0, 6.1).
const BAR_0: usize = 0x10;

/// A device; `None` while it has no nodes.
pub fn entry(device: &Device) -> Option<DeviceEntry> {
    let front = device.front()?;
    let nodes = front.describe().nodes.into_iter();
    let nodes: Vec<Node> = nodes
        .map(|node| Node {
            // `card1` is minor 1, `renderD129` minor 129.
            minor: node
                .name
                .trim_start_matches(|c: char| !c.is_ascii_digit())
                .parse()
                .unwrap_or(0),
            name: node.name,
            uid: node.uid,
            gid: node.gid,
            mode: node.mode,
        })
        .collect();
    let card = nodes.iter().find(|node| node.name.starts_with("card"));
    let connectors = card.map_or_else(Vec::new, |card| {
        let connectors = front.connectors().into_iter();
        let of_card = connectors.map(|connector| Connector {
            card: card.name.clone(),
            name: connector.name,
            id: connector.id,
            status: connector.status.into(),
            enabled: connector.enabled,
            dpms: connector.dpms.into(),
            modes: connector.modes,
            edid: connector.edid,
        });
        of_card.collect()
    });
    let (ids, config) = (&device.found.ids, &device.found.config);
    let bars = device.found.bars.iter().enumerate();
    Some(DeviceEntry {
        address: device.found.address.to_string(),
        vendor: ids.vendor,
        device: ids.device,
        subsystem_vendor: ids.subvendor,
        subsystem_device: ids.subdevice,
        revision: ids.revision,
        class: ids.class,
        config: config.clone(),
        resources: bars
            .map(|(bar, info)| resource(config, bar, info))
            .collect(),
        driver: device.report().driver.unwrap_or_default(),
        nodes,
        connectors,
        ..DeviceEntry::default()
    })
}

/// A BAR as a line of sysfs's `resource`: its addresses, and flags of which the low four bits are
/// those of the register.
fn resource(config: &[u8], bar: usize, info: &BarInfo) -> Resource {
    let register = |index: usize| {
        let at = BAR_0 + 4 * index;
        let bytes = config
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, |bytes| u64::from(u32::from_le_bytes(bytes)))
    };
    let low = register(bar);
    let (start, flags) = match info.kind {
        BarKind::None => return Resource::default(),
        BarKind::Port => (low & !3, low & 3 | IORESOURCE_IO),
        BarKind::Memory { prefetchable, wide } => {
            let high = if wide { register(bar + 1) << 32 } else { 0 };
            let prefetch = if prefetchable { IORESOURCE_PREFETCH } else { 0 };
            let width = if wide { IORESOURCE_MEM_64 } else { 0 };
            (
                high | low & !15,
                low & 15 | IORESOURCE_MEM | prefetch | width,
            )
        }
    };
    match info.size {
        0 => Resource::default(),
        size => Resource {
            start,
            end: start.saturating_add(size - 1),
            flags: flags | IORESOURCE_SIZEALIGN,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_linux_s() {
        let mut config = vec![0; 64];
        // The registers of QEMU's bochs-display on Linux, and a wide one.
        config[0x10..0x14].copy_from_slice(&0xfd00_0008u32.to_le_bytes());
        config[0x18..0x1c].copy_from_slice(&0xfebf_9000u32.to_le_bytes());
        config[0x1c..0x20].copy_from_slice(&0x0000_c001u32.to_le_bytes());
        config[0x20..0x24].copy_from_slice(&0x4000_000cu32.to_le_bytes());
        config[0x24..0x28].copy_from_slice(&0x0000_0001u32.to_le_bytes());
        let memory = |prefetchable, wide| BarKind::Memory { prefetchable, wide };
        let cases = [
            (0, memory(true, false), 16 << 20, (0xfd00_0000, 0x4_2208)),
            (1, BarKind::None, 0, (0, 0)),
            (2, memory(false, false), 4096, (0xfebf_9000, 0x4_0200)),
            (3, BarKind::Port, 32, (0xc000, 0x4_0101)),
            (4, memory(true, true), 1 << 30, (0x1_4000_0000, 0x14_220c)),
        ];
        for (bar, kind, size, (start, flags)) in cases {
            let info = BarInfo {
                kind,
                size,
                mappable: true,
            };
            let end = start + u64::max(size, 1) - 1;
            let expected = Resource { start, end, flags };
            assert_eq!(resource(&config, bar, &info), expected, "BAR {bar}");
        }
        let short = BarInfo {
            kind: memory(false, true),
            size: 4096,
            mappable: true,
        };
        assert_eq!(resource(&[], 5, &short).start, 0);
    }
}
