// SPDX-License-Identifier: MIT
//! The real machine's PCI functions as Linux's sysfs shows them: a list, and configuration space
//! to read. Nothing can be changed through it.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::address::PciAddress;
use crate::bar::{BarInfo, BarKind, Width};
use crate::device::PciDevice;
use crate::dma::DmaBuffer;
use crate::error::{Error, Result};
use crate::irq::{IrqInfo, IrqKind};
use crate::mapping::Mapping;

/// Where Linux lists its PCI functions.
pub const ROOT: &str = "/sys/bus/pci/devices";

/// Lists the functions under `root` (normally [`ROOT`]), in the order of their addresses.
/// A machine without PCI has an empty list.
///
/// # Errors
/// `Io` when the directory can't be read.
pub fn enumerate(root: &Path) -> Result<Vec<SysfsDevice>> {
    let what = || format!("list devices in {}", root.display());
    let entries = match std::fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(what(), error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| Error::io(what(), error))?;
        if let Some(address) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        {
            found.push(SysfsDevice {
                address,
                path: entry.path(),
            });
        }
    }
    found.sort_by_key(|device| device.address);
    Ok(found)
}

/// One function of the real machine, read only.
#[derive(Debug, Clone)]
pub struct SysfsDevice {
    address: PciAddress,
    path: PathBuf,
}

impl SysfsDevice {
    fn read_only<T>(&self, doing: &str) -> Result<T> {
        Err(Error::Unsupported {
            what: format!("{}: {doing}", self.address),
            why: "sysfs only lists devices; bind the device to VFIO to drive it".into(),
        })
    }

    /// The name of the kernel driver that has the device now, if one has.
    pub fn kernel_driver(&self) -> Option<String> {
        let link = std::fs::read_link(self.path.join("driver")).ok()?;
        Some(link.file_name()?.to_string_lossy().into_owned())
    }
}

impl PciDevice for SysfsDevice {
    fn address(&self) -> PciAddress {
        self.address
    }

    fn config_read(&self, offset: usize, data: &mut [u8]) -> Result<()> {
        let path = self.path.join("config");
        let what = || format!("read {}", path.display());
        // Without privileges the kernel ends the file after 64 bytes; that is an error, too.
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::Gone { what: what() });
            }
            Err(error) => return Err(Error::io(what(), error)),
        };
        std::os::unix::fs::FileExt::read_exact_at(&file, data, offset as u64)
            .map_err(|error| Error::io(what(), error))
    }

    fn config_write(&self, _offset: usize, _data: &[u8]) -> Result<()> {
        self.read_only("write configuration space")
    }

    fn bar_info(&self, bar: u8) -> Result<BarInfo> {
        let path = self.path.join("resource");
        let what = format!("read {}", path.display());
        let text = std::fs::read_to_string(&path).map_err(|error| Error::io(&what, error))?;
        parse_resource(&text, bar).ok_or_else(|| Error::Invalid {
            what,
            why: format!("no line of three numbers for BAR {bar}"),
        })
    }

    fn bar_map(&self, _bar: u8) -> Result<Mapping> {
        self.read_only("map a BAR")
    }

    fn bar_read(&self, _bar: u8, _offset: u64, _width: Width) -> Result<u64> {
        self.read_only("read a BAR")
    }

    fn bar_write(&self, _bar: u8, _offset: u64, _width: Width, _value: u64) -> Result<()> {
        self.read_only("write a BAR")
    }

    fn irq_info(&self, _kind: IrqKind) -> Result<IrqInfo> {
        self.read_only("ask about interrupts")
    }

    fn irq_enable(&self, _kind: IrqKind, _count: u32) -> Result<Vec<OwnedFd>> {
        self.read_only("turn on interrupts")
    }

    fn irq_disable(&self, _kind: IrqKind) -> Result<()> {
        self.read_only("turn off interrupts")
    }

    fn irq_unmask(&self, _kind: IrqKind, _vector: u32) -> Result<()> {
        self.read_only("unmask an interrupt")
    }

    fn dma_alloc(&self, _size: usize, _align: usize) -> Result<DmaBuffer> {
        self.read_only("allocate memory for DMA")
    }

    fn dma_map(&self, _file: BorrowedFd<'_>, _offset: u64, _size: u64) -> Result<u64> {
        self.read_only("map memory for DMA")
    }

    fn dma_unmap(&self, _iova: u64) -> Result<()> {
        self.read_only("unmap memory from DMA")
    }

    fn reset(&self) -> Result<()> {
        self.read_only("reset")
    }
}

/// Reads line `bar` of a `resource` file: start, end (inclusive), flags of `linux/ioport.h`.
fn parse_resource(text: &str, bar: u8) -> Option<BarInfo> {
    const IO: u64 = 0x100;
    const MEMORY: u64 = 0x200;
    const PREFETCH: u64 = 0x2000;
    const WIDE: u64 = 0x10_0000;
    if bar > 5 {
        return None;
    }
    let mut numbers = text.lines().nth(bar.into())?.split_ascii_whitespace();
    let mut next = || u64::from_str_radix(numbers.next()?.strip_prefix("0x")?, 16).ok();
    let (start, end, flags) = (next()?, next()?, next()?);
    let kind = match flags {
        flags if flags & IO != 0 => BarKind::Port,
        flags if flags & MEMORY != 0 => BarKind::Memory {
            prefetchable: flags & PREFETCH != 0,
            wide: flags & WIDE != 0,
        },
        _ => {
            return Some(BarInfo {
                kind: BarKind::None,
                size: 0,
                mappable: false,
            });
        }
    };
    let size = end.checked_sub(start)?.checked_add(1)?;
    Some(BarInfo {
        kind,
        size,
        mappable: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PciIds;

    const RESOURCE: &str = "0x00000000fd000000 0x00000000fdffffff 0x0000000000042208\n\
        0x0000000000000000 0x0000000000000000 0x0000000000000000\n\
        0x0000000000000005 0x0000000000000001 0x0000000000040200\nrubbish\n";

    #[test]
    fn lists_reads_and_changes_nothing() {
        let root = tempfile::tempdir().unwrap();
        assert!(enumerate(&root.path().join("none")).unwrap().is_empty());
        for name in ["0000:00:03.0", "0000:00:02.0", "junk"] {
            std::fs::create_dir(root.path().join(name)).unwrap();
        }
        let mut config = [0u8; 64];
        config[..4].copy_from_slice(&[0x34, 0x12, 0x11, 0x11]);
        std::fs::write(root.path().join("0000:00:02.0/config"), config).unwrap();
        std::fs::write(root.path().join("0000:00:02.0/resource"), RESOURCE).unwrap();
        let devices = enumerate(root.path()).unwrap();
        let names: Vec<_> = devices.iter().map(|d| d.address().to_string()).collect();
        assert_eq!(names, ["0000:00:02.0", "0000:00:03.0"]);
        assert_eq!(PciIds::read(&devices[0]).unwrap().device, 0x1111);
        assert!(devices[0].config_read(60, &mut [0; 8]).is_err());
        assert!(matches!(PciIds::read(&devices[1]), Err(Error::Gone { .. })));
        assert!(matches!(devices[0].reset(), Err(Error::Unsupported { .. })));
        assert_eq!(devices[0].kernel_driver(), None);
        assert_eq!(devices[0].bar_info(0).unwrap().size, 16 << 20);
    }

    #[test]
    fn resource_lines() {
        let bar = |bar| parse_resource(RESOURCE, bar);
        let kind = BarKind::Memory {
            prefetchable: true,
            wide: false,
        };
        assert_eq!(
            bar(0),
            Some(BarInfo {
                kind,
                size: 16 << 20,
                mappable: false
            })
        );
        assert_eq!(bar(1).map(|bar| bar.kind), Some(BarKind::None));
        assert_eq!([bar(2), bar(3), bar(4), bar(6)], [None; 4]);
    }
}
