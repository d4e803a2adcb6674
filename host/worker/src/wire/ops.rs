// SPDX-License-Identifier: MIT
//! The operations of a worker's call ring, and how `OpenArgs` travels.

use drvhost_abi::tables::OpenArgs;

/// Opens a node; the payload is [`encode_open`]'s.
pub const OPEN: u32 = 1;
/// One ioctl; `extra[0]` is the buffer that a replayed `buffer_create` gives.
pub const IOCTL: u32 = 2;
/// Resolves a mapping: `extra` is offset and length, `flags` 1 to write; answers in `extra`.
pub const MMAP: u32 = 3;
/// Closes a file.
pub const RELEASE: u32 = 4;

/// Bytes of an encoded `OpenArgs`.
pub const OPEN_LEN: usize = 24;

/// Writes arguments of an open, little endian.
pub fn encode_open(args: &OpenArgs) -> [u8; OPEN_LEN] {
    let mut bytes = [0; OPEN_LEN];
    bytes[0..4].copy_from_slice(&args.node.to_le_bytes());
    bytes[4..8].copy_from_slice(&args.flags.to_le_bytes());
    bytes[8..16].copy_from_slice(&args.cookie.to_le_bytes());
    bytes[16..20].copy_from_slice(&args.pid.to_le_bytes());
    bytes[20..24].copy_from_slice(&args.uid.to_le_bytes());
    bytes
}

/// Reads arguments of an open; `None` where the length is another.
pub fn decode_open(bytes: &[u8]) -> Option<OpenArgs> {
    let bytes: &[u8; OPEN_LEN] = bytes.try_into().ok()?;
    let word =
        |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    Some(OpenArgs {
        node: word(0),
        flags: word(4),
        cookie: u64::from(word(8)) | u64::from(word(12)) << 32,
        pid: word(16),
        uid: word(20),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_arguments_round_trip() {
        let args = OpenArgs {
            node: 1,
            flags: 2,
            cookie: 0x1_0000_0003,
            pid: 4,
            uid: 5,
        };
        let back = decode_open(&encode_open(&args)).unwrap();
        assert_eq!(
            (back.node, back.flags, back.cookie, back.pid, back.uid),
            (1, 2, 0x1_0000_0003, 4, 5)
        );
        assert!(decode_open(&[0; 23]).is_none());
    }
}
