// SPDX-License-Identifier: MIT
//! The description of a machine, `machine.ron`: which devices it has, and where.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use driver_sys::PciAddress;
use ron::extensions::Extensions;

use crate::dispi;
use crate::edid::Edid;

/// A machine.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Its simulated PCI functions.
    #[serde(default)]
    pub devices: Vec<Device>,
    /// Its PCI functions that QEMU emulates.
    #[cfg(target_os = "linux")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qemu: Option<crate::bridge::QemuConfig>,
}

/// One PCI function.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Where it is, as `0000:00:02.0`.
    pub address: PciAddress,
    /// What it is.
    pub model: Model,
    /// Whether it is there from the start; if not, `plug` brings it.
    #[serde(default = "yes")]
    pub plugged: bool,
}

fn yes() -> bool {
    true
}

/// The models of devices.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Model {
    /// QEMU's `bochs-display`.
    BochsDisplay {
        /// Video memory in MiB, a power of two from 1 to 256.
        #[serde(default = "vram_mib")]
        vram_mib: u32,
        /// The monitor at its output.
        #[serde(default)]
        monitor: Monitor,
    },
}

fn vram_mib() -> u32 {
    16
}

/// A monitor, by its EDID.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Monitor {
    /// No monitor is plugged in.
    None,
    /// The EDID is made from these words.
    Edid(Edid),
    /// The EDID is in this file, relative to the machine's; 1024 bytes at most, not checked.
    File(PathBuf),
}

impl Default for Monitor {
    fn default() -> Self {
        Self::Edid(Edid::default())
    }
}

/// A machine that can't be built.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// A file can't be read.
    #[error("read {path}: {source}", path = path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The description is not RON of this form.
    #[error("{path}:{error}", path = path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Where in it, and what.
        error: Box<ron::error::SpannedError>,
    },
    /// Something in it makes no sense.
    #[error("{what}: {why}")]
    Invalid {
        /// Which device or file.
        what: String,
        /// What is wrong.
        why: String,
    },
}

fn options() -> ron::Options {
    let extensions = Extensions::IMPLICIT_SOME | Extensions::UNWRAP_VARIANT_NEWTYPES;
    ron::Options::default().with_default_extension(extensions)
}

impl Machine {
    /// Reads a description; files that it names are relative to its directory.
    ///
    /// # Errors
    /// When it can't be read or makes no sense; the message names file, line and column.
    pub fn load(path: &Path) -> Result<Self, MachineError> {
        let text = std::fs::read_to_string(path).map_err(|source| MachineError::Read {
            path: path.into(),
            source,
        })?;
        let mut machine = Self::parse(&text, path)?;
        let base = path.parent().unwrap_or(Path::new(""));
        for device in &mut machine.devices {
            let Model::BochsDisplay { monitor, .. } = &mut device.model;
            if let Monitor::File(file) = monitor {
                *file = base.join(&*file);
            }
        }
        Ok(machine)
    }

    /// Reads a description from text; `path` is for messages.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, MachineError> {
        let machine: Self = options()
            .from_str(text)
            .map_err(|error| MachineError::Syntax {
                path: path.into(),
                error: Box::new(error),
            })?;
        let mut seen = BTreeSet::new();
        let addresses = machine.devices.iter().map(|device| device.address);
        #[cfg(target_os = "linux")]
        let addresses = addresses.chain(
            (machine.qemu.iter()).flat_map(|qemu| qemu.devices.iter().map(|device| device.address)),
        );
        for address in addresses {
            if !seen.insert(address) {
                return Err(MachineError::Invalid {
                    what: path.display().to_string(),
                    why: format!("two devices at {address}"),
                });
            }
        }
        Ok(machine)
    }
}

impl Monitor {
    /// The EDID; `None` without a monitor.
    ///
    /// # Errors
    /// When the file can't be read or is too long, or the words don't fit an EDID.
    pub fn edid(&self) -> Result<Option<Vec<u8>>, MachineError> {
        match self {
            Self::None => Ok(None),
            Self::Edid(edid) => match edid.generate() {
                Ok(bytes) => Ok(Some(bytes.to_vec())),
                Err(error) => Err(MachineError::Invalid {
                    what: "monitor".into(),
                    why: error.to_string(),
                }),
            },
            Self::File(path) => read_edid(path).map(Some),
        }
    }
}

/// Reads an EDID from a file, without judging its content.
///
/// # Errors
/// When it can't be read or is longer than the adapter's window.
pub fn read_edid(path: &Path) -> Result<Vec<u8>, MachineError> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let limit = dispi::EDID_MAX as u64 + 1;
    std::fs::File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(|source| MachineError::Read {
            path: path.into(),
            source,
        })?;
    if bytes.len() > dispi::EDID_MAX {
        return Err(MachineError::Invalid {
            what: path.display().to_string(),
            why: format!("an EDID has {} bytes at most here", dispi::EDID_MAX),
        });
    }
    Ok(bytes)
}

impl Model {
    /// The model's name, as it is written.
    pub fn name(&self) -> &'static str {
        match self {
            Self::BochsDisplay { .. } => "BochsDisplay",
        }
    }

    /// Builds the device.
    ///
    /// # Errors
    /// As [`Monitor::edid`], and for sizes that the model does not come in.
    pub fn build(&self) -> Result<dispi::Display, MachineError> {
        let Self::BochsDisplay { vram_mib, monitor } = self;
        let edid = monitor.edid()?;
        dispi::Display::new(u64::from(*vram_mib) << 20, edid.as_deref()).map_err(|error| {
            MachineError::Invalid {
                what: self.name().into(),
                why: error.to_string(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Machine, MachineError> {
        Machine::parse(text, Path::new("m.ron"))
    }

    #[test]
    fn shipped_machines_can_be_built() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("machines");
        let mut count = 0;
        for entry in std::fs::read_dir(dir).unwrap() {
            let machine = Machine::load(&entry.unwrap().path()).unwrap();
            machine
                .devices
                .iter()
                .for_each(|device| drop(device.model.build().unwrap()));
            count += 1;
        }
        assert!(count >= 2);
    }

    #[test]
    fn words_and_defaults() {
        let machine = parse(
            "(devices: [(address: \"0000:00:02.0\", model: BochsDisplay(vram_mib: 32, \
             monitor: Edid(name: \"Left\", preferred: (1024, 768), size_mm: (300, 200)))), \
             (address: \"0000:00:03.0\", model: BochsDisplay(), plugged: false)])",
        )
        .unwrap();
        let Model::BochsDisplay {
            vram_mib: 32,
            monitor: Monitor::Edid(edid),
        } = &machine.devices[0].model
        else {
            panic!("{machine:?}")
        };
        assert_eq!(
            (edid.preferred, edid.size_mm),
            ((1024, 768), Some((300, 200)))
        );
        assert_eq!(
            machine.devices[1].model,
            Model::BochsDisplay {
                vram_mib: 16,
                monitor: Monitor::default()
            }
        );
        assert!(!machine.devices[1].plugged);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, want) in [
            (
                "(devices: [\n(address: \"x\", model: BochsDisplay())])",
                "m.ron:2:",
            ),
            (
                "(devices: [(address: \"0000:00:02.0\", model: Voodoo())])",
                "Voodoo",
            ),
            ("(devices: [], extra: 1)", "extra"),
            (
                "(devices: [(address: \"00:02.0\", model: BochsDisplay()), \
                 (address: \"0000:00:02.0\", model: BochsDisplay())])",
                "two devices at 0000:00:02.0",
            ),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(want), "{message}");
        }
        let odd = Model::BochsDisplay {
            vram_mib: 3,
            monitor: Monitor::None,
        };
        assert!(
            odd.build()
                .unwrap_err()
                .to_string()
                .contains("power of two")
        );
        let missing = Monitor::File("/nonexistent/edid".into());
        assert!(
            missing
                .edid()
                .unwrap_err()
                .to_string()
                .contains("/nonexistent/edid")
        );
    }

    proptest! {
        #[test]
        fn any_text_gets_an_answer(text in "[(){}\\[\\]:,a-zA-Z0-9\" ]{0,200}") {
            let _ = parse(&text);
        }
    }
}
