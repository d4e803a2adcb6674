// SPDX-License-Identifier: MIT
//! The entries of `/sys` that libdrm, libudev and lspci read, as Linux shows them for a device
//! with a DRM driver.

use crate::dev::DRM_MAJOR;
use crate::device::{Connector, DeviceEntry, Node, Resource};
use crate::exec::ExecError;
use crate::tree::Tree;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Lines of sysfs's `resource`: six BARs, the ROM, four SR-IOV and bridge windows and two more.
const RESOURCES: usize = 13;
const VGA: u32 = 0x0300;

/// Builds them.
pub fn build(tree: &mut Tree, devices: &[DeviceEntry]) -> Result<(), ExecError> {
    let (class, chars, bus) = (
        Path::new("/sys/class/drm"),
        Path::new("/sys/dev/char"),
        Path::new("/sys/bus/pci/devices"),
    );
    tree.fresh(class)?;
    tree.file(&class.join("version"), "drm 1.1.0 20060810\n")?;
    tree.directory(chars)?;
    forget_real_devices(chars)?;
    tree.directory(bus)?;
    let mut boot_vga = true;
    for device in devices {
        let dir = function(tree, device)?;
        let below_sys = dir.strip_prefix("/sys").unwrap_or(&dir).to_owned();
        tree.link(
            &bus.join(&device.address),
            Path::new("../../..").join(&below_sys),
        )?;
        if device.class >> 8 == VGA {
            let text = if boot_vga { "1\n" } else { "0\n" };
            tree.file(&dir.join("boot_vga"), text)?;
            boot_vga = false;
        }
        driver(tree, device, &dir)?;
        let minors = Path::new("../..").join(&below_sys).join("drm");
        for node in &device.nodes {
            minor(tree, &dir.join("drm"), node)?;
            let name = format!("{DRM_MAJOR}:{}", node.minor);
            tree.link(&chars.join(name), minors.join(&node.name))?;
            tree.link(&class.join(&node.name), minors.join(&node.name))?;
        }
        for output in &device.connectors {
            let name = format!("{}-{}", output.card, output.name);
            connector(
                tree,
                &dir.join("drm").join(&output.card).join(&name),
                output,
            )?;
            tree.link(&class.join(&name), minors.join(&output.card).join(&name))?;
        }
    }
    Ok(())
}

/// Real DRM devices are not in the view: `/dev/dri` does not have them either.
fn forget_real_devices(chars: &Path) -> Result<(), ExecError> {
    let failed = |error| ExecError::View {
        what: "listing",
        path: chars.into(),
        error,
    };
    for entry in std::fs::read_dir(chars).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b"226:") {
            std::fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}

/// The function's directory.
fn function(tree: &mut Tree, device: &DeviceEntry) -> Result<PathBuf, ExecError> {
    let root = device.address.get(..7).unwrap_or("0000:00");
    let dir = PathBuf::from(format!("/sys/devices/pci{root}")).join(&device.address);
    tree.fresh(&dir)?;
    let values = [
        ("vendor", format!("{:#06x}\n", device.vendor)),
        ("device", format!("{:#06x}\n", device.device)),
        (
            "subsystem_vendor",
            format!("{:#06x}\n", device.subsystem_vendor),
        ),
        (
            "subsystem_device",
            format!("{:#06x}\n", device.subsystem_device),
        ),
        ("revision", format!("{:#04x}\n", device.revision)),
        ("class", format!("{:#08x}\n", device.class)),
        ("irq", format!("{}\n", device.irq)),
        ("modalias", format!("{}\n", device.modalias())),
        ("resource", resources(&device.resources)),
        ("uevent", function_uevent(device)),
        ("enable", "1\n".into()),
        ("numa_node", "-1\n".into()),
    ];
    for (name, value) in values {
        tree.file(&dir.join(name), value)?;
    }
    tree.file(&dir.join("config"), &device.config)?;
    tree.link(&dir.join("subsystem"), "../../../bus/pci")?;
    tree.directory(&dir.join("drm"))?;
    Ok(dir)
}

fn driver(tree: &mut Tree, device: &DeviceEntry, dir: &Path) -> Result<(), ExecError> {
    if device.driver.is_empty() {
        return Ok(());
    }
    let own = Path::new("/sys/bus/pci/drivers").join(&device.driver);
    tree.directory(&own)?;
    let below_sys = dir.strip_prefix("/sys").unwrap_or(dir);
    tree.link(
        &own.join(&device.address),
        Path::new("../../../..").join(below_sys),
    )?;
    let target = Path::new("../../../bus/pci/drivers").join(&device.driver);
    tree.link(&dir.join("driver"), target)
}

fn function_uevent(device: &DeviceEntry) -> String {
    let mut text = String::new();
    if !device.driver.is_empty() {
        text = format!("DRIVER={}\n", device.driver);
    }
    let ids = [
        format!("PCI_CLASS={:X}", device.class),
        format!("PCI_ID={:04X}:{:04X}", device.vendor, device.device),
        format!(
            "PCI_SUBSYS_ID={:04X}:{:04X}",
            device.subsystem_vendor, device.subsystem_device
        ),
        format!("PCI_SLOT_NAME={}", device.address),
        format!("MODALIAS={}", device.modalias()),
    ];
    text + &ids.join("\n") + "\n"
}

fn resources(list: &[Resource]) -> String {
    let mut text = String::new();
    for index in 0..RESOURCES {
        let Resource { start, end, flags } = list.get(index).copied().unwrap_or_default();
        // Writing to a string can't fail.
        let _ = writeln!(text, "{start:#018x} {end:#018x} {flags:#018x}");
    }
    text
}

/// A node's directory.
fn minor(tree: &mut Tree, drm: &Path, node: &Node) -> Result<(), ExecError> {
    let dir = drm.join(&node.name);
    tree.directory(&dir)?;
    let (name, minor) = (&node.name, node.minor);
    tree.file(&dir.join("dev"), format!("{DRM_MAJOR}:{minor}\n"))?;
    let uevent =
        format!("MAJOR={DRM_MAJOR}\nMINOR={minor}\nDEVNAME=dri/{name}\nDEVTYPE=drm_minor\n");
    tree.file(&dir.join("uevent"), uevent)?;
    let address = drm.parent().and_then(Path::file_name).unwrap_or_default();
    tree.link(&dir.join("device"), Path::new("../../../").join(address))?;
    tree.link(&dir.join("subsystem"), "../../../../../class/drm")
}

fn connector(tree: &mut Tree, dir: &Path, output: &Connector) -> Result<(), ExecError> {
    tree.directory(dir)?;
    let enabled = if output.enabled {
        "enabled\n"
    } else {
        "disabled\n"
    };
    let dpms = match output.dpms.as_str() {
        "" => "On",
        dpms => dpms,
    };
    let modes: String = output
        .modes
        .iter()
        .map(|mode| format!("{mode}\n"))
        .collect();
    let values = [
        ("status", format!("{}\n", output.status)),
        ("enabled", enabled.into()),
        ("dpms", format!("{dpms}\n")),
        ("modes", modes),
        ("connector_id", format!("{}\n", output.id)),
        ("uevent", "DEVTYPE=drm_connector\n".into()),
    ];
    for (name, value) in values {
        tree.file(&dir.join(name), value)?;
    }
    tree.file(&dir.join("edid"), &output.edid)?;
    tree.link(&dir.join("device"), Path::new("../../").join(&output.card))?;
    tree.link(&dir.join("subsystem"), "../../../../../../class/drm")
}
