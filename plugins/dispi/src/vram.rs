// SPDX-License-Identifier: MIT
//! Writing video memory: in place where it can be mapped, else in large pieces through the device.

use crate::registers::VRAM_BAR;
use driver_sys::{Mapping, PciDevice};
use drvhost_abi::Errno;
use drvhost_abi::tables::DeviceV1;

/// Most that goes to the device at once, in bytes: larger pieces are slower behind QEMU's qtest.
const PIECE: usize = 64 << 10;

/// The video memory.
#[derive(Debug)]
pub enum Vram {
    /// Mapped.
    Mapped(Mapping),
    /// Written through the device.
    Remote {
        /// The device.
        device: &'static DeviceV1,
        /// Size in bytes.
        size: u64,
    },
    /// A vector, for tests.
    #[cfg(test)]
    Test(std::sync::Mutex<Vec<u8>>),
}

impl Vram {
    /// The video memory of a device: `size` bytes of its BAR.
    pub fn new(
        pci: &dyn PciDevice,
        device: &'static DeviceV1,
        size: u64,
    ) -> driver_sys::Result<Vram> {
        if pci.bar_info(VRAM_BAR)?.mappable {
            return Ok(Vram::Mapped(pci.bar_map(VRAM_BAR)?));
        }
        Ok(Vram::Remote { device, size })
    }

    /// Small writes are cheap, so there is no use in joining them.
    pub fn is_mapped(&self) -> bool {
        !matches!(self, Vram::Remote { .. })
    }

    /// Writes bytes at an offset. `EINVAL` past the end, or what the device says.
    pub fn write(&self, offset: u64, data: &[u8]) -> Result<(), Errno> {
        let start = usize::try_from(offset).map_err(|_| Errno::EINVAL)?;
        match self {
            Vram::Mapped(mapping) => mapping
                .write_slice(start, data)
                .map_err(|error| Errno(error.errno())),
            Vram::Remote { device, size } => {
                let end = offset.checked_add(data.len() as u64);
                if end.is_none_or(|end| end > *size) {
                    return Err(Errno::EINVAL);
                }
                for (index, piece) in data.chunks(PIECE).enumerate() {
                    let at = offset + (index * PIECE) as u64;
                    // SAFETY: the piece is valid for its length during the call.
                    let result = unsafe {
                        (device.bar_write)(
                            device.ctx,
                            VRAM_BAR.into(),
                            at,
                            piece.as_ptr(),
                            piece.len(),
                        )
                    };
                    Errno::check(result.into())?;
                }
                Ok(())
            }
            #[cfg(test)]
            Vram::Test(memory) => {
                let mut memory = memory.lock().unwrap();
                let range = start..start + data.len();
                memory
                    .get_mut(range)
                    .ok_or(Errno::EINVAL)?
                    .copy_from_slice(data);
                Ok(())
            }
        }
    }
}
