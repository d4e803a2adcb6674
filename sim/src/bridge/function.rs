// SPDX-License-Identifier: MIT
//! One of QEMU's devices as a PCI function.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::function::{
    DmaProt, IRQ_MSI, IRQ_MSIX, PciFunction, REGION_CONFIG, REGION_RAM, REGION_ROM, Refused,
    RegionInfo, RegionMmap,
};

use super::config::{QemuConfig, QemuDevice};
use super::doorbell::Vectors;
use super::error::BridgeError;
use super::live::Live;
use super::process::Qemu;
use super::ram::Ram;
use super::reset::Completion;
use super::vram::VideoMemory;

const EBUSY: i32 = 16;

/// A device of a QEMU machine.
#[derive(Debug)]
pub struct QemuFunction {
    config: Arc<QemuConfig>,
    device: QemuDevice,
    ram: Arc<Ram>,
    /// The client's eventfds, and whether they are MSI-X's (else MSI's).
    vectors: Vectors,
    msix: bool,
    /// `None` while it is without power.
    live: Option<Live>,
}

impl QemuFunction {
    /// Powers `device` up; `ram` is the machine's memory.
    ///
    /// # Errors
    /// As [`Qemu::start`], and when the device has no place in the address map.
    pub fn start(
        config: Arc<QemuConfig>,
        device: QemuDevice,
        ram: Arc<Ram>,
    ) -> Result<Self, BridgeError> {
        let vectors = Vectors::default();
        let live = Some(Live::start(&config, &device, ram.file(), &vectors, None)?);
        Ok(QemuFunction {
            config,
            device,
            ram,
            vectors,
            msix: false,
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

    /// Its QEMU, to look at it: what clients wrote to video memory is there. `None` without power.
    ///
    /// # Errors
    /// When QEMU is gone.
    pub fn look(&mut self) -> Result<Option<&mut Qemu>, BridgeError> {
        let Some(live) = &mut self.live else {
            return Ok(None);
        };
        live.show()?;
        Ok(Some(&mut live.qemu))
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
        self.power_off();
        self.start_with(None)
    }

    fn try_reset(&mut self) -> Result<(), BridgeError> {
        let completion = Completion::of(&self.device.model);
        if completion != Completion::PowerCycle
            && let Some(live) = &mut self.live
        {
            match live.reset(completion) {
                Ok(()) => return self.arm(),
                Err(e) => log::warn!(
                    "{}: no bus reset, so the power is cycled: {e}; QEMU said: {}",
                    self.device.address,
                    live.qemu.stderr()
                ),
            }
        }
        // Clients have it mapped.
        let video = self.live.as_ref().and_then(|live| live.video().cloned());
        self.power_off();
        self.start_with(video)
    }

    fn start_with(&mut self, video: Option<VideoMemory>) -> Result<(), BridgeError> {
        let (config, device, ram) = (&self.config, &self.device, self.ram.file());
        let live = Live::start(config, device, ram, &self.vectors, video.as_ref())?;
        self.live = Some(live);
        self.arm()
    }

    /// Lets the device signal what its client has eventfds for, and nothing else.
    fn arm(&mut self) -> Result<(), BridgeError> {
        let Some(live) = &mut self.live else {
            return Ok(());
        };
        let wanted: Vec<bool> = (lock(&self.vectors).iter()).map(Option::is_some).collect();
        let on = wanted.contains(&true);
        for msix in [false, true] {
            let wanted = |vector| wanted.get(vector).copied().unwrap_or(false);
            live.arm(msix, on && msix == self.msix, wanted)?;
        }
        Ok(())
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

    fn region_count(&self) -> u32 {
        REGION_RAM + 1
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
        if index == REGION_RAM {
            return RegionInfo {
                size: self.ram.size(),
                read: false,
                write: false,
                mmap: Some(RegionMmap {
                    file: Arc::clone(self.ram.file()),
                    offset: 0,
                    sparse: Vec::new(),
                }),
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

    fn irq_count(&self, index: u32) -> u32 {
        let Some(live) = &self.live else {
            return 0;
        };
        let count = match index {
            IRQ_MSI => live.messages.msi_count(),
            IRQ_MSIX => live.messages.msix_count(),
            _ => 0,
        };
        u32::try_from(count).unwrap_or(0)
    }

    fn set_irqs(
        &mut self,
        index: u32,
        start: u32,
        fds: Vec<Option<OwnedFd>>,
    ) -> Result<(), Refused> {
        let msix = match index {
            IRQ_MSI => false,
            IRQ_MSIX => true,
            _ => return Err(Refused::UNSUPPORTED),
        };
        let ending = fds.iter().all(Option::is_none);
        {
            let mut vectors = lock(&self.vectors);
            let busy = vectors.iter().any(Option::is_some);
            if msix != self.msix && ending {
                return Ok(());
            }
            if msix != self.msix && busy {
                // One kind at a time, as PCI has it.
                return Err(Refused::Errno(EBUSY));
            }
            let end = start as usize + fds.len();
            if vectors.len() < end {
                vectors.resize_with(end, || None);
            }
            for (vector, fd) in (start as usize..).zip(fds) {
                vectors[vector] = fd;
            }
        }
        self.msix = msix;
        if self.live.is_none() {
            return Ok(());
        }
        self.arm().map_err(|e| {
            log::error!("{}: interrupts: {e}", self.device.address);
            Refused::IO
        })
    }

    /// Only of the machine's own memory: see [`super::ram`].
    fn dma_map(
        &mut self,
        iova: u64,
        size: u64,
        _prot: DmaProt,
        file: Option<(OwnedFd, u64)>,
    ) -> Result<(), Refused> {
        let file = file.as_ref().map(|(file, offset)| (file.as_fd(), *offset));
        let result = self.ram.claim(iova, size, file);
        if result == Err(Refused::UNSUPPORTED) {
            log::warn!(
                "{}: QEMU's devices reach no memory but the machine's: map a part of its file",
                self.device.address
            );
        }
        result
    }

    fn dma_unmap(&mut self, iova: u64, size: u64) -> Result<(), Refused> {
        self.ram.release(iova, size)
    }

    fn reset(&mut self) -> Result<(), Refused> {
        self.try_reset().map_err(|e| {
            log::error!("{}: reset failed: {e}", self.device.address);
            Refused::IO
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
