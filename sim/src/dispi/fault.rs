// SPDX-License-Identifier: MIT
//! Bad states of the adapter. They outlast clients; a bus reset ends them.

/// How the adapter misbehaves. Configuration space, EDID and video memory still work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Registers read as all ones, writes are ignored.
    Stuck,
    /// Accesses to registers get no answer.
    Hang,
    /// Registers read as random values, writes are ignored.
    Noise,
}

/// Random enough to be wrong, the same in every run (xorshift).
#[derive(Debug)]
pub(super) struct Noise(u32);

impl Default for Noise {
    fn default() -> Self {
        Self(0x9e37_79b9)
    }
}

impl Noise {
    pub(super) fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }
}
