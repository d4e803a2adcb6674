// SPDX-License-Identifier: MIT
//! What the monitor shows: video memory as the registers say.

use driver_sys::Mapping;
use sha2::{Digest, Sha256};

use super::registers::{Registers, index};

/// The smallest width and height that the adapter shows.
const SMALLEST: u16 = 64;
/// What a monitor without a signal shows, in black.
const DARK: (u32, u32) = (640, 480);

/// A mode, in pixels and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Mode {
    /// Visible pixels in a line.
    pub width: u32,
    /// Visible lines.
    pub height: u32,
    /// Bits per pixel: 16 or 32.
    pub bpp: u32,
    /// Bytes from line to line.
    pub stride: u32,
    /// Bytes from the start of video memory to the first visible pixel.
    pub offset: u64,
    /// First visible column of the virtual screen.
    pub x: u32,
    /// First visible line of the virtual screen.
    pub y: u32,
    /// Byte order of 32-bit pixels.
    pub big_endian: bool,
}

/// The mode in the registers; `None` when it is off, of an unknown depth, smaller than 64 pixels,
/// or does not fit in video memory.
pub fn mode(registers: &Registers, vram_size: u64) -> Option<Mode> {
    let reg = |index| registers.dispi(index);
    let (width, height) = (reg(index::XRES), reg(index::YRES));
    let bpp: u32 = reg(index::BPP).into();
    let known = matches!(bpp, 16 | 32);
    if reg(index::ENABLE) & 1 == 0 || !known || width < SMALLEST || height < SMALLEST {
        return None;
    }
    let (x, y) = (
        u32::from(reg(index::X_OFFSET)),
        u32::from(reg(index::Y_OFFSET)),
    );
    let pixel = bpp / 8;
    let stride = u32::from(reg(index::VIRT_WIDTH).max(width)) * pixel;
    let offset = u64::from(y) * u64::from(stride) + u64::from(x) * u64::from(pixel);
    let end = offset + u64::from(height) * u64::from(stride);
    (end <= vram_size).then_some(Mode {
        width: width.into(),
        height: height.into(),
        bpp,
        stride,
        offset,
        x,
        y,
        big_endian: registers.big_endian(),
    })
}

/// Pixels, three bytes each: red, green, blue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels in a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// Line after line, no padding.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// SHA-256 of the RGB bytes, in hexadecimal.
    pub fn sha256(&self) -> String {
        Sha256::digest(&self.rgb)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Writes the picture as PNG (8 bits RGB).
    ///
    /// # Errors
    /// What the writer or the encoder says.
    pub fn write_png(&self, writer: impl std::io::Write) -> Result<(), png::EncodingError> {
        let mut encoder = png::Encoder::new(writer, self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.rgb)?;
        writer.finish()
    }
}

/// Reads the visible pixels out of video memory; black without a mode.
pub fn picture(mode: Option<Mode>, vram: &Mapping) -> Picture {
    let (width, height) = mode.map_or(DARK, |mode| (mode.width, mode.height));
    let mut rgb = Vec::with_capacity(width as usize * height as usize * 3);
    if let Some(mode) = mode {
        let mut line = vec![0; (mode.width * mode.bpp / 8) as usize];
        for y in 0..u64::from(mode.height) {
            let at = mode.offset + y * u64::from(mode.stride);
            if vram.read_slice(at as usize, &mut line).is_err() {
                break;
            }
            convert(&mode, &line, &mut rgb);
        }
    }
    rgb.resize(width as usize * height as usize * 3, 0);
    Picture { width, height, rgb }
}

fn convert(mode: &Mode, line: &[u8], rgb: &mut Vec<u8>) {
    match (mode.bpp, mode.big_endian) {
        (32, false) => line
            .chunks_exact(4)
            .for_each(|p| rgb.extend([p[2], p[1], p[0]])),
        (32, true) => line
            .chunks_exact(4)
            .for_each(|p| rgb.extend([p[1], p[2], p[3]])),
        // RGB 5:6:5, always little-endian.
        _ => line.chunks_exact(2).for_each(|p| {
            let value = u16::from_le_bytes([p[0], p[1]]);
            let (r, g, b) = (
                (value >> 11) as u8,
                (value >> 5 & 63) as u8,
                (value & 31) as u8,
            );
            rgb.extend([r << 3 | r >> 2, g << 2 | g >> 4, b << 3 | b >> 2]);
        }),
    }
}
