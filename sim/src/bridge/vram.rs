// SPDX-License-Identifier: MIT
//! Video memory and other RAM of a device: where it is inside QEMU, and whether it can be shared.
//!
//! QEMU 7.2 has no option that puts a device's video memory into a file: it is anonymous private
//! memory of the QEMU process. The bridge then reads and writes it through `/proc/PID/mem` at the
//! address that the monitor's `gpa2hva` tells (1 ms for 3 MB, against 68 ms through qtest), and
//! clients can't map the BAR. From QEMU 10.0 on, `-machine aux-ram-share=on` makes it shared
//! memory of a file; the bridge sees that in `/proc/PID/maps` and lets clients map the BAR.

use std::fs::File;

use super::error::BridgeError;

/// Reads what `gpa2hva` prints for an address in RAM:
/// `Host virtual address for 0xe0000000 (bochs-display-vram) is 0x7f7510800000`.
#[must_use]
pub fn parse_gpa2hva(text: &str) -> Option<u64> {
    let (before, address) = text.trim().rsplit_once(" is 0x")?;
    if !before.starts_with("Host virtual address for ") || address.starts_with('+') {
        return None;
    }
    u64::from_str_radix(address, 16).ok()
}

/// One line of `/proc/PID/maps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// First address after it.
    pub end: u64,
    /// Whether writes reach the file.
    pub shared: bool,
    /// Where it starts in its file.
    pub offset: u64,
}

/// Reads one line of `/proc/PID/maps` (format: proc(5)).
#[must_use]
pub fn parse_mapping(line: &str) -> Option<Mapping> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let flags = words.next()?;
    let offset = words.next()?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    let mapping = Mapping {
        start: number(start)?,
        end: number(end)?,
        shared: flags.as_bytes().get(3) == Some(&b's'),
        offset: number(offset)?,
    };
    (mapping.start < mapping.end).then_some(mapping)
}

/// The file behind `size` bytes at `address` in process `pid`, and where they start in it;
/// `None` when they are private memory, or not in one mapping.
///
/// # Errors
/// When the process's tables can't be read or the file can't be opened.
pub fn shared_file(pid: u32, address: u64, size: u64) -> Result<Option<(File, u64)>, BridgeError> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))
        .map_err(BridgeError::io("reading QEMU's memory map"))?;
    let end = address.saturating_add(size);
    let mapping = maps
        .lines()
        .filter_map(parse_mapping)
        .find(|m| m.start <= address && end <= m.end);
    let Some(mapping) = mapping.filter(|m| m.shared) else {
        return Ok(None);
    };
    let path = format!(
        "/proc/{pid}/map_files/{:x}-{:x}",
        mapping.start, mapping.end
    );
    let file = File::options()
        .read(true)
        .write(true)
        .open(path)
        .map_err(BridgeError::io("opening QEMU's shared video memory"))?;
    Ok(Some((file, mapping.offset + (address - mapping.start))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpa2hva() {
        let good = "Host virtual address for 0xe0000000 (vga.vram) is 0x7fa255a00000\r\n";
        assert_eq!(parse_gpa2hva(good), Some(0x7fa2_55a0_0000));
        let table = [
            "Memory at address 0xe1000000 is not RAM",
            "No memory is mapped at address 0xe0000000",
            "Host virtual address for 0xe0000000 (x) is 0x",
            "Host virtual address for 0xe0000000 (x) is 0x+1",
            "",
        ];
        for text in table {
            assert_eq!(parse_gpa2hva(text), None, "{text}");
        }
    }

    #[test]
    fn mappings() {
        let line = "7f00-8000 rw-s 00001000 00:01 2049 /memfd:x (deleted)";
        let expected = Mapping {
            start: 0x7f00,
            end: 0x8000,
            shared: true,
            offset: 0x1000,
        };
        assert_eq!(parse_mapping(line), Some(expected));
        assert!(!parse_mapping("7f00-8000 rw-p 0 00:00 0").unwrap().shared);
        for text in [
            "",
            "8000-7f00 rw-s 0 0 0",
            "x-y rw-s 0",
            "7f00-8000",
            "7f00-8000 rw-s",
        ] {
            assert_eq!(parse_mapping(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "(Host virtual address for )?[ -~]{0,40}( is 0x[0-9a-f]{0,20})?") {
            let _ = parse_gpa2hva(&text);
            let _ = parse_mapping(&text);
        }
    }
}
