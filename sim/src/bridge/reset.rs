// SPDX-License-Identifier: MIT
//! Reset, as far as QEMU's models know it, and what the bridge adds.
//!
//! The reset is a secondary bus reset through the root port. Tried with QEMU 7.2: it clears the
//! configuration space of every device behind the port, but further only what a model's own reset
//! handler clears, and `bochs-display`, `VGA` and `edu` have none on that path: their registers
//! keep their values, as no real card's would. So the bridge completes it, per model:
//!
//! | model | after the bus reset |
//! |---|---|
//! | `virtio-*` | nothing: QEMU resets them |
//! | `bochs-display` | the DISPI registers, all state it has, get their power-on values back |
//! | `VGA`, `secondary-vga` | a machine reset (QMP `system_reset`), which these do listen to; the device is alone in its QEMU, so nothing else is hit |
//! | any other | a power cycle: a new QEMU process; also when QEMU has died |

use super::error::BridgeError;
use super::process::Qemu;
use super::qtest::{self, Space, Width, Write};
use super::topology::Bar;

/// What has to follow a bus reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// The model resets itself.
    Nothing,
    /// The bridge writes DISPI registers back.
    DispiRegisters,
    /// The model listens to a reset of its whole machine.
    MachineReset,
    /// The model has no reset that is known to work.
    PowerCycle,
}

impl Completion {
    /// What QEMU's model `model` needs.
    #[must_use]
    pub fn of(model: &str) -> Self {
        match model {
            "bochs-display" => Completion::DispiRegisters,
            "VGA" | "secondary-vga" => Completion::MachineReset,
            model if model.starts_with("virtio-") => Completion::Nothing,
            _ => Completion::PowerCycle,
        }
    }
}

/// Where the DISPI registers are in BAR 2, and how many there are below the read-only size
/// (source: QEMU's docs/specs/standard-vga).
const DISPI: u64 = 0x500;
const DISPI_COUNT: usize = 10;
const DISPI_ENABLE: usize = 4;
/// Byte order of the frame buffer: BAR 2, little endian when all its bytes are 0x1e.
const BYTE_ORDER: u64 = 0x604;
const LITTLE_ENDIAN: [u8; 4] = [0x1e; 4];

/// The DISPI registers as they were at power-on.
#[derive(Debug, Clone)]
pub struct DispiRegisters {
    base: u64,
    values: [u8; 2 * DISPI_COUNT],
}

impl DispiRegisters {
    /// Reads them; `None` when there is no BAR 2.
    ///
    /// # Errors
    /// When QEMU does not answer.
    pub fn save(qemu: &mut Qemu, bars: &[Bar]) -> Result<Option<Self>, BridgeError> {
        let Some(bar) = bars.iter().find(|bar| bar.index == 2) else {
            return Ok(None);
        };
        let mut values = [0; 2 * DISPI_COUNT];
        let base = bar.address;
        qemu.qtest
            .read(Space::Memory, base + DISPI, &mut values, Width::Word)?;
        Ok(Some(DispiRegisters { base, values }))
    }

    /// The writes that put them back, the display switched off first.
    #[must_use]
    pub fn restore(&self) -> Vec<Write> {
        let at = self.base + DISPI;
        let enable = at + 2 * DISPI_ENABLE as u64;
        let order = self.base + BYTE_ORDER;
        let mut writes = qtest::writes(Space::Memory, enable, &[0, 0], Width::Word);
        writes.extend(qtest::writes(Space::Memory, at, &self.values, Width::Word));
        writes.extend(qtest::writes(
            Space::Memory,
            order,
            &LITTLE_ENDIAN,
            Width::Long,
        ));
        writes
    }
}

/// Resets QEMU's whole machine and waits until that has happened.
///
/// # Errors
/// When QEMU does not answer.
pub fn machine_reset(qemu: &mut Qemu) -> Result<(), BridgeError> {
    qemu.qmp.forget_events();
    qemu.qmp.execute("system_reset", serde_json::Value::Null)?;
    qemu.qmp.wait_event("RESET")
}
