// SPDX-License-Identifier: MIT
//! What the server says about its regions and interrupts, checked.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use zerocopy::{FromBytes, IntoBytes};

use super::connection::Connection;
use super::proto;
use super::wire::Message;
use crate::error::Result;
use crate::irq::{IrqInfo, IrqKind};

/// Configuration space is never larger.
const CONFIG_MAX: u64 = 4096;

#[derive(Debug, Clone, Default)]
pub(super) struct Region {
    pub size: u64,
    pub readable: bool,
    pub writable: bool,
    /// The file and where in it the region starts, when all of the region can be mapped.
    pub file: Option<(Arc<OwnedFd>, u64)>,
}

/// Room for a sparse mmap capability of some areas; more than that is answered by size alone,
/// and such a region is used without mapping.
const ROOM: u32 = 4096;

pub(super) fn region(connection: &mut Connection, what: &str, index: u32) -> Result<Region> {
    let ask = proto::RegionInfo {
        argsz: ROOM,
        index,
        ..Default::default()
    };
    let command = proto::DEVICE_GET_REGION_INFO;
    let message = connection.call(what, command, &[ask.as_bytes()], &[])?;
    check_region(&message, index).map_err(|why| connection.violated(what, why))
}

fn check_region(message: &Message, index: u32) -> std::result::Result<Region, String> {
    let (info, _) = message
        .parse::<proto::RegionInfo>()
        .ok_or("short region info")?;
    if info.index != index {
        return Err(format!(
            "asked for region {index}, told about {}",
            info.index
        ));
    }
    if index == 7 && info.size > CONFIG_MAX {
        return Err(format!("configuration space of {:#x} bytes", info.size));
    }
    let mut region = Region {
        size: info.size,
        readable: info.flags & proto::REGION_FLAG_READ != 0,
        writable: info.flags & proto::REGION_FLAG_WRITE != 0,
        file: None,
    };
    if info.flags & proto::REGION_FLAG_MMAP == 0 || info.size == 0 || message.fds.is_empty() {
        return Ok(region);
    }
    let sparse = info.flags & proto::REGION_FLAG_CAPS != 0;
    if sparse && !covers_all(&message.payload, info.cap_offset, info.size)? {
        return Ok(region);
    }
    // A mapping past the end of its file would be a SIGBUS later.
    let file = message.fds[0]
        .as_fd()
        .try_clone_to_owned()
        .map_err(|e| e.to_string())?;
    let length = rustix::fs::fstat(&file).map_err(|e| e.to_string())?.st_size;
    let end = info.offset.checked_add(info.size);
    match (end, u64::try_from(length)) {
        (Some(end), Ok(length)) if end <= length => {}
        _ => return Err(format!("region {index} is larger than the file behind it")),
    }
    region.file = Some((Arc::new(file), info.offset));
    Ok(region)
}

/// Whether the sparse mmap capability, if there is one, says that all can be mapped.
fn covers_all(payload: &[u8], first: u32, size: u64) -> std::result::Result<bool, String> {
    let mut at = first as usize;
    // Each capability takes 8 bytes at least, so a circle is longer than this.
    for _ in 0..=payload.len() / size_of::<proto::CapHeader>() {
        if at == 0 {
            return Ok(true);
        }
        let rest = payload
            .get(at..)
            .ok_or("capability outside of the message")?;
        let (cap, rest) =
            proto::CapHeader::read_from_prefix(rest).map_err(|_| "short capability")?;
        if cap.id == proto::REGION_CAP_SPARSE_MMAP {
            let (sparse, mut rest) =
                proto::SparseMmap::read_from_prefix(rest).map_err(|_| "short capability")?;
            // Areas that follow one another count as one.
            let mut reached = 0u64;
            for _ in 0..sparse.nr_areas {
                let (area, next) =
                    proto::SparseArea::read_from_prefix(rest).map_err(|_| "short capability")?;
                if area.offset <= reached {
                    reached = reached.max(area.offset.saturating_add(area.size));
                }
                rest = next;
            }
            return Ok(reached >= size);
        }
        at = cap.next as usize;
    }
    Err("the capabilities run in a circle".into())
}

pub(super) fn irq(connection: &mut Connection, what: &str, kind: IrqKind) -> Result<IrqInfo> {
    let argsz = size_of::<proto::IrqInfo>() as u32;
    let ask = proto::IrqInfo {
        argsz,
        index: kind as u32,
        ..Default::default()
    };
    let command = proto::DEVICE_GET_IRQ_INFO;
    let message = connection.call(what, command, &[ask.as_bytes()], &[])?;
    let Some((info, _)) = message.parse::<proto::IrqInfo>() else {
        return Err(connection.violated(what, "short interrupt info"));
    };
    // MSI-X, the largest, has 2048 vectors at most.
    if info.index != ask.index || info.count > 2048 {
        let why = format!("index {} with {} interrupts", info.index, info.count);
        return Err(connection.violated(what, why));
    }
    let usable = info.flags & proto::IRQ_INFO_EVENTFD != 0;
    Ok(IrqInfo {
        count: if usable { info.count } else { 0 },
        automasked: info.flags & proto::IRQ_INFO_AUTOMASKED != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn caps(areas: &[(u64, u64)], next: u32) -> Vec<u8> {
        let mut bytes = vec![0; 32];
        let header = proto::CapHeader {
            id: proto::REGION_CAP_SPARSE_MMAP,
            version: 1,
            next,
        };
        bytes.extend_from_slice(header.as_bytes());
        let sparse = proto::SparseMmap {
            nr_areas: areas.len() as u32,
            reserved: 0,
        };
        bytes.extend_from_slice(sparse.as_bytes());
        for &(offset, size) in areas {
            bytes.extend_from_slice(proto::SparseArea { offset, size }.as_bytes());
        }
        bytes
    }

    #[test]
    fn sparse_areas() {
        for (areas, want) in [
            (&[(0, 0x1000)][..], true),
            (&[(0, 0x800), (0x800, 0x800)], true),
            (&[(0, 0x800), (0x900, 0x700)], false),
            (&[(0x800, 0x800)], false),
            (&[], false),
            (&[(0, u64::MAX)], true),
        ] {
            assert_eq!(
                covers_all(&caps(areas, 0), 32, 0x1000),
                Ok(want),
                "{areas:?}"
            );
        }
        assert_eq!(covers_all(&[], 0, 1), Ok(true));
        assert!(covers_all(&caps(&[(0, 1)], 0)[..50], 32, 1).is_err());
        let mut circle = caps(&[], 32);
        circle[32] = 9;
        assert!(covers_all(&circle, 32, 1).is_err());
    }

    #[test]
    fn a_region_larger_than_its_file_is_refused() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(0x1000).unwrap();
        let message = |size: u64, offset: u64| Message {
            header: Default::default(),
            payload: proto::RegionInfo {
                argsz: 32,
                flags: 7,
                index: 0,
                cap_offset: 0,
                size,
                offset,
            }
            .as_bytes()
            .to_vec(),
            fds: vec![file.as_fd().try_clone_to_owned().unwrap()],
        };
        assert!(check_region(&message(0x1000, 0), 0).unwrap().file.is_some());
        assert!(check_region(&message(0x1000, 1), 0).is_err());
        assert!(check_region(&message(0x1001, 0), 0).is_err());
        assert!(check_region(&message(u64::MAX, 2), 0).is_err());
        assert!(check_region(&message(0x1000, 0), 1).is_err());
    }

    proptest! {
        #[test]
        fn any_answer_ends(bytes in proptest::collection::vec(any::<u8>(), 0..200), at: u8) {
            let _ = covers_all(&bytes, at.into(), 0x1000);
            let message = Message { header: Default::default(), payload: bytes, fds: vec![] };
            let _ = check_region(&message, 0);
        }
    }
}
