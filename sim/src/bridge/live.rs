// SPDX-License-Identifier: MIT
//! A device with power: its QEMU process, where its BARs are, and how each is reached.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::function::{RegionInfo, RegionMmap};

use super::config::{QemuConfig, QemuDevice};
use super::doorbell::Vectors;
use super::error::BridgeError;
use super::messages::Messages;
use super::process::Qemu;
use super::qtest::{Space, Width};
use super::reset::{Completion, DispiRegisters, machine_reset};
use super::shadow::Shadow;
use super::topology::{self, Bar, Function, Kind};
use super::vram::{self, VideoMemory};

/// PCI Express capability: what has it, has 4096 bytes of configuration space.
const CAP_EXPRESS: u8 = 0x10;
const COMMAND: usize = 4;

/// How a BAR is reached.
#[derive(Debug)]
enum Backing {
    /// Registers: one access after the other through qtest.
    Registers(Space),
    /// Video memory, whose copy is at this address of the QEMU process.
    Video(VideoMemory, u64),
}

/// A BAR and the way to it.
#[derive(Debug)]
pub(super) struct Region {
    bar: Bar,
    backing: Backing,
}

impl Region {
    pub(super) fn info(&self) -> RegionInfo {
        let mmap = match &self.backing {
            Backing::Video(video, _) => Some(RegionMmap {
                file: Arc::clone(video.file()),
                offset: 0,
                sparse: Vec::new(),
            }),
            Backing::Registers(_) => None,
        };
        RegionInfo {
            size: self.bar.size,
            read: true,
            write: self.bar.kind != Kind::Rom,
            mmap,
        }
    }
}

/// The device with power.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) qemu: Qemu,
    pub(super) config_size: usize,
    shadow: Shadow,
    bars: Vec<Bar>,
    regions: Vec<Region>,
    pub(super) messages: Messages,
    power_on: Option<DispiRegisters>,
    /// The low byte of the command register: what the device decodes.
    command: u8,
    fresh_shadow: Shadow,
}

impl Live {
    /// Powers the device up and does what firmware would. `video` is the video memory it had
    /// before, if that is to be kept.
    pub(super) fn start(
        config: &QemuConfig,
        device: &QemuDevice,
        ram: &OwnedFd,
        vectors: &Vectors,
        video: Option<&VideoMemory>,
    ) -> Result<Self, BridgeError> {
        let vectors = sends_messages(&device.model).then(|| Arc::clone(vectors));
        let mut qemu = Qemu::start(config, device, ram, vectors)?;
        open_buses(&mut qemu)?;
        if let Some(doorbell) = &qemu.doorbell {
            doorbell.try_out(&mut qemu.qtest)?;
        }
        let mut bars = topology::find_bars(&mut qemu.qtest, &device.model)?;
        topology::place(&mut bars, &device.model)?;
        qemu.qtest.write_all(&topology::program(&bars))?;
        let mut regions = Vec::new();
        for bar in &bars {
            let backing = find_backing(&mut qemu, bar, &device.model, video)?;
            let bar = bar.clone();
            regions.push(Region { bar, backing });
        }
        let mut head = [0; 256];
        topology::config_read(&mut qemu.qtest, Function::Device, 0, &mut head)?;
        let capabilities = capabilities(&head);
        let express = capabilities.iter().any(|&(id, _)| id == CAP_EXPRESS);
        let config_size = if express { 4096 } else { 256 };
        let mut shadow = Shadow::new(config_size);
        shadow.take_bars(&bars);
        let messages = match qemu.doorbell {
            Some(_) => Messages::find(&head, &capabilities),
            None => Messages::default(),
        };
        messages.shade(&head, &mut shadow);
        let power_on = match Completion::of(&device.model) {
            Completion::DispiRegisters => DispiRegisters::save(&mut qemu, &bars)?,
            _ => None,
        };
        Ok(Live {
            qemu,
            fresh_shadow: shadow.clone(),
            shadow,
            config_size,
            bars,
            regions,
            messages,
            power_on,
            command: topology::DECODE,
        })
    }

    /// BAR or ROM `index`.
    pub(super) fn region(&self, index: u32) -> Option<&Region> {
        self.regions.iter().find(|r| r.bar.index == index as usize)
    }

    /// The bus reset and what `completion` adds to it; not [`Completion::PowerCycle`].
    pub(super) fn reset(&mut self, completion: Completion) -> Result<(), BridgeError> {
        let mut writes = topology::secondary_bus_reset();
        if completion == Completion::MachineReset {
            self.qemu.qtest.write_all(&writes)?;
            writes.clear();
            machine_reset(&mut self.qemu)?;
            open_buses(&mut self.qemu)?;
        }
        writes.extend(topology::program(&self.bars));
        writes.extend((self.power_on.iter()).flat_map(DispiRegisters::restore));
        self.qemu.qtest.write_all(&writes)?;
        self.command = topology::DECODE;
        self.shadow = self.fresh_shadow.clone();
        Ok(())
    }

    /// Whether the device decodes accesses of the kind that `index` needs.
    pub(super) fn decodes(&self, index: u32) -> bool {
        let Some(region) = self.region(index) else {
            return false;
        };
        let bit = if region.bar.kind == Kind::Port { 1 } else { 2 };
        self.command & bit != 0
    }

    /// Reads configuration space as a client sees it.
    pub(super) fn config_read(&mut self, at: usize, data: &mut [u8]) -> Result<(), BridgeError> {
        topology::config_read(&mut self.qemu.qtest, Function::Device, at, data)?;
        self.shadow.overlay(at, data);
        Ok(())
    }

    /// Writes configuration space as far as it is a client's.
    pub(super) fn config_write(&mut self, at: usize, data: &[u8]) -> Result<(), BridgeError> {
        for range in self.shadow.absorb(at, data) {
            let at = at + range.start;
            let data = &data[range];
            topology::config_write(&mut self.qemu.qtest, Function::Device, at, data)?;
        }
        if (at..at + data.len()).contains(&COMMAND) {
            let mut command = [0];
            topology::config_read(
                &mut self.qemu.qtest,
                Function::Device,
                COMMAND,
                &mut command,
            )?;
            self.command = command[0];
        }
        Ok(())
    }

    /// The video memory, if it is a display's.
    pub(super) fn video(&self) -> Option<&VideoMemory> {
        self.regions
            .iter()
            .find_map(|region| match &region.backing {
                Backing::Video(video, _) => Some(video),
                Backing::Registers(_) => None,
            })
    }

    /// Brings QEMU's copy of video memory up to date.
    pub(super) fn show(&self) -> Result<(), BridgeError> {
        for region in &self.regions {
            if let Backing::Video(video, address) = &region.backing {
                video.show(&self.qemu.memory, *address)?;
            }
        }
        Ok(())
    }

    /// Lets the device send its messages, or stops it. `wanted` tells which MSI-X vectors.
    pub(super) fn arm(
        &mut self,
        msix: bool,
        on: bool,
        wanted: impl FnMut(usize) -> bool,
    ) -> Result<(), BridgeError> {
        let qtest = &mut self.qemu.qtest;
        if msix {
            self.messages.set_msix(qtest, &self.bars, on, wanted)
        } else {
            self.messages.set_msi(qtest, on)
        }
    }

    /// Reads within region `index`.
    pub(super) fn read(
        &mut self,
        index: u32,
        offset: u64,
        data: &mut [u8],
    ) -> Result<(), BridgeError> {
        let Some(region) = self.regions.iter().find(|r| r.bar.index == index as usize) else {
            return Ok(());
        };
        if self.messages.owns(index, offset, data.len()) {
            data.fill(0);
            return Ok(());
        }
        let address = region.bar.address + offset;
        match &region.backing {
            Backing::Video(video, _) => video.read(offset, data),
            &Backing::Registers(space) if region.bar.kind == Kind::Rom => {
                let qtest = &mut self.qemu.qtest;
                let register = region.bar.register();
                let base = region.bar.address.to_le_bytes();
                let on = [base[0] | 1, base[1], base[2], base[3]];
                topology::config_write(qtest, Function::Device, register, &on)?;
                let result = qtest.read(space, address, data, Width::Quad);
                topology::config_write(qtest, Function::Device, register, &base[..4])?;
                result
            }
            &Backing::Registers(space) => {
                (self.qemu.qtest).read(space, address, data, widest(space, data.len()))
            }
        }
    }

    /// Writes within region `index`.
    pub(super) fn write(
        &mut self,
        index: u32,
        offset: u64,
        data: &[u8],
    ) -> Result<(), BridgeError> {
        let Some(region) = self.regions.iter().find(|r| r.bar.index == index as usize) else {
            return Ok(());
        };
        if self.messages.owns(index, offset, data.len()) {
            return Ok(());
        }
        let address = region.bar.address + offset;
        match &region.backing {
            Backing::Video(video, _) => video.write(offset, data),
            &Backing::Registers(space) => {
                (self.qemu.qtest).write(space, address, data, widest(space, data.len()))
            }
        }
    }
}

/// Registers of PCI devices are 32 bits wide unless a client asks for one access of 64.
fn widest(space: Space, length: usize) -> Width {
    if space == Space::Memory && length == 8 {
        Width::Quad
    } else {
        Width::Long
    }
}

fn find_backing(
    qemu: &mut Qemu,
    bar: &Bar,
    model: &str,
    video: Option<&VideoMemory>,
) -> Result<Backing, BridgeError> {
    if bar.kind == Kind::Port {
        return Ok(Backing::Registers(Space::Port));
    }
    if bar.kind == Kind::Rom || !vram::only_reads(model) {
        return Ok(Backing::Registers(Space::Memory));
    }
    let mut address_of = |guest: u64| -> Result<Option<u64>, BridgeError> {
        let text = qemu.qmp.human(&format!("gpa2hva {guest:#x}"))?;
        Ok(vram::parse_gpa2hva(&text))
    };
    let first = address_of(bar.address)?;
    let last = address_of(bar.address + bar.size - 1)?;
    let (Some(first), Some(last)) = (first, last) else {
        return Ok(Backing::Registers(Space::Memory));
    };
    if last.wrapping_sub(first) != bar.size - 1 {
        return Ok(Backing::Registers(Space::Memory));
    }
    let video = match video.filter(|video| video.size() == bar.size) {
        Some(video) => video.clone(),
        None => VideoMemory::new(bar.size)?,
    };
    Ok(Backing::Video(video, first))
}

/// The way to the device and to the doorbell.
fn open_buses(qemu: &mut Qemu) -> Result<(), BridgeError> {
    topology::open_buses(&mut qemu.qtest)?;
    match &qemu.doorbell {
        Some(doorbell) => doorbell.program(&mut qemu.qtest),
        None => Ok(()),
    }
}

/// The displays have no interrupt: they need no doorbell, and start quicker without.
fn sends_messages(model: &str) -> bool {
    !matches!(model, "bochs-display" | "VGA" | "secondary-vga")
}

/// The capabilities: (id, offset).
fn capabilities(config: &[u8; 256]) -> Vec<(u8, usize)> {
    let mut found = Vec::new();
    if config[6] & 0x10 == 0 {
        return found;
    }
    let mut at = usize::from(config[0x34] & !3);
    // 48 fit into configuration space: a longer list is a loop.
    while at >= 0x40 && found.len() < 48 {
        found.push((config[at], at));
        at = usize::from(config[at + 1] & !3);
    }
    found
}
