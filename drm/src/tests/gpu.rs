// SPDX-License-Identifier: MIT
//! A GPU that keeps what it is given: two CRTCs, the first with all kinds of planes.

use crate::gpu::*;
use crate::mode::Mode;
use crate::rect::Rect;
use crate::uapi::*;
use drvhost_abi::tables::DeviceV1;
use drvhost_abi::{Errno, Host};
use std::sync::{Arc, Mutex};

/// A screen's pixels as `0x00RRGGBB`, row by row.
#[derive(Debug, Default)]
pub struct Screen {
    pub active: bool,
    pub size: (u32, u32),
    pub pixels: Vec<u32>,
    pub commits: usize,
    pub damage: Vec<Rect>,
}

#[derive(Debug, Default)]
pub struct FakeGpu {
    pub screens: Arc<Mutex<[Screen; 2]>>,
}

pub const XR24: u32 = DrmFourcc::Xrgb8888 as u32;
pub const AR24: u32 = DrmFourcc::Argb8888 as u32;
pub const RG16: u32 = DrmFourcc::Rgb565 as u32;

/// 64 × 32 at 100 Hz.
pub fn small_mode() -> Mode {
    Mode {
        clock: 1000,
        hdisplay: 64,
        hsync_start: 70,
        hsync_end: 80,
        htotal: 100,
        vdisplay: 32,
        vsync_start: 40,
        vsync_end: 50,
        vtotal: 100,
        type_: DRM_MODE_TYPE_PREFERRED,
        ..Default::default()
    }
}

/// 32 × 32 at 100 Hz.
pub fn tiny_mode() -> Mode {
    Mode {
        hdisplay: 32,
        type_: 0,
        ..small_mode()
    }
}

/// Nanoseconds between blanks of both modes.
pub const FRAME: u64 = 10_000_000;

impl GpuDriver for FakeGpu {
    fn probe(_: Host, _: &'static DeviceV1) -> Result<FakeGpu, Errno> {
        Ok(FakeGpu::default())
    }

    fn info(&self) -> Info {
        Info {
            name: "fake",
            description: "a fake",
            date: "0",
            version: (1, 2, 3),
        }
    }

    fn pipeline(&self) -> Pipeline {
        let plane = |kind, crtcs, movable| PlaneDesc {
            kind,
            formats: match kind {
                PlaneKind::Cursor => vec![AR24],
                _ => vec![XR24, AR24, RG16],
            },
            modifiers: vec![0],
            possible_crtcs: crtcs,
            movable,
        };
        let crtc = CrtcDesc {
            gamma_size: 256,
            vblank: VblankSource::Software,
        };
        let encoder = EncoderDesc {
            kind: DRM_MODE_ENCODER_VIRTUAL,
            possible_crtcs: 3,
            possible_clones: 1,
        };
        let connector = |encoder| ConnectorDesc {
            kind: DRM_MODE_CONNECTOR_VIRTUAL,
            encoders: vec![encoder],
            edid: true,
        };
        Pipeline {
            planes: vec![
                plane(PlaneKind::Primary, 1, false),
                plane(PlaneKind::Primary, 2, false),
                plane(PlaneKind::Overlay, 1, true),
                plane(PlaneKind::Cursor, 1, true),
            ],
            crtcs: vec![crtc.clone(), crtc],
            encoders: vec![encoder.clone(), encoder],
            connectors: vec![connector(0), connector(1)],
            min_size: (1, 1),
            max_size: (4096, 4096),
            cursor_size: (64, 64),
            preferred_depth: 24,
            prefer_shadow: false,
            async_page_flip: true,
        }
    }

    fn detect(&self, _: usize) -> Detected {
        Detected {
            status: Status::Connected,
            edid: Vec::new(),
            modes: vec![tiny_mode(), small_mode()],
        }
    }

    fn mode_valid(&self, _: usize, mode: &Mode) -> bool {
        mode.hdisplay <= 64
    }

    fn commit(&self, update: &CrtcUpdate<'_>) -> Result<(), Errno> {
        let screen = &mut self.screens.lock().unwrap()[update.crtc];
        screen.active = update.active;
        screen.commits += 1;
        screen.damage = update.frame.damage.rects().to_vec();
        if !update.active {
            return Ok(());
        }
        let size = (update.frame.bounds.width(), update.frame.bounds.height());
        if update.modeset {
            screen.size = size;
            screen.pixels = vec![0xdead_beef; (size.0 * size.1) as usize];
        }
        assert_eq!(screen.size, size);
        for rect in &screen.damage {
            for y in rect.y1..rect.y2 {
                let mut row = vec![0; rect.width() as usize * 4];
                update.frame.row(rect.x1 as u32, y as u32, &mut row);
                let start = (y as u32 * size.0) as usize + rect.x1 as usize;
                for (to, from) in screen.pixels[start..].iter_mut().zip(row.chunks_exact(4)) {
                    *to = u32::read_from(from);
                }
            }
        }
        Ok(())
    }
}
