// SPDX-License-Identifier: MIT
//! EDID as blocks of 128 bytes, and its 18-byte descriptors.

/// A block's length in bytes.
const BLOCK: usize = 128;
/// The tag of a CTA-861 extension.
pub(super) const TAG_CTA: u8 = 0x02;
/// The tag of a video timing block extension.
const TAG_VTB: u8 = 0x10;
const HEADER: [u8; 8] = [0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0];
/// With fewer of the header's bytes right, it is no EDID at all.
const HEADER_MATCHES: usize = 6;

/// Why bytes are no EDID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EdidError {
    /// Shorter than a block.
    #[error("an EDID has at least 128 bytes; there are {0}")]
    Short(usize),
    /// The first eight bytes are others.
    #[error("the EDID's header is wrong: only {0} of its 8 bytes are right")]
    Header(usize),
    /// The base block's bytes don't add up.
    #[error("the EDID's base block does not sum up to zero but to {0:#04x}")]
    Checksum(u8),
    /// Not version 1.
    #[error("EDID version {0} is not known; 1 is")]
    Version(u8),
}

/// A monitor's EDID: its base block and the extensions that are intact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edid {
    base: [u8; BLOCK],
    extensions: Vec<[u8; BLOCK]>,
}

/// An 18-byte descriptor.
pub(super) type Descriptor = [u8; 18];

impl Edid {
    /// Checks the base block and keeps it with its extensions, as many as it names and as there
    /// are. A base block with up to two wrong bytes in its header is repaired; an extension with a
    /// wrong sum is left out, unless it is a CTA one: Linux takes those.
    pub fn parse(bytes: &[u8]) -> Result<Edid, EdidError> {
        let (blocks, _) = bytes.as_chunks::<BLOCK>();
        let (base, rest) = blocks.split_first().ok_or(EdidError::Short(bytes.len()))?;
        let mut base = *base;
        let matches = (0..8).filter(|i| base[*i] == HEADER[*i]).count();
        if matches < HEADER_MATCHES {
            return Err(EdidError::Header(matches));
        }
        base[..8].copy_from_slice(&HEADER);
        match sum(&base) {
            0 => {}
            wrong => return Err(EdidError::Checksum(wrong)),
        }
        if base[18] != 1 {
            return Err(EdidError::Version(base[18]));
        }
        let extensions = rest
            .iter()
            .take(usize::from(base[126]))
            .filter(|block| sum(block) == 0 || block[0] == TAG_CTA)
            .copied()
            .collect();
        Ok(Edid { base, extensions })
    }

    /// The base block.
    pub(super) fn base(&self) -> &[u8; BLOCK] {
        &self.base
    }

    /// The minor version: 4 of EDID 1.4.
    pub(super) fn revision(&self) -> u8 {
        self.base[19]
    }

    /// The monitor takes a digital signal.
    pub fn is_digital(&self) -> bool {
        self.base[20] & 0x80 != 0
    }

    /// The intact CTA-861 extensions.
    pub(super) fn cta(&self) -> impl Iterator<Item = &[u8; BLOCK]> {
        self.extensions.iter().filter(|block| block[0] == TAG_CTA)
    }

    /// Every descriptor: the base block's four, then the extensions'.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = Descriptor> + '_ {
        let base = descriptors_in(&self.base[54..126]);
        let extensions = self.extensions.iter().flat_map(|block| {
            let all: &[u8] = match block[0] {
                // From where the block says to its last byte but the sum.
                TAG_CTA if (4..=127).contains(&block[2]) => &block[usize::from(block[2])..127],
                TAG_VTB if block[1] == 1 => &block[5..5 + 18 * usize::from(block[2].min(6))],
                _ => &[],
            };
            descriptors_in(all)
        });
        base.chain(extensions)
    }

    /// The payloads of display descriptors with one tag: all 18 bytes.
    pub(super) fn display_descriptors(&self, tag: u8) -> impl Iterator<Item = Descriptor> + '_ {
        self.descriptors()
            .filter(move |d| d[..3] == [0; 3] && d[3] == tag)
    }
}

fn descriptors_in(bytes: &[u8]) -> impl Iterator<Item = Descriptor> + '_ {
    bytes.as_chunks::<18>().0.iter().copied()
}

fn sum(block: &[u8; BLOCK]) -> u8 {
    block.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}
