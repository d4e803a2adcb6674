// SPDX-License-Identifier: MIT
//! Where a standard mode goes in an EDID (E-EDID 1.4, sections 3.8, 3.9 and 3.10.3.9).

/// The modes of QEMU's displays, in the order in which they take the places.
pub(super) const DEFAULT_MODES: [(u16, u16); 17] = [
    (640, 480),
    (800, 600),
    (1024, 768),
    (2048, 1152),
    (1920, 1080),
    (1920, 1200),
    (1600, 1200),
    (1680, 1050),
    (1440, 900),
    (1280, 1024),
    (1280, 960),
    (1280, 768),
    (1360, 768),
    (1400, 1050),
    (1792, 1344),
    (1856, 1392),
    (1920, 1440),
];

/// Established timings I and II at 60 Hz: byte and bit from byte 35.
const ESTABLISHED: [((u16, u16), usize, u8); 3] =
    [((640, 480), 0, 5), ((800, 600), 0, 0), ((1024, 768), 1, 3)];

/// Established timings III at 60 Hz with normal blanking: byte and bit of the descriptor.
const ESTABLISHED3: [((u16, u16), usize, u8); 12] = [
    ((848, 480), 0, 3),
    ((1280, 768), 1, 6),
    ((1280, 960), 1, 3),
    ((1280, 1024), 1, 1),
    ((1360, 768), 2, 7),
    ((1440, 900), 2, 5),
    ((1400, 1050), 2, 1),
    ((1680, 1050), 3, 5),
    ((1600, 1200), 3, 2),
    ((1792, 1344), 4, 5),
    ((1856, 1392), 4, 3),
    ((1920, 1440), 5, 5),
];

/// Modes in their places.
#[derive(Debug)]
pub(super) struct Placed {
    pub established: [u8; 3],
    pub standard: [u8; 16],
    pub established3: [u8; 6],
}

/// A standard timing at 60 Hz; `None` for widths and aspect ratios that it can't say.
fn standard((width, height): (u16, u16)) -> Option<[u8; 2]> {
    let ratio = [(16, 10), (4, 3), (5, 4), (16, 9)];
    let same = |&(x, y): &(u32, u32)| u32::from(width) * y == u32::from(height) * x;
    let aspect = ratio.iter().position(same)? as u8;
    if !(256..=2288).contains(&width) || width % 8 != 0 {
        return None;
    }
    Some([u8::try_from(width / 8 - 31).ok()?, aspect << 6])
}

pub(super) fn place(modes: &[(u16, u16)]) -> Result<Placed, String> {
    let mut placed = Placed {
        established: [0; 3],
        standard: [1; 16],
        established3: [0; 6],
    };
    let mut free = placed.standard.chunks_exact_mut(2);
    for &mode in modes {
        let bit = |table: &[((u16, u16), usize, u8)]| {
            table
                .iter()
                .find(|entry| entry.0 == mode)
                .map(|&(_, byte, bit)| (byte, 1u8 << bit))
        };
        if let Some((byte, bit)) = bit(&ESTABLISHED) {
            placed.established[byte] |= bit;
        } else if let Some((code, slot)) =
            standard(mode).and_then(|code| Some((code, free.next()?)))
        {
            slot.copy_from_slice(&code);
        } else if let Some((byte, bit)) = bit(&ESTABLISHED3) {
            placed.established3[byte] |= bit;
        } else {
            return Err(format!("no place for the mode {} x {}", mode.0, mode.1));
        }
    }
    Ok(placed)
}
