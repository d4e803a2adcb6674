// SPDX-License-Identifier: MIT
//! Configuration space: register offsets (PCI Local Bus 3.0, section 6.1) and small readers.

use crate::device::PciDevice;
use crate::error::Result;

/// Vendor id, 16 bits.
pub const VENDOR: usize = 0x00;
/// Device id, 16 bits.
pub const DEVICE: usize = 0x02;
/// Command register, 16 bits.
pub const COMMAND: usize = 0x04;
/// Status register, 16 bits.
pub const STATUS: usize = 0x06;
/// Revision id, 8 bits.
pub const REVISION: usize = 0x08;
/// Class code, 24 bits.
pub const CLASS: usize = 0x09;
/// Header type, 8 bits; bit 7 says multi-function.
pub const HEADER_TYPE: usize = 0x0e;
/// First of six 32-bit BARs.
pub const BAR0: usize = 0x10;
/// Subsystem vendor id, 16 bits, type 0 headers.
pub const SUBSYSTEM_VENDOR: usize = 0x2c;
/// Subsystem id, 16 bits, type 0 headers.
pub const SUBSYSTEM: usize = 0x2e;
/// Pointer to the first capability, 8 bits.
pub const CAPABILITIES: usize = 0x34;
/// Interrupt pin, 8 bits; 0 for none.
pub const INTERRUPT_PIN: usize = 0x3d;

/// Command: answer to port accesses.
pub const COMMAND_IO: u16 = 1 << 0;
/// Command: answer to memory accesses.
pub const COMMAND_MEMORY: u16 = 1 << 1;
/// Command: may start DMA and message-signalled interrupts.
pub const COMMAND_MASTER: u16 = 1 << 2;
/// Command: INTx is off.
pub const COMMAND_INTX_DISABLE: u16 = 1 << 10;
/// Status: there is a capability list.
pub const STATUS_CAPABILITIES: u16 = 1 << 4;

/// Reads a byte.
///
/// # Errors
/// Those of [`PciDevice::config_read`].
pub fn read_u8(device: &dyn PciDevice, offset: usize) -> Result<u8> {
    let mut bytes = [0; 1];
    device.config_read(offset, &mut bytes)?;
    Ok(bytes[0])
}

/// Reads a 16-bit register.
///
/// # Errors
/// Those of [`PciDevice::config_read`].
pub fn read_u16(device: &dyn PciDevice, offset: usize) -> Result<u16> {
    let mut bytes = [0; 2];
    device.config_read(offset, &mut bytes)?;
    Ok(u16::from_le_bytes(bytes))
}

/// Reads a 32-bit register.
///
/// # Errors
/// Those of [`PciDevice::config_read`].
pub fn read_u32(device: &dyn PciDevice, offset: usize) -> Result<u32> {
    let mut bytes = [0; 4];
    device.config_read(offset, &mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

/// Sets and clears bits of the command register, for example [`COMMAND_MEMORY`].
///
/// # Errors
/// Those of [`PciDevice::config_read`] and [`PciDevice::config_write`].
pub fn update_command(device: &dyn PciDevice, set: u16, clear: u16) -> Result<()> {
    let command = read_u16(device, COMMAND)?;
    let wanted = (command & !clear) | set;
    if wanted != command {
        device.config_write(COMMAND, &wanted.to_le_bytes())?;
    }
    Ok(())
}
