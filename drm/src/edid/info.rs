// SPDX-License-Identifier: MIT
//! Who the monitor is, how large, and what it can follow.

use super::blocks::Edid;

/// Tag of the descriptor with the monitor's name.
const TAG_NAME: u8 = 0xfc;
/// Tag of the descriptor with the monitor's serial number.
const TAG_SERIAL: u8 = 0xff;
/// Tag of the descriptor with the range limits.
pub(super) const TAG_RANGE: u8 = 0xfd;

/// What the monitor can follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeLimits {
    /// Lowest and highest vertical rate in Hz.
    pub vertical_hz: (u16, u16),
    /// Lowest and highest horizontal rate in kHz.
    pub horizontal_khz: (u16, u16),
    /// The highest pixel clock in kHz, 0 if it is not told.
    pub max_clock_khz: u32,
}

impl Edid {
    /// The picture's size in millimetres, width and height; zero where it is not told.
    pub fn size_mm(&self) -> (u32, u32) {
        let base = self.base();
        (u32::from(base[21]) * 10, u32::from(base[22]) * 10)
    }

    /// The manufacturer's three letters, and its number for the product.
    pub fn product(&self) -> (String, u16) {
        let base = self.base();
        let packed = u16::from_be_bytes([base[8], base[9]]);
        let letter = |shift: u16| match (packed >> shift & 0x1f) as u8 {
            code @ 1..=26 => char::from(b'A' + code - 1),
            _ => '?',
        };
        let letters = [letter(10), letter(5), letter(0)].iter().collect();
        (letters, u16::from_le_bytes([base[10], base[11]]))
    }

    /// The monitor's name, if it tells one: printable ASCII.
    pub fn name(&self) -> Option<String> {
        self.text(TAG_NAME)
    }

    /// The monitor's serial number as text, if it tells one.
    pub fn serial(&self) -> Option<String> {
        self.text(TAG_SERIAL)
    }

    /// What the monitor can follow, if it tells.
    pub fn range_limits(&self) -> Option<RangeLimits> {
        let d = self.display_descriptors(TAG_RANGE).next()?;
        // From 1.4 on, bits of the fifth byte add 255 to each.
        let offsets = if self.revision() >= 4 { d[4] } else { 0 };
        let value = |byte: u8, bit: u8| u16::from(byte) + if offsets & bit != 0 { 255 } else { 0 };
        Some(RangeLimits {
            vertical_hz: (value(d[5], 1), value(d[6], 2)),
            horizontal_khz: (value(d[7], 4), value(d[8], 8)),
            max_clock_khz: match d[9] {
                0 | 255 => 0,
                tens => u32::from(tens) * 10_000,
            },
        })
    }

    fn text(&self, tag: u8) -> Option<String> {
        let d = self.display_descriptors(tag).next()?;
        let text: String = d[5..]
            .iter()
            .take_while(|byte| **byte != b'\n')
            .map(|byte| match byte {
                0x20..=0x7e => char::from(*byte),
                _ => '?',
            })
            .collect();
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }
}
