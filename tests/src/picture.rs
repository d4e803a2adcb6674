// SPDX-License-Identifier: MIT
//! Pictures: what a monitor shows, as RGB bytes.

use crate::machine::Machine;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::path::Path;

/// A picture in RGB, 3 bytes a pixel, row by row.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `width * height * 3` bytes.
    pub rgb: Vec<u8>,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "picture of {}x{}", self.width, self.height)
    }
}

impl Picture {
    /// Reads a PNG; alpha is dropped.
    pub fn read(path: &Path) -> Result<Picture> {
        let file = std::io::BufReader::new(std::fs::File::open(path)?);
        let mut reader = png::Decoder::new(file).read_info()?;
        let mut bytes = vec![0; reader.output_buffer_size().context("too large")?];
        let info = reader.next_frame(&mut bytes)?;
        ensure!(
            info.bit_depth == png::BitDepth::Eight,
            "{:?}",
            info.bit_depth
        );
        let rgb = match info.color_type {
            png::ColorType::Rgb => bytes,
            png::ColorType::Rgba => bytes.chunks(4).flat_map(|p| [p[0], p[1], p[2]]).collect(),
            other => anyhow::bail!("{other:?}"),
        };
        Ok(Picture {
            width: info.width,
            height: info.height,
            rgb,
        })
    }

    /// What the machine's monitor shows.
    pub fn of_monitor(machine: &Machine, device: &str) -> Result<Picture> {
        let path = machine.file("monitor.png");
        machine.hardware(&json!({"command": "screenshot", "device": device, "file": path}))?;
        Picture::read(&path)
    }

    /// What `drvhost screenshot` says that a card shows.
    pub fn of_card(machine: &Machine, card: &str) -> Result<Picture> {
        let path = machine.file("card.png");
        machine.drvhost(&["screenshot", card, path.to_str().context("path")?])?;
        Picture::read(&path)
    }

    /// The pixel at a place.
    pub fn pixel(&self, x: u32, y: u32) -> [u8; 3] {
        let at = ((y * self.width + x) * 3) as usize;
        [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]]
    }
}
