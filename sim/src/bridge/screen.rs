// SPDX-License-Identifier: MIT
//! Pictures of QEMU's monitors: the PPM files that QEMU writes.

use crate::dispi::scanout::Picture;

/// Larger pictures than this are not QEMU's.
const MAX_SIDE: u32 = 16384;

/// Reads a binary PPM picture with 8 bits per channel, as QEMU writes it (format: ppm(5)).
#[must_use]
pub fn parse_ppm(bytes: &[u8]) -> Option<Picture> {
    let mut rest = bytes.strip_prefix(b"P6")?;
    let mut number = || -> Option<u32> {
        let start = rest.iter().position(|b| !b.is_ascii_whitespace())?;
        if start == 0 {
            return None;
        }
        rest = &rest[start..];
        let end = rest.iter().position(|b| !b.is_ascii_digit())?;
        let (digits, after) = rest.split_at(end);
        rest = after;
        std::str::from_utf8(digits).ok()?.parse().ok()
    };
    let (width, height, most) = (number()?, number()?, number()?);
    let sides = 1..=MAX_SIDE;
    if !sides.contains(&width) || !sides.contains(&height) || most != 255 {
        return None;
    }
    let (separator, pixels) = rest.split_first()?;
    let length = 3 * width as usize * height as usize;
    (separator.is_ascii_whitespace() && pixels.len() == length).then(|| Picture {
        width,
        height,
        rgb: pixels.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures() {
        let good = parse_ppm(b"P6\n2 1\n255\n\x01\x02\x03\x04\x05\x06").unwrap();
        assert_eq!((good.width, good.height), (2, 1));
        assert_eq!(good.rgb, [1, 2, 3, 4, 5, 6]);
        let bad: [&[u8]; 7] = [
            b"",
            b"P6\n2 1\n255\n",
            b"P6\n2 1\n255\n\x01\x02\x03\x04\x05\x06\x07",
            b"P62 1\n255\n\x01\x02\x03\x04\x05\x06",
            b"P6\n2 1\n65535\n\x01\x02\x03\x04\x05\x06",
            b"P6\n0 1\n255\n",
            b"P6\n99999999999 1\n255\n",
        ];
        for bytes in bad {
            assert_eq!(parse_ppm(bytes), None, "{bytes:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(
            head in "(P6)?[ \n0-9]{0,24}",
            body in proptest::collection::vec(proptest::num::u8::ANY, 0..64),
        ) {
            let mut bytes = head.into_bytes();
            bytes.extend(body);
            if let Some(picture) = parse_ppm(&bytes) {
                let length = 3 * picture.width as usize * picture.height as usize;
                proptest::prop_assert_eq!(picture.rgb.len(), length);
            }
        }
    }
}
