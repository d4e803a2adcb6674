// SPDX-License-Identifier: MIT
//! `/dev/dri`: our nodes alone, and udev's links to them by address.

use crate::device::DeviceEntry;
use crate::exec::ExecError;
use crate::tree::{self, Tree};
use std::path::Path;

/// DRM's major number.
pub const DRM_MAJOR: u32 = 226;

/// Builds it.
pub fn build(tree: &mut Tree, devices: &[DeviceEntry]) -> Result<(), ExecError> {
    let dri = Path::new("/dev/dri");
    tree.fresh(dri)?;
    let by_path = dri.join("by-path");
    for device in devices {
        for node in &device.nodes {
            let number = rustix::fs::makedev(DRM_MAJOR, node.minor);
            let path = dri.join(&node.name);
            tree::node(&path, number, node.mode, (node.uid, node.gid))?;
            let kind = if node.name.starts_with("render") {
                "render"
            } else {
                "card"
            };
            tree.directory(&by_path)?;
            let link = by_path.join(format!("pci-{}-{kind}", device.address));
            tree.link(&link, Path::new("..").join(&node.name))?;
        }
    }
    Ok(())
}
