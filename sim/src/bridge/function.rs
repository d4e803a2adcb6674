// SPDX-License-Identifier: MIT
//! One of QEMU's devices as a PCI function.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::function::{DmaProt, PciFunction, REGION_CONFIG, REGION_ROM, Refused, RegionInfo};

use super::config::{QemuConfig, QemuDevice};
use super::error::BridgeError;
use super::live::Live;
use super::process::Qemu;
use super::reset::Completion;

/// A device of a QEMU machine.
#[derive(Debug)]
pub struct QemuFunction {
    config: Arc<QemuConfig>,
    device: QemuDevice,
    ram: Arc<OwnedFd>,
    /// `None` while it is without power.
    live: Option<Live>,
}

impl QemuFunction {
    /// Powers `device` up; `ram` is the machine's memory, `config.memory_mib` MiB long.
    ///
    /// # Errors
    /// As [`Qemu::start`], and when the device has no place in the address map.
    pub fn start(
        config: Arc<QemuConfig>,
        device: QemuDevice,
        ram: Arc<OwnedFd>,
    ) -> Result<Self, BridgeError> {
        let live = Some(Live::start(&config, &device, &ram)?);
        Ok(QemuFunction {
            config,
            device,
            ram,
            live,
        })
    }

    /// What the machine file says of it.
    #[must_use]
    pub fn device(&self) -> &QemuDevice {
        &self.device
    }

    /// Its QEMU, while it has power.
    #[must_use]
    pub fn qemu(&mut self) -> Option<&mut Qemu> {
        self.live.as_mut().map(|live| &mut live.qemu)
    }

    /// Takes the power away; accesses fail until [`Self::power_on`].
    pub fn power_off(&mut self) {
        self.live = None;
    }

    /// Gives it power, with all its state as new. Does nothing when it has power and is well.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn power_on(&mut self) -> Result<(), BridgeError> {
        if self.live.as_ref().is_some_and(|live| live.qemu.is_alive()) {
            return Ok(());
        }
        self.live = None;
        self.live = Some(Live::start(&self.config, &self.device, &self.ram)?);
        Ok(())
    }

    fn try_reset(&mut self) -> Result<(), BridgeError> {
        let completion = Completion::of(&self.device.model);
        if completion != Completion::PowerCycle
            && let Some(live) = &mut self.live
        {
            match live.reset(completion) {
                Ok(()) => return Ok(()),
                Err(e) => log::warn!(
                    "{}: no bus reset, so the power is cycled: {e}; QEMU said: {}",
                    self.device.address,
                    live.qemu.stderr()
                ),
            }
        }
        self.power_off();
        self.power_on()
    }

    /// As VFIO: an access to a BAR that the command register has switched off is an error.
    fn decoding(&self, index: u32) -> Result<(), Refused> {
        match &self.live {
            Some(live) if live.decodes(index) => Ok(()),
            _ => Err(Refused::IO),
        }
    }

    /// Runs an access on the device.
    fn with<T>(
        &mut self,
        access: impl FnOnce(&mut Live) -> Result<T, BridgeError>,
    ) -> Result<T, Refused> {
        let live = self.live.as_mut().ok_or(Refused::IO)?;
        access(live).map_err(|e| {
            log::error!("{}: {e}", self.device.address);
            Refused::IO
        })
    }
}

impl PciFunction for QemuFunction {
    fn config_read(&mut self, offset: usize, data: &mut [u8]) -> Result<(), Refused> {
        self.with(|live| live.config_read(offset, data))
    }

    fn config_write(&mut self, offset: usize, data: &[u8]) -> Result<(), Refused> {
        self.with(|live| live.config_write(offset, data))
    }

    fn region(&self, index: u32) -> RegionInfo {
        let Some(live) = &self.live else {
            return RegionInfo::default();
        };
        if index == REGION_CONFIG {
            return RegionInfo {
                size: live.config_size as u64,
                read: true,
                write: true,
                mmap: None,
            };
        }
        live.region(index)
            .map(super::live::Region::info)
            .unwrap_or_default()
    }

    fn region_read(&mut self, index: u32, offset: u64, data: &mut [u8]) -> Result<(), Refused> {
        self.decoding(index)?;
        self.with(|live| live.read(index, offset, data))
    }

    fn region_write(&mut self, index: u32, offset: u64, data: &[u8]) -> Result<(), Refused> {
        if index == REGION_ROM {
            return Err(Refused::INVALID);
        }
        self.decoding(index)?;
        self.with(|live| live.write(index, offset, data))
    }

    /// Refused: QEMU's devices reach the machine's one RAM file and nothing else.
    fn dma_map(
        &mut self,
        iova: u64,
        size: u64,
        _prot: DmaProt,
        _file: Option<(OwnedFd, u64)>,
    ) -> Result<(), Refused> {
        log::warn!(
            "{}: QEMU's devices can't reach foreign memory ({size:#x} bytes at {iova:#x})",
            self.device.address
        );
        Err(Refused::UNSUPPORTED)
    }

    fn dma_unmap(&mut self, _iova: u64, _size: u64) -> Result<(), Refused> {
        Err(Refused::UNSUPPORTED)
    }

    fn reset(&mut self) -> Result<(), Refused> {
        self.try_reset().map_err(|e| {
            log::error!("{}: reset failed: {e}", self.device.address);
            Refused::IO
        })
    }
}
