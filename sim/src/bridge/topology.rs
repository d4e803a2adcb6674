// SPDX-License-Identifier: MIT
//! What firmware would do: bus numbers, bridge windows, BARs.
//!
//! The device is 01:00.0 behind the root port 00:02.0. Configuration space is reached through
//! q35's ECAM window, which is switched on through the old ports 0xcf8 and 0xcfc. Sources of the
//! register layouts: PCI Local Bus 3.0 §6, PCI-to-PCI Bridge 1.2 §3.2, PCI Express 3.0 §7; of the
//! ECAM base register: Intel's data sheet of the 82P965 north bridge family ("PCIEXBAR").

use super::error::BridgeError;
use super::qtest::{self, Qtest, Space, Width, Write};

/// Where the ECAM window is put: 256 MiB.
const ECAM: u64 = 0xb000_0000;
/// Where memory BARs go.
const MEMORY: std::ops::Range<u64> = 0xc000_0000..0xf000_0000;
/// Where port BARs go.
const PORTS: std::ops::Range<u64> = 0xd000..0xe000;
const HOST_BRIDGE_PCIEXBAR: u32 = 0x60;

/// The command register as a driver finds it: the device decodes ports and memory.
pub const DECODE: u8 = 0b11;

/// The index of the expansion ROM among the BARs, as VFIO's.
pub const ROM: usize = 6;

/// Who is meant by a configuration access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// The root port.
    Port,
    /// The device behind it.
    Device,
    /// What takes its messages, beside the port.
    Doorbell,
}

impl Function {
    fn base(self) -> u64 {
        match self {
            Function::Port => ECAM + (2 << 15),
            Function::Device => ECAM + (1 << 20),
            Function::Doorbell => ECAM + (3 << 15),
        }
    }
}

/// What kind of address space a BAR asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Memory with 32-bit addresses.
    Memory32,
    /// Memory with 64-bit addresses: the next BAR holds the upper half.
    Memory64,
    /// Ports.
    Port,
    /// The expansion ROM.
    Rom,
}

/// One BAR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// 0 to 5, or [`ROM`].
    pub index: usize,
    /// What it asks for.
    pub kind: Kind,
    /// Its low read-only bits.
    pub flags: u32,
    /// In bytes, a power of two.
    pub size: u64,
    /// Where the bridge put it.
    pub address: u64,
}

impl Bar {
    /// Where its register is in configuration space.
    #[must_use]
    pub fn register(&self) -> usize {
        register(self.index)
    }
}

fn register(index: usize) -> usize {
    if index == ROM { 0x30 } else { 0x10 + 4 * index }
}

/// Reads configuration space.
///
/// # Errors
/// When QEMU does not answer.
pub fn config_read(
    qtest: &mut Qtest,
    function: Function,
    offset: usize,
    data: &mut [u8],
) -> Result<(), BridgeError> {
    let address = function.base() + offset as u64;
    qtest.read(Space::Memory, address, data, Width::Long)
}

/// Writes configuration space.
///
/// # Errors
/// When QEMU does not answer.
pub fn config_write(
    qtest: &mut Qtest,
    function: Function,
    offset: usize,
    data: &[u8],
) -> Result<(), BridgeError> {
    qtest.write_all(&config_writes(function, offset, data))
}

fn config_writes(function: Function, offset: usize, data: &[u8]) -> Vec<Write> {
    let address = function.base() + offset as u64;
    qtest::writes(Space::Memory, address, data, Width::Long)
}

fn read32(qtest: &mut Qtest, function: Function, offset: usize) -> Result<u32, BridgeError> {
    let mut data = [0; 4];
    config_read(qtest, function, offset, &mut data)?;
    Ok(u32::from_le_bytes(data))
}

fn write32(
    qtest: &mut Qtest,
    function: Function,
    offset: usize,
    value: u32,
) -> Result<(), BridgeError> {
    config_write(qtest, function, offset, &value.to_le_bytes())
}

/// Opens the way to the device: ECAM and bus numbers. Needed again after a machine reset.
///
/// # Errors
/// When QEMU does not answer.
pub fn open_buses(qtest: &mut Qtest) -> Result<(), BridgeError> {
    let pciexbar = 0x8000_0000 | HOST_BRIDGE_PCIEXBAR;
    qtest.outl(0xcf8, pciexbar + 4)?;
    qtest.outl(0xcfc, 0)?;
    qtest.outl(0xcf8, pciexbar)?;
    #[allow(clippy::cast_possible_truncation, reason = "ECAM is a 32-bit constant")]
    qtest.outl(0xcfc, ECAM as u32 | 1)?;
    // Primary 0, secondary 1, subordinate 1.
    write32(qtest, Function::Port, 0x18, 0x0001_0100)
}

/// Finds the BARs and how large they are. Decoding must be off, as it is after power-on.
///
/// # Errors
/// [`BridgeError::NoDevice`] when nothing answers; else when QEMU does not answer.
pub fn find_bars(qtest: &mut Qtest, device: &str) -> Result<Vec<Bar>, BridgeError> {
    if read32(qtest, Function::Device, 0)? & 0xffff == 0xffff {
        return Err(BridgeError::NoDevice {
            device: device.to_owned(),
        });
    }
    let mut bars = Vec::new();
    let mut index = 0;
    while index < 6 {
        let at = register(index);
        write32(qtest, Function::Device, at, u32::MAX)?;
        let low = read32(qtest, Function::Device, at)?;
        let wide = low & 0b111 == 0b100;
        let mut high = u32::MAX;
        if wide && index < 5 {
            write32(qtest, Function::Device, at + 4, u32::MAX)?;
            high = read32(qtest, Function::Device, at + 4)?;
        }
        bars.extend(bar(index, low, high));
        index += if wide { 2 } else { 1 };
    }
    // All but the enable bit.
    write32(qtest, Function::Device, register(ROM), !1)?;
    let low = read32(qtest, Function::Device, register(ROM))?;
    bars.extend(bar(ROM, low, u32::MAX));
    write32(qtest, Function::Device, register(ROM), 0)?;
    Ok(bars)
}

/// What a BAR answered to all ones; `None` when there is no such BAR.
fn bar(index: usize, low: u32, high: u32) -> Option<Bar> {
    let (kind, fixed) = if index == ROM {
        (Kind::Rom, 0x7ff)
    } else if low & 1 != 0 {
        (Kind::Port, 0b11)
    } else if low & 0b110 == 0b100 {
        (Kind::Memory64, 0b1111)
    } else {
        (Kind::Memory32, 0b1111)
    };
    // Ports may leave the upper half of the register out.
    let low_mask = low & !fixed | if kind == Kind::Port { 0xffff_0000 } else { 0 };
    let mask = u64::from(low_mask) | u64::from(high) << 32;
    let exists = low & !fixed != 0 || (kind == Kind::Memory64 && high != 0);
    exists.then(|| Bar {
        index,
        kind,
        flags: low & fixed,
        size: mask & mask.wrapping_neg(),
        address: 0,
    })
}

/// Gives every BAR an address, the largest first, so that nothing is lost to alignment.
///
/// # Errors
/// [`BridgeError::NoSpace`].
pub fn place(bars: &mut [Bar], device: &str) -> Result<(), BridgeError> {
    let mut order: Vec<&mut Bar> = bars.iter_mut().collect();
    order.sort_by_key(|bar| std::cmp::Reverse(bar.size));
    let (mut memory, mut ports) = (MEMORY.start, PORTS.start);
    for bar in order {
        let (next, window, space) = if bar.kind == Kind::Port {
            (&mut ports, PORTS, "port I/O")
        } else {
            (&mut memory, MEMORY, "memory")
        };
        let address = next.next_multiple_of(bar.size);
        let end = address.saturating_add(bar.size);
        if end > window.end {
            return Err(BridgeError::NoSpace {
                device: device.to_owned(),
                space,
                wanted: end - window.start,
                available: window.end - window.start,
            });
        }
        bar.address = address;
        *next = end;
    }
    Ok(())
}

/// The writes that give the port its windows and the device its BARs, and let both decode: the
/// state a driver finds. Bus mastering stays off on the device, so that a dead driver's transfers
/// end with it.
#[must_use]
pub fn program(bars: &[Bar]) -> Vec<Write> {
    let mut writes = Vec::new();
    let mut put = |function, offset, data: &[u8]| {
        writes.extend(config_writes(function, offset, data));
    };
    let long = u32::to_le_bytes;
    // I/O 0xd000 to 0xdfff, and clear the error bits above it.
    put(Function::Port, 0x1c, &long(0xffff_d0d0));
    // Memory 0xc0000000 to 0xefffffff.
    put(Function::Port, 0x20, &long(0xeff0_c000));
    // The prefetchable window is closed: its base is above its limit.
    put(Function::Port, 0x24, &long(0x0000_fff0));
    put(Function::Port, 0x28, &[0; 8]);
    put(Function::Port, 4, &[7, 0]);
    for bar in bars {
        let bytes = bar.address.to_le_bytes();
        let length = if bar.kind == Kind::Memory64 { 8 } else { 4 };
        put(Function::Device, bar.register(), &bytes[..length]);
    }
    put(Function::Device, 4, &[DECODE, 0]);
    writes
}

/// The writes that pulse the secondary bus reset of the root port (bridge control, bit 6). All
/// other bits of that register are 0, as after power-on.
#[must_use]
pub fn secondary_bus_reset() -> Vec<Write> {
    const CONTROL: usize = 0x3e;
    const RESET: u8 = 1 << 6;
    [RESET, 0]
        .into_iter()
        .flat_map(|control| config_writes(Function::Port, CONTROL, &[control, 0]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_registers_answer() {
        let table = [
            (
                0,
                0xff00_0008,
                u32::MAX,
                Some((Kind::Memory32, 8, 0x100_0000)),
            ),
            (2, 0xffff_f000, u32::MAX, Some((Kind::Memory32, 0, 0x1000))),
            (1, 0, u32::MAX, None),
            (4, 0xffff_c00c, u32::MAX, Some((Kind::Memory64, 12, 0x4000))),
            (
                4,
                0x0000_000c,
                0xffff_fffe,
                Some((Kind::Memory64, 12, 0x2_0000_0000)),
            ),
            (0, 0xffff_ffe1, u32::MAX, Some((Kind::Port, 1, 0x20))),
            (0, 0x0000_ffe1, u32::MAX, Some((Kind::Port, 1, 0x20))),
            (ROM, 0xffff_0000, u32::MAX, Some((Kind::Rom, 0, 0x1_0000))),
            (ROM, 0, u32::MAX, None),
        ];
        for (index, low, high, expected) in table {
            let found = bar(index, low, high).map(|b| (b.kind, b.flags, b.size));
            assert_eq!(found, expected, "BAR {index} {low:#x}");
        }
    }

    proptest::proptest! {
        #[test]
        fn places_are_aligned_apart_and_inside(
            wishes in proptest::collection::vec((4u32..32, proptest::bool::ANY), 0..7)
        ) {
            let mut bars: Vec<Bar> = wishes
                .iter()
                .enumerate()
                .map(|(index, &(bits, port))| Bar {
                    index,
                    kind: if port { Kind::Port } else { Kind::Memory32 },
                    flags: 0,
                    size: 1 << bits,
                    address: 0,
                })
                .collect();
            if place(&mut bars, "x").is_ok() {
                for (at, a) in bars.iter().enumerate() {
                    let window = if a.kind == Kind::Port { PORTS } else { MEMORY };
                    proptest::prop_assert!(a.address.is_multiple_of(a.size));
                    proptest::prop_assert!(a.address >= window.start);
                    proptest::prop_assert!(a.address + a.size <= window.end);
                    for b in &bars[..at] {
                        let apart = a.address + a.size <= b.address || b.address + b.size <= a.address;
                        proptest::prop_assert!(apart || a.kind != b.kind);
                    }
                }
            }
        }
    }
}
