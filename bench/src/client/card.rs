// SPDX-License-Identifier: MIT
//! A node's calls: those that are measured, and those that put a picture on the screen.

use super::ioctl::ioctl;
use anyhow::{Context, Result, bail, ensure};
use drvhost_drm::uapi::{self, ioctl as nr};
use std::fs::File;
use std::io::Read;

/// An open node.
#[derive(Debug)]
pub struct Card {
    file: File,
    /// Connectors, CRTCs and encoders: their ids fill a program's arrays.
    ids: [Vec<u32>; 3],
}

/// A picture on the screen, and the framebuffers to flip between.
#[derive(Debug)]
pub struct Screen {
    crtc: u32,
    framebuffers: Vec<u32>,
    next: usize,
}

/// How many buffers and framebuffers a screen has.
const BUFFERS: usize = 4;

impl Card {
    /// Opens a node by name.
    pub fn open(node: &str) -> Result<Card> {
        let path = format!("/dev/dri/{node}");
        let file = File::options().read(true).write(true).open(&path);
        Ok(Card {
            file: file.context(path)?,
            ids: Default::default(),
        })
    }

    /// The card's `GET_CAP`.
    pub fn get_cap(&self) -> Result<()> {
        let mut cap = uapi::drm_get_cap {
            capability: uapi::DRM_CAP_DUMB_BUFFER.into(),
            ..Default::default()
        };
        // SAFETY: no pointers.
        unsafe { ioctl(&self.file, nr::GET_CAP, &mut cap) }?;
        ensure!(cap.value == 1, "no dumb buffers");
        Ok(())
    }

    /// `MODE_GETRESOURCES` with room for what the last one counted, as programs make it.
    pub fn resources(&mut self) -> Result<()> {
        let [connectors, crtcs, encoders] = &mut self.ids;
        let mut resources = uapi::drm_mode_card_res {
            connector_id_ptr: connectors.as_mut_ptr() as u64,
            count_connectors: connectors.len() as u32,
            crtc_id_ptr: crtcs.as_mut_ptr() as u64,
            count_crtcs: crtcs.len() as u32,
            encoder_id_ptr: encoders.as_mut_ptr() as u64,
            count_encoders: encoders.len() as u32,
            ..Default::default()
        };
        // SAFETY: the arrays are as long as the counts say.
        unsafe { ioctl(&self.file, nr::MODE_GETRESOURCES, &mut resources) }?;
        connectors.resize(resources.count_connectors as usize, 0);
        crtcs.resize(resources.count_crtcs as usize, 0);
        encoders.resize(resources.count_encoders as usize, 0);
        ensure!(!crtcs.is_empty(), "no CRTC");
        Ok(())
    }

    /// Makes buffers and framebuffers, and sets the first mode of the first connected connector.
    pub fn set_up(&mut self) -> Result<Screen> {
        // Once for the counts, once for the ids.
        self.resources()?;
        self.resources()?;
        let (connector, mode) = self.connected()?;
        let crtc = *self.ids[1].first().context("no CRTC")?;
        let framebuffers = (0..BUFFERS)
            .map(|_| self.framebuffer(mode.hdisplay.into(), mode.vdisplay.into()))
            .collect::<Result<Vec<_>>>()?;
        let mut set = uapi::drm_mode_crtc {
            set_connectors_ptr: std::ptr::from_ref(&connector) as u64,
            count_connectors: 1,
            crtc_id: crtc,
            fb_id: framebuffers[0],
            mode_valid: 1,
            mode,
            ..Default::default()
        };
        // SAFETY: one connector, as counted.
        unsafe { ioctl(&self.file, nr::MODE_SETCRTC, &mut set) }.context("MODE_SETCRTC")?;
        Ok(Screen {
            crtc,
            framebuffers,
            next: 1,
        })
    }

    fn connected(&self) -> Result<(u32, uapi::drm_mode_modeinfo)> {
        for &connector_id in &self.ids[0] {
            let mut count = uapi::drm_mode_get_connector {
                connector_id,
                ..Default::default()
            };
            // SAFETY: all counts are zero.
            unsafe { ioctl(&self.file, nr::MODE_GETCONNECTOR, &mut count) }?;
            let mut modes = vec![uapi::drm_mode_modeinfo::default(); count.count_modes as usize];
            let mut get = uapi::drm_mode_get_connector {
                connector_id,
                modes_ptr: modes.as_mut_ptr() as u64,
                count_modes: modes.len() as u32,
                ..Default::default()
            };
            // SAFETY: as many modes as counted; the other counts are zero.
            unsafe { ioctl(&self.file, nr::MODE_GETCONNECTOR, &mut get) }?;
            if let Some(mode) = modes
                .first()
                .filter(|_| get.connection == uapi::DRM_MODE_CONNECTED)
            {
                return Ok((connector_id, *mode));
            }
        }
        bail!("no connected connector with a mode")
    }

    fn framebuffer(&self, width: u32, height: u32) -> Result<u32> {
        let mut dumb = uapi::drm_mode_create_dumb {
            width,
            height,
            bpp: 32,
            ..Default::default()
        };
        // SAFETY: no pointers.
        unsafe { ioctl(&self.file, nr::MODE_CREATE_DUMB, &mut dumb) }.context("CREATE_DUMB")?;
        let mut framebuffer = uapi::drm_mode_fb_cmd {
            width,
            height,
            pitch: dumb.pitch,
            bpp: 32,
            depth: 24,
            handle: dumb.handle,
            ..Default::default()
        };
        // SAFETY: no pointers.
        unsafe { ioctl(&self.file, nr::MODE_ADDFB, &mut framebuffer) }.context("MODE_ADDFB")?;
        Ok(framebuffer.fb_id)
    }

    /// Asks for a page flip and its event.
    pub fn flip(&self, screen: &mut Screen) -> Result<()> {
        let mut flip = uapi::drm_mode_crtc_page_flip {
            crtc_id: screen.crtc,
            fb_id: screen.framebuffers[screen.next],
            flags: uapi::DRM_MODE_PAGE_FLIP_EVENT,
            ..Default::default()
        };
        screen.next = (screen.next + 1) % screen.framebuffers.len();
        // SAFETY: no pointers.
        unsafe { ioctl(&self.file, nr::MODE_PAGE_FLIP, &mut flip) }.context("MODE_PAGE_FLIP")?;
        Ok(())
    }

    /// Waits for the event of a flip: its vblank's number and time in nanoseconds.
    pub fn flipped(&mut self) -> Result<(u32, u64)> {
        const EVENT: usize = size_of::<uapi::drm_event_vblank>();
        let mut bytes = [0; EVENT];
        let len = self.file.read(&mut bytes).context("reading the event")?;
        ensure!(len == EVENT, "an event of {len} bytes");
        let word = |at: usize| -> u32 {
            bytes[at..]
                .first_chunk()
                .map_or(0, |bytes| u32::from_ne_bytes(*bytes))
        };
        ensure!(
            word(0) == uapi::DRM_EVENT_FLIP_COMPLETE,
            "an event of kind {}",
            word(0)
        );
        let seconds = word(std::mem::offset_of!(uapi::drm_event_vblank, tv_sec));
        let micros = word(std::mem::offset_of!(uapi::drm_event_vblank, tv_usec));
        let sequence = word(std::mem::offset_of!(uapi::drm_event_vblank, sequence));
        Ok((
            sequence,
            u64::from(seconds) * 1_000_000_000 + u64::from(micros) * 1000,
        ))
    }
}
