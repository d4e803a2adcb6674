// SPDX-License-Identifier: MIT
//! The driver as the core sees it.

use crate::registers::{ProbeError, Registers};
use crate::screen::{Screen, errno, line};
use crate::vram::Vram;
use driver_sys::abi::AbiDevice;
use drvhost_abi::tables::DeviceV1;
use drvhost_abi::{Errno, Host};
use drvhost_drm::gpu::{
    ConnectorDesc, CrtcDesc, CrtcUpdate, Detected, EncoderDesc, GpuDriver, Info, Pipeline,
    PlaneDesc, PlaneKind, Status, VblankSource,
};
use drvhost_drm::uapi::{
    DRM_MODE_CONNECTOR_VIRTUAL, DRM_MODE_ENCODER_VIRTUAL, DrmFourcc, drm_mode_modeinfo,
};
use std::sync::{Mutex, PoisonError};

/// Base class and subclass of a VGA.
const CLASS_VGA: u32 = 0x0300;
/// VirtualBox, whose adapters know no EDID.
const VIRTUALBOX: u32 = 0x80ee;
/// Largest framebuffer in either direction, in pixels.
const LARGEST: u32 = 8192;

/// One adapter.
#[derive(Debug)]
pub struct Dispi {
    host: Host,
    registers: Registers<AbiDevice>,
    vram: Vram,
    memory: u64,
    flip: bool,
    connected: bool,
    screen: Mutex<Screen>,
}

impl Dispi {
    fn log(host: &Host, level: log::Level, text: &str) {
        host.log(level, "dispi", text);
    }

    fn find(host: &Host, device: &'static DeviceV1) -> Result<Dispi, ProbeError> {
        let vga = device.id.class >> 8 == CLASS_VGA;
        let registers = Registers::new(AbiDevice::new(device)?, vga)?;
        let memory = registers.video_memory()?;
        let vram = Vram::new(registers.device(), device, memory)?;
        let param = |name, default| {
            let value = host.param(name);
            value.map_or(default, |value| value != "0")
        };
        Ok(Dispi {
            host: *host,
            registers,
            vram,
            memory,
            flip: param("pageflip", true),
            connected: param("connected", device.id.vendor == VIRTUALBOX),
            screen: Mutex::default(),
        })
    }
}

impl GpuDriver for Dispi {
    fn probe(host: Host, device: &'static DeviceV1) -> Result<Dispi, Errno> {
        match Dispi::find(&host, device) {
            Ok(found) => {
                let text = format!(
                    "DISPI version {:#06x}{}, {} KiB of video memory{}",
                    found.registers.version(),
                    if found.registers.is_vga() {
                        " on a VGA"
                    } else {
                        ""
                    },
                    found.memory >> 10,
                    if found.vram.is_mapped() {
                        ""
                    } else {
                        ", not mappable"
                    },
                );
                Dispi::log(&host, log::Level::Info, &text);
                Ok(found)
            }
            Err(error) => {
                Dispi::log(&host, log::Level::Error, &error.to_string());
                Err(match error {
                    ProbeError::Device(error) => errno(error),
                    _ => Errno::ENODEV,
                })
            }
        }
    }

    fn info(&self) -> Info {
        Info {
            name: "dispi",
            description: "Bochs DISPI display adapters",
            date: "0",
            version: (1, 0, 0),
        }
    }

    fn pipeline(&self) -> Pipeline {
        use DrmFourcc::{
            Abgr8888, Argb8888, Bgra8888, Bgrx8888, Rgb565, Rgb888, Xbgr8888, Xrgb8888, Xrgb2101010,
        };
        let opaque = [Xrgb8888, Argb8888, Xbgr8888, Abgr8888, Bgrx8888, Bgra8888];
        let formats: Vec<u32> = opaque
            .into_iter()
            .chain([Rgb565, Rgb888, Xrgb2101010])
            .map(|format| format as u32)
            .collect();
        let plane = |kind, formats| PlaneDesc {
            kind,
            formats,
            modifiers: vec![0],
            possible_crtcs: 1,
            movable: true,
        };
        Pipeline {
            planes: vec![
                plane(PlaneKind::Primary, formats.clone()),
                plane(PlaneKind::Overlay, formats),
                plane(PlaneKind::Cursor, vec![Argb8888 as u32]),
            ],
            crtcs: vec![CrtcDesc {
                gamma_size: 256,
                vblank: VblankSource::Software,
            }],
            encoders: vec![EncoderDesc {
                kind: DRM_MODE_ENCODER_VIRTUAL,
                possible_crtcs: 1,
                possible_clones: 1,
            }],
            connectors: vec![ConnectorDesc {
                kind: DRM_MODE_CONNECTOR_VIRTUAL,
                encoders: vec![0],
                edid: true,
            }],
            min_size: (0, 0),
            max_size: (LARGEST, LARGEST),
            cursor_size: (64, 64),
            preferred_depth: 24,
            prefer_shadow: false,
            async_page_flip: false,
        }
    }

    fn detect(&self, _connector: usize) -> Detected {
        let edid = self.registers.edid().unwrap_or_else(|error| {
            Dispi::log(
                &self.host,
                log::Level::Warn,
                &format!("reading the EDID: {error}"),
            );
            Vec::new()
        });
        let status = if self.connected || !edid.is_empty() {
            Status::Connected
        } else {
            Status::Disconnected
        };
        Detected {
            status,
            edid,
            modes: Vec::new(),
        }
    }

    fn mode_valid(&self, _connector: usize, mode: &drm_mode_modeinfo) -> bool {
        let (width, height) = (u32::from(mode.hdisplay), u32::from(mode.vdisplay));
        // A VGA cuts widths to multiples of eight; below 64 pixels nothing shows a picture.
        let whole = !self.registers.is_vga() || width.is_multiple_of(8);
        let size = u64::from(line(width)) * u64::from(height) * 4;
        whole && width >= 64 && height >= 64 && size <= self.memory
    }

    fn commit(&self, update: &CrtcUpdate<'_>) -> Result<(), Errno> {
        let mut screen = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
        if !update.active {
            return screen.off(&self.registers);
        }
        if update.modeset {
            return screen.set(
                &self.registers,
                &self.vram,
                self.memory,
                self.flip,
                &update.frame,
            );
        }
        screen.update(&self.registers, &self.vram, &update.frame)
    }
}
