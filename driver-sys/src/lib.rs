// SPDX-License-Identifier: MIT
//! Hardware access: PCI config space, BARs, MMIO, ports, interrupts, DMA and reset behind one API.
