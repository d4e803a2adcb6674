// SPDX-License-Identifier: MIT
//! The 18-byte descriptors of an EDID (E-EDID 1.4, section 3.10).

/// One descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Descriptor(pub [u8; 18]);

impl Descriptor {
    /// Fills a place that nothing needs.
    pub(super) fn dummy() -> Self {
        Self::tagged(0x10, &[])
    }

    fn tagged(tag: u8, content: &[u8]) -> Self {
        let mut bytes = [0; 18];
        bytes[3] = tag;
        bytes[5..5 + content.len()].copy_from_slice(content);
        Self(bytes)
    }

    /// A text: ends with a line feed, padded with spaces.
    pub(super) fn text(tag: u8, what: &str, text: &str) -> Result<Self, String> {
        let printable = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if text.len() > 13 || !printable {
            return Err(format!(
                "{what} {text:?} is not 13 printable ASCII characters or fewer"
            ));
        }
        let mut content = [0; 13];
        content[..text.len()].copy_from_slice(text.as_bytes());
        if let Some(end) = content.get_mut(text.len()) {
            *end = b'\n';
        }
        Ok(Self::tagged(tag, &content))
    }

    /// Established timings III.
    pub(super) fn established3(bits: &[u8; 6]) -> Self {
        let mut content = [0; 7];
        content[0] = 10; // revision
        content[1..].copy_from_slice(bits);
        Self::tagged(0xf7, &content)
    }

    /// What it can do: 50 to 125 Hz, 30 to 160 kHz, 2550 MHz, no formula.
    pub(super) fn ranges() -> Self {
        let padding = [b' '; 6];
        let mut content = [50, 125, 30, 160, 255, 1, b'\n', 0, 0, 0, 0, 0, 0];
        content[7..].copy_from_slice(&padding);
        Self::tagged(0xfd, &content)
    }

    /// A detailed timing. Blanking is in QEMU's proportions: 35 % to the right, 3.5 % below.
    pub(super) fn detailed(
        (width, height): (u16, u16),
        refresh: u16,
        (width_mm, height_mm): (u16, u16),
    ) -> Result<Self, String> {
        let (x, y) = (u32::from(width), u32::from(height));
        let (x_front, x_sync, x_blank) = (x * 25 / 100, x * 3 / 100, x * 35 / 100);
        let (y_front, y_sync, y_blank) = (y * 5 / 1000, y * 5 / 1000, y * 35 / 1000);
        // In units of 10 kHz.
        let clock = u64::from(x + x_blank) * u64::from(y + y_blank) * u64::from(refresh) / 10_000;
        let clock = u16::try_from(clock).ok().filter(|&clock| clock > 0);
        let fits = x <= 4095 && x_front < 1024 && x_sync < 1024 && y <= 4095 && y_sync < 64;
        let (Some(clock), true) = (clock, fits && x >= 64 && y >= 64) else {
            return Err(format!(
                "{width} x {height} at {refresh} Hz does not fit a detailed timing"
            ));
        };
        let low = |value: u32| value.to_le_bytes()[0];
        let high = |value: u32| value.to_le_bytes()[1];
        let (mm_x, mm_y) = (u32::from(width_mm), u32::from(height_mm));
        let [clock_low, clock_high] = clock.to_le_bytes();
        Ok(Self([
            clock_low,
            clock_high,
            low(x),
            low(x_blank),
            high(x) << 4 | high(x_blank),
            low(y),
            low(y_blank),
            high(y) << 4 | high(y_blank),
            low(x_front),
            low(x_sync),
            (low(y_front) & 15) << 4 | low(y_sync) & 15,
            high(x_front) << 6 | high(x_sync) << 4 | (low(y_front) >> 4) << 2 | low(y_sync) >> 4,
            low(mm_x),
            low(mm_y),
            high(mm_x) << 4 | high(mm_y),
            0,
            0,
            0x18, // separate digital sync
        ]))
    }
}
