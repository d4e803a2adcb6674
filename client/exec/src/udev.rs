// SPDX-License-Identifier: MIT
//! udev's database: without an entry there, libudev calls a device uninitialized, and compositors
//! pass it over.

use crate::dev::DRM_MAJOR;
use crate::device::DeviceEntry;
use crate::exec::ExecError;
use crate::tree::Tree;
use std::path::Path;

/// Builds the entries.
pub fn build(tree: &mut Tree, devices: &[DeviceEntry]) -> Result<(), ExecError> {
    let data = Path::new("/run/udev/data");
    tree.directory_of_copies(data)?;
    for device in devices {
        let address = &device.address;
        let tag = address.replace([':', '.'], "_");
        // When udev saw it first, in microseconds since the start; then properties.
        let path = format!("I:1\nE:ID_PATH=pci-{address}\nE:ID_PATH_TAG=pci-{tag}\n");
        tree.file(
            &data.join(format!("+pci:{address}")),
            format!("{path}V:1\n"),
        )?;
        for node in &device.nodes {
            let seat = format!("{path}E:ID_FOR_SEAT=drm-pci-{tag}\n");
            let tags = "G:seat\nG:master-of-seat\nG:uaccess\nQ:seat\nQ:master-of-seat\nQ:uaccess\n";
            let file = data.join(format!("c{DRM_MAJOR}:{}", node.minor));
            tree.file(&file, format!("{seat}{tags}V:1\n"))?;
        }
        for output in &device.connectors {
            let file = data.join(format!("+drm:{}-{}", output.card, output.name));
            tree.file(&file, format!("{path}V:1\n"))?;
        }
    }
    Ok(())
}
