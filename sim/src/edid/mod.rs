// SPDX-License-Identifier: MIT
//! Makes the EDID of a simulated monitor (VESA E-EDID 1.4, with one CTA-861 extension).
//!
//! With its defaults it is, byte for byte, the one of QEMU 7.2's displays. `timings` knows the
//! standard modes, `descriptor` the 18-byte pieces.

mod descriptor;
mod timings;

use descriptor::Descriptor;

/// Bytes of an EDID block.
pub const BLOCK: usize = 128;
/// Bytes of what [`Edid::generate`] makes: base block and extension.
pub const SIZE: usize = 2 * BLOCK;

/// A monitor's description of itself; every field has a default.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Edid {
    /// Manufacturer: three capital letters.
    pub vendor: String,
    /// Product code.
    pub product: u16,
    /// Serial number, 0 for none.
    pub serial: u32,
    /// Serial number as text, at most 13 characters; empty for none.
    pub serial_text: String,
    /// Name, at most 13 characters.
    pub name: String,
    /// Preferred mode, width and height in pixels; at most 4095 each.
    pub preferred: (u16, u16),
    /// Refresh rate of the preferred mode, in Hz.
    pub refresh: u16,
    /// Size of the picture in millimetres; by default that of 100 dots per inch.
    pub size_mm: Option<(u16, u16)>,
    /// Other modes, width and height in pixels, 60 Hz. Each goes where the format has room:
    /// established timing, one of eight standard timings, established timing III.
    pub modes: Vec<(u16, u16)>,
    /// CTA-861 video codes of more modes, 1 to 127, at most 31.
    pub video_codes: Vec<u8>,
}

impl Default for Edid {
    fn default() -> Self {
        Self {
            vendor: "RHT".into(),
            product: 0x1234,
            serial: 0,
            serial_text: String::new(),
            name: "QEMU Monitor".into(),
            preferred: (1280, 800),
            refresh: 75,
            size_mm: None,
            modes: timings::DEFAULT_MODES.to_vec(),
            video_codes: vec![125, 101, 96, 89, 31, 97],
        }
    }
}

/// A description that the format can't hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("EDID: {0}")]
pub struct EdidError(String);

/// The checksum that makes a block's bytes add up to 0.
fn seal(block: &mut [u8]) {
    let sum = block[..BLOCK - 1]
        .iter()
        .fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    block[BLOCK - 1] = sum.wrapping_neg();
}

impl Edid {
    /// Makes the 256 bytes.
    ///
    /// # Errors
    /// When something does not fit; the message says what. Use a file for such monitors.
    pub fn generate(&self) -> Result<[u8; SIZE], EdidError> {
        let mut edid = [0; SIZE];
        let (base, extension) = edid.split_at_mut(BLOCK);
        let (width_mm, height_mm) = self.picture_size()?;

        base[..8].copy_from_slice(&[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]);
        base[8..10].copy_from_slice(&self.vendor_id()?.to_be_bytes());
        base[10..12].copy_from_slice(&self.product.to_le_bytes());
        base[12..16].copy_from_slice(&self.serial.to_le_bytes());
        // Made in week 42 of 2014; EDID 1.4; digital, 8 bits a colour, DisplayPort.
        base[16..21].copy_from_slice(&[42, 24, 1, 4, 0xa5]);
        base[21] = u8::try_from(width_mm / 10).unwrap_or(0);
        base[22] = u8::try_from(height_mm / 10).unwrap_or(0);
        // Gamma 2.2; sRGB by default, preferred mode is the native one; sRGB's primaries.
        base[23..35].copy_from_slice(&[
            0x78, 0x06, 0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54,
        ]);
        let placed = timings::place(&self.modes).map_err(EdidError)?;
        base[35..38].copy_from_slice(&placed.established);
        base[38..54].copy_from_slice(&placed.standard);

        let mut pieces = vec![
            Descriptor::detailed(self.preferred, self.refresh, (width_mm, height_mm))
                .map_err(EdidError)?,
        ];
        if placed.established3 != [0; 6] {
            pieces.push(Descriptor::established3(&placed.established3));
        }
        pieces.push(Descriptor::ranges());
        pieces.push(Descriptor::text(0xfc, "name", &self.name).map_err(EdidError)?);
        if !self.serial_text.is_empty() {
            let text = Descriptor::text(0xff, "serial number", &self.serial_text);
            pieces.push(text.map_err(EdidError)?);
        }

        // Tag, revision 3, where the descriptors start; then the video codes.
        let codes = self.codes()?;
        let start = 5 + codes.len();
        extension[..5].copy_from_slice(&[2, 3, start as u8, 0, 0x40 | codes.len() as u8]);
        extension[5..start].copy_from_slice(codes);

        let mut pieces = pieces.into_iter();
        let room = base[54..126].chunks_exact_mut(18);
        for slot in room.chain(extension[start..BLOCK - 1].chunks_exact_mut(18)) {
            let piece = pieces.next().unwrap_or_else(Descriptor::dummy);
            slot.copy_from_slice(&piece.0);
        }
        base[126] = 1;
        seal(base);
        seal(extension);
        Ok(edid)
    }

    fn vendor_id(&self) -> Result<u16, EdidError> {
        let letters = self.vendor.as_bytes();
        if letters.len() != 3 || !letters.iter().all(u8::is_ascii_uppercase) {
            let why = format!("vendor {:?} is not three capital letters", self.vendor);
            return Err(EdidError(why));
        }
        Ok(letters
            .iter()
            .fold(0, |id, letter| id << 5 | u16::from(letter - b'A' + 1)))
    }

    fn picture_size(&self) -> Result<(u16, u16), EdidError> {
        // 25.4 mm hold 100 dots.
        let mm = |dots: u16| u16::try_from(u32::from(dots) * 254 / 1000).unwrap_or(u16::MAX);
        let size = self
            .size_mm
            .unwrap_or((mm(self.preferred.0), mm(self.preferred.1)));
        if size.0 > 4095 || size.1 > 4095 {
            return Err(EdidError(format!(
                "{} x {} mm; 4095 is the most",
                size.0, size.1
            )));
        }
        Ok(size)
    }

    fn codes(&self) -> Result<&[u8], EdidError> {
        let codes = &self.video_codes;
        if codes.len() > 31 || codes.iter().any(|code| !(1..128).contains(code)) {
            return Err(EdidError(
                "video codes: at most 31, each from 1 to 127".into(),
            ));
        }
        Ok(codes)
    }
}

#[cfg(test)]
mod tests;
