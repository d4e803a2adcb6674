// SPDX-License-Identifier: MIT
//! Names for numbers, as the kernel writes them in sysfs, logs and property enums.

use core::ffi::c_char;

/// A connector type's name: `HDMI-A`, `Virtual` and so on; a connector is called
/// `<type>-<type id>`.
pub const fn connector_type(value: u32) -> Option<&'static str> {
    Some(match value {
        0 => "Unknown",
        1 => "VGA",
        2 => "DVI-I",
        3 => "DVI-D",
        4 => "DVI-A",
        5 => "Composite",
        6 => "SVIDEO",
        7 => "LVDS",
        8 => "Component",
        9 => "DIN",
        10 => "DP",
        11 => "HDMI-A",
        12 => "HDMI-B",
        13 => "TV",
        14 => "eDP",
        15 => "Virtual",
        16 => "DSI",
        17 => "DPI",
        18 => "Writeback",
        19 => "SPI",
        20 => "USB",
        _ => return None,
    })
}

/// An encoder type's name.
pub const fn encoder_type(value: u32) -> Option<&'static str> {
    Some(match value {
        0 => "None",
        1 => "DAC",
        2 => "TMDS",
        3 => "LVDS",
        4 => "TV",
        5 => "Virtual",
        6 => "DSI",
        7 => "DP MST",
        8 => "DPI",
        _ => return None,
    })
}

/// A name as the uAPI's fixed arrays hold it: cut to fit, always ended by a NUL.
pub fn fixed<const N: usize>(name: &str) -> [c_char; N] {
    let mut out = [0; N];
    let room = N.saturating_sub(1);
    for (to, from) in out.iter_mut().take(room).zip(name.bytes()) {
        *to = from as c_char;
    }
    out
}

/// The text of a fixed array, up to its NUL. Bytes that are not UTF-8 become replacement marks.
pub fn from_fixed(name: &[c_char]) -> String {
    let bytes: Vec<u8> = name
        .iter()
        .take_while(|c| **c != 0)
        .map(|c| *c as u8)
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_end() {
        assert_eq!(from_fixed(&fixed::<32>("1280x800")), "1280x800");
        assert_eq!(from_fixed(&fixed::<4>("1280x800")), "128");
        assert_eq!(from_fixed(&fixed::<0>("x")), "");
    }
}
