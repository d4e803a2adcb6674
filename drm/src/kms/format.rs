// SPDX-License-Identifier: MIT
//! Pixel formats that the core can read: their sizes, and rows of them as 8-bit ARGB.
//!
//! All are of one plane and linear. A fourcc names the components from the most significant bit
//! of a little-endian word.

use crate::uapi::DrmFourcc;

/// How a format's components lie in a pixel: bits and shift each; zero bits of alpha is opaque.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// The fourcc code.
    pub fourcc: u32,
    /// Bytes per pixel.
    pub cpp: u32,
    /// What `ADDFB` and `GETFB` call depth.
    pub depth: u32,
    red: (u32, u32),
    green: (u32, u32),
    blue: (u32, u32),
    alpha: (u32, u32),
}

macro_rules! formats {
    ($($name:ident: $cpp:literal, $depth:literal, $r:expr, $g:expr, $b:expr, $a:expr;)*) => {
        /// Every format the core knows.
        pub static FORMATS: &[Format] = &[$(Format {
            fourcc: DrmFourcc::$name as u32, cpp: $cpp, depth: $depth,
            red: $r, green: $g, blue: $b, alpha: $a,
        }),*];
    };
}

formats! {
    Xrgb8888: 4, 24, (8, 16), (8, 8), (8, 0), (0, 0);
    Argb8888: 4, 32, (8, 16), (8, 8), (8, 0), (8, 24);
    Xbgr8888: 4, 24, (8, 0), (8, 8), (8, 16), (0, 0);
    Abgr8888: 4, 32, (8, 0), (8, 8), (8, 16), (8, 24);
    Rgbx8888: 4, 24, (8, 24), (8, 16), (8, 8), (0, 0);
    Rgba8888: 4, 32, (8, 24), (8, 16), (8, 8), (8, 0);
    Bgrx8888: 4, 24, (8, 8), (8, 16), (8, 24), (0, 0);
    Bgra8888: 4, 32, (8, 8), (8, 16), (8, 24), (8, 0);
    Xrgb2101010: 4, 30, (10, 20), (10, 10), (10, 0), (0, 0);
    Argb2101010: 4, 30, (10, 20), (10, 10), (10, 0), (2, 30);
    Rgb888: 3, 24, (8, 16), (8, 8), (8, 0), (0, 0);
    Bgr888: 3, 24, (8, 0), (8, 8), (8, 16), (0, 0);
    Rgb565: 2, 16, (5, 11), (6, 5), (5, 0), (0, 0);
    Bgr565: 2, 16, (5, 0), (6, 5), (5, 11), (0, 0);
    Xrgb1555: 2, 15, (5, 10), (5, 5), (5, 0), (0, 0);
    Argb1555: 2, 15, (5, 10), (5, 5), (5, 0), (1, 15);
}

/// Looks a format up.
pub fn format(fourcc: u32) -> Option<&'static Format> {
    FORMATS.iter().find(|f| f.fourcc == fourcc)
}

/// The fourcc that `ADDFB` means by bits per pixel and depth, if the core knows it.
pub fn legacy(bpp: u32, depth: u32) -> Option<u32> {
    let fourcc = match (bpp, depth) {
        (16, 15) => DrmFourcc::Xrgb1555,
        (16, 16) => DrmFourcc::Rgb565,
        (24, 24) => DrmFourcc::Rgb888,
        (32, 24) => DrmFourcc::Xrgb8888,
        (32, 30) => DrmFourcc::Xrgb2101010,
        (32, 32) => DrmFourcc::Argb8888,
        _ => return None,
    };
    Some(fourcc as u32)
}

impl Format {
    /// Pixels have no alpha.
    pub fn opaque(&self) -> bool {
        self.alpha.0 == 0
    }

    /// Its bytes are those of XRGB8888, but for the alpha.
    pub fn is_native(&self) -> bool {
        self.cpp == 4 && self.red == (8, 16) && self.green == (8, 8) && self.blue == (8, 0)
    }

    /// One pixel as `0xAARRGGBB`.
    pub fn argb(&self, pixel: u32) -> u32 {
        let part = |(bits, shift): (u32, u32)| {
            if bits == 0 {
                return 255;
            }
            let max = (1 << bits) - 1;
            let value = (pixel >> shift) & max;
            if bits == 8 {
                value
            } else {
                (value * 255 + max / 2) / max
            }
        };
        part(self.alpha) << 24 | part(self.red) << 16 | part(self.green) << 8 | part(self.blue)
    }

    /// One pixel from the start of `bytes`.
    pub fn load(&self, bytes: &[u8]) -> u32 {
        let mut word = [0; 4];
        for (to, from) in word.iter_mut().zip(bytes.iter().take(self.cpp as usize)) {
            *to = *from;
        }
        u32::from_le_bytes(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_of_every_kind() {
        for (fourcc, pixel, argb) in [
            (DrmFourcc::Xrgb8888, 0x0011_2233, 0xff11_2233),
            (DrmFourcc::Argb8888, 0x8011_2233, 0x8011_2233),
            (DrmFourcc::Xbgr8888, 0x0011_2233, 0xff33_2211),
            (DrmFourcc::Bgrx8888, 0x3322_1100, 0xff11_2233),
            (DrmFourcc::Rgba8888, 0x1122_3380, 0x8011_2233),
            (DrmFourcc::Rgb565, 0xf81f, 0xffff_00ff),
            (DrmFourcc::Rgb565, 0x07e0, 0xff00_ff00),
            (DrmFourcc::Argb1555, 0x8000, 0xff00_0000),
            (DrmFourcc::Argb1555, 0x7fff, 0x00ff_ffff),
            (DrmFourcc::Xrgb2101010, 0x3ff0_0000, 0xffff_0000),
        ] {
            let known = format(fourcc as u32).unwrap();
            assert_eq!(known.argb(pixel), argb, "{fourcc:?} {pixel:#x}");
        }
        assert!(format(0).is_none());
    }

    #[test]
    fn legacy_depths_agree_with_the_table() {
        for (bpp, depth) in [(16, 15), (16, 16), (24, 24), (32, 24), (32, 30), (32, 32)] {
            let known = format(legacy(bpp, depth).unwrap()).unwrap();
            assert_eq!((known.cpp * 8, known.depth), (bpp, depth));
        }
        assert_eq!(legacy(8, 8), None);
    }
}
