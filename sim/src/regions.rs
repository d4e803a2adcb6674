// SPDX-License-Identifier: MIT
//! Requests about regions: what they are, reading and writing them.

use driver_sys::vfio_user::proto;
use driver_sys::vfio_user::wire::Message;
use zerocopy::IntoBytes;

use crate::function::{PciFunction, REGION_CONFIG, Refused, RegionMmap};
use crate::session::{Answer, Outcome, parse};

pub(crate) fn info(function: &dyn PciFunction, message: &Message) -> Outcome {
    let (ask, _) = parse::<proto::RegionInfo>(message)?;
    let base = size_of::<proto::RegionInfo>() as u32;
    if ask.index >= function.region_count() || ask.argsz < base {
        return Err(Refused::INVALID);
    }
    let region = function.region(ask.index);
    let mut info = proto::RegionInfo {
        argsz: base,
        index: ask.index,
        size: region.size,
        ..Default::default()
    };
    for (flag, set) in [
        (proto::REGION_FLAG_READ, region.read),
        (proto::REGION_FLAG_WRITE, region.write),
        (proto::REGION_FLAG_MMAP, region.mmap.is_some()),
    ] {
        info.flags |= if set { flag } else { 0 };
    }
    let mut answer = Answer::default();
    let mut caps = Vec::new();
    if let Some(mmap) = region.mmap {
        info.offset = mmap.offset;
        caps = sparse(&mmap);
        answer.fds.push(mmap.file);
    }
    if !caps.is_empty() {
        info.flags |= proto::REGION_FLAG_CAPS;
        info.argsz += caps.len() as u32;
        // Without room the client learns how much there is to ask for.
        if ask.argsz < info.argsz {
            caps.clear();
        } else {
            info.cap_offset = base;
        }
    }
    answer.payload.extend_from_slice(info.as_bytes());
    answer.payload.extend(caps);
    Ok(answer)
}

/// The sparse mmap capability, empty when all can be mapped.
fn sparse(mmap: &RegionMmap) -> Vec<u8> {
    let mut bytes = Vec::new();
    if mmap.sparse.is_empty() {
        return bytes;
    }
    let header = proto::CapHeader {
        id: proto::REGION_CAP_SPARSE_MMAP,
        version: 1,
        next: 0,
    };
    bytes.extend_from_slice(header.as_bytes());
    let count = proto::SparseMmap {
        nr_areas: mmap.sparse.len() as u32,
        reserved: 0,
    };
    bytes.extend_from_slice(count.as_bytes());
    for area in &mmap.sparse {
        let area = proto::SparseArea {
            offset: area.offset,
            size: area.size,
        };
        bytes.extend_from_slice(area.as_bytes());
    }
    bytes
}

/// Checks an access against its region.
fn check(
    function: &dyn PciFunction,
    access: &proto::RegionAccess,
    write: bool,
) -> Result<(), Refused> {
    if access.region >= function.region_count() || access.count > proto::DEFAULT_MAX_TRANSFER {
        return Err(Refused::INVALID);
    }
    let region = function.region(access.region);
    let allowed = if write { region.write } else { region.read };
    match access.offset.checked_add(access.count.into()) {
        Some(end) if end <= region.size && allowed => Ok(()),
        _ => Err(Refused::INVALID),
    }
}

pub(crate) fn read(function: &mut dyn PciFunction, message: &Message) -> Outcome {
    let (access, _) = parse::<proto::RegionAccess>(message)?;
    check(function, &access, false)?;
    let mut data = vec![0; access.count as usize];
    match access.region {
        REGION_CONFIG => function.config_read(access.offset as usize, &mut data)?,
        region => function.region_read(region, access.offset, &mut data)?,
    }
    let mut answer = Answer::of(&access);
    answer.payload.extend(data);
    Ok(answer)
}

pub(crate) fn write(function: &mut dyn PciFunction, message: &Message) -> Outcome {
    let (access, data) = parse::<proto::RegionAccess>(message)?;
    check(function, &access, true)?;
    if data.len() != access.count as usize {
        return Err(Refused::INVALID);
    }
    match access.region {
        REGION_CONFIG => function.config_write(access.offset as usize, data)?,
        region => function.region_write(region, access.offset, data)?,
    }
    Ok(Answer::of(&access))
}
