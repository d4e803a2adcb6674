// SPDX-License-Identifier: MIT
//! Hardware access: PCI config space, BARs, MMIO, ports, interrupts, DMA and reset behind one API.
//!
//! A driver is written against [`PciDevice`] and never learns which backend is behind it:
//! a simulator or QEMU over vfio-user, VFIO, or Redox's pcid.
//!
//! Read in this order: [`device`] (the API), [`address`] and [`ids`] (what a function is called),
//! [`bar`], [`mapping`], [`irq`], [`dma`] (what it is made of), [`config`] and [`caps`]
//! (configuration space), then the backends: `vfio_user`, `sysfs` and, for plugins, `abi`.

#[cfg(feature = "abi")]
pub mod abi;
pub mod address;
pub mod bar;
pub mod caps;
pub mod config;
pub mod device;
pub mod dma;
pub mod error;
pub mod ids;
pub mod irq;
pub mod mapping;
#[cfg(target_os = "linux")]
pub mod sysfs;
#[cfg(target_os = "linux")]
pub mod vfio_user;

pub use address::PciAddress;
pub use bar::{BarInfo, BarKind, Width};
pub use device::PciDevice;
pub use dma::DmaBuffer;
pub use error::{Error, Result};
pub use ids::PciIds;
pub use irq::{IrqInfo, IrqKind};
pub use mapping::Mapping;
