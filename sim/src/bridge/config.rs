// SPDX-License-Identifier: MIT
//! What a machine file says about a QEMU machine.
//!
//! ```ron
//! (
//!     qemu: (
//!         devices: [
//!             (model: "bochs-display", address: "0000:01:00.0"),
//!         ],
//!     ),
//! )
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;

use driver_sys::PciAddress;

use super::error::BridgeError;

/// The `qemu` part of a machine file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QemuConfig {
    /// The program; looked up in PATH when it holds no slash.
    #[serde(default = "default_program")]
    pub program: PathBuf,
    /// Guest memory, which is what devices reach by DMA, in MiB (16 to 2048).
    #[serde(default = "default_memory_mib")]
    pub memory_mib: u32,
    /// The devices, each in a slot of its own.
    pub devices: Vec<QemuDevice>,
}

/// One device.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QemuDevice {
    /// QEMU's name of the device model, such as `bochs-display`.
    pub model: String,
    /// Where drvhost finds it.
    pub address: PciAddress,
    /// Properties of the model, as `-device` takes them.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
}

fn default_program() -> PathBuf {
    PathBuf::from("qemu-system-x86_64")
}

fn default_memory_mib() -> u32 {
    64
}

/// What the bridge itself sets on a device.
const RESERVED: [&str; 4] = ["bus", "addr", "id", "multifunction"];

impl QemuConfig {
    /// Checks what the types don't.
    ///
    /// # Errors
    /// [`BridgeError::Config`] says which entry is wrong and why.
    pub fn check(&self) -> Result<(), BridgeError> {
        let wrong = |text: String| Err(BridgeError::Config(text));
        if !(16..=2048).contains(&self.memory_mib) {
            return wrong(format!("memory_mib is {}; 16 to 2048", self.memory_mib));
        }
        if self.devices.is_empty() {
            return wrong("devices is empty; list at least one".to_owned());
        }
        for (at, device) in self.devices.iter().enumerate() {
            if !is_name(&device.model) {
                return wrong(format!(
                    "model {:?} is no name of a device model",
                    device.model
                ));
            }
            if self.devices[..at]
                .iter()
                .any(|d| d.address == device.address)
            {
                return wrong(format!("address {} is given twice", device.address));
            }
            for key in device.properties.keys() {
                if !is_name(key) || RESERVED.contains(&key.as_str()) {
                    return wrong(format!("property {key:?} of {} can't be set", device.model));
                }
            }
        }
        Ok(())
    }
}

impl QemuDevice {
    /// The argument of `-device` for a device on bus `bus`.
    #[must_use]
    pub fn argument(&self, bus: &str) -> String {
        let mut argument = format!("{},bus={bus},addr=0.0,id=function", self.model);
        for (key, value) in &self.properties {
            // A comma within a value is written twice.
            argument.push_str(&format!(",{key}={}", value.replace(',', ",,")));
        }
        argument
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(model: &str, address: &str) -> QemuDevice {
        QemuDevice {
            model: model.into(),
            address: address.parse().unwrap(),
            properties: BTreeMap::new(),
        }
    }

    fn config(devices: Vec<QemuDevice>) -> QemuConfig {
        QemuConfig {
            program: default_program(),
            memory_mib: 64,
            devices,
        }
    }

    #[test]
    fn what_is_refused() {
        let good = || device("bochs-display", "0000:01:00.0");
        config(vec![good()]).check().unwrap();
        let mut property = good();
        property.properties.insert("addr".into(), "3".into());
        let table = [
            vec![],
            vec![device("a,b=c", "0000:01:00.0")],
            vec![device("", "0000:01:00.0")],
            vec![good(), good()],
            vec![property],
        ];
        for devices in table {
            let text = format!("{devices:?}");
            assert!(config(devices).check().is_err(), "{text}");
        }
        let mut big = config(vec![good()]);
        big.memory_mib = 4096;
        assert!(big.check().is_err());
    }

    #[test]
    fn the_argument_of_a_device() {
        let mut gpu = device("bochs-display", "0000:01:00.0");
        gpu.properties.insert("vgamem".into(), "33554432".into());
        gpu.properties.insert("romfile".into(), "a,b".into());
        assert_eq!(
            gpu.argument("port"),
            "bochs-display,bus=port,addr=0.0,id=function,romfile=a,,b,vgamem=33554432"
        );
    }
}
