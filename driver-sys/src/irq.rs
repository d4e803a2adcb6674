// SPDX-License-Identifier: MIT
//! Interrupts as a driver asks for them.

/// The ways a PCI function can interrupt. The numbers are VFIO's interrupt indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum IrqKind {
    /// The shared, level-triggered line. It masks itself when it fires: acknowledge the device,
    /// then call [`crate::PciDevice::irq_unmask`].
    Intx = 0,
    /// Message-signalled interrupts.
    Msi = 1,
    /// Extended message-signalled interrupts.
    Msix = 2,
}

impl IrqKind {
    /// The kind with VFIO's index `index`.
    pub fn from_index(index: u32) -> Option<Self> {
        [Self::Intx, Self::Msi, Self::Msix]
            .into_iter()
            .find(|kind| *kind as u32 == index)
    }
}

/// What a device offers of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IrqInfo {
    /// Number of vectors; 0 when the device has none of this kind.
    pub count: u32,
    /// Masks itself when it fires.
    pub automasked: bool,
}
