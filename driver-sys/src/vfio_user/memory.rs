// SPDX-License-Identifier: MIT
//! Memory for DMA: a file of its own for each buffer, or, where the device reaches no files of
//! ours, parts of the one file that the server offers as [`proto::REGION_RAM`].

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::fs::{MemfdFlags, SealFlags};
use zerocopy::IntoBytes;

use super::dma::PAGE;
use super::proto;
use super::state::State;
use crate::dma::DmaBuffer;
use crate::error::{Error, Result};
use crate::mapping::Mapping;

/// How many places that others have taken are tried before giving up.
const TRIES: usize = 1024;
const EEXIST: i32 = 17;

impl State {
    /// Makes zeroed memory at a multiple of `align`.
    pub(super) fn alloc(&mut self, what: &str, size: usize, align: u64) -> Result<DmaBuffer> {
        let invalid = |why: String| Error::Invalid {
            what: what.into(),
            why,
        };
        let length = size
            .checked_next_multiple_of(PAGE as usize)
            .filter(|&length| length > 0 && isize::try_from(length).is_ok())
            .ok_or_else(|| invalid(format!("{size} bytes")))?;
        if !align.is_power_of_two() {
            return Err(invalid(format!("{align} is no alignment")));
        }
        if self.has_ram(what)? {
            return self.alloc_in_ram(what, length, align);
        }
        let io = |error: rustix::io::Errno| Error::io(what, error);
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = rustix::fs::memfd_create("dma", flags).map_err(io)?;
        rustix::fs::ftruncate(&file, length as u64).map_err(io)?;
        // Whoever gets the file can't take pages away under our feet.
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&file, seals).map_err(io)?;
        let mapping = Mapping::new(file.as_fd(), 0, length)?;
        let iova = self.map(what, file.as_fd(), 0, length as u64, align)?;
        Ok(DmaBuffer {
            file: Some(Arc::new(file)),
            buffer: 0,
            offset: 0,
            iova,
            mapping,
        })
    }

    /// Whether the device's memory is the server's, asked once.
    fn has_ram(&mut self, what: &str) -> Result<bool> {
        if let Some(has) = self.has_ram {
            return Ok(has);
        }
        let argsz = size_of::<proto::DeviceInfo>() as u32;
        let ask = proto::DeviceInfo {
            argsz,
            ..Default::default()
        };
        let command = proto::DEVICE_GET_INFO;
        let answer = self
            .connection
            .call(what, command, &[ask.as_bytes()], &[])?;
        let Some((info, _)) = answer.parse::<proto::DeviceInfo>() else {
            return Err(self.connection.violated(what, "short device info"));
        };
        let has = info.num_regions > proto::REGION_RAM
            && self.region(what, proto::REGION_RAM)?.file.is_some();
        self.has_ram = Some(has);
        Ok(has)
    }

    /// Claims a part of the server's file: its IOVA is its place in the file.
    fn alloc_in_ram(&mut self, what: &str, length: usize, align: u64) -> Result<DmaBuffer> {
        let region = self.region(what, proto::REGION_RAM)?;
        let Some((file, start)) = region.file else {
            return Err(Error::Unsupported {
                what: what.into(),
                why: "no memory".into(),
            });
        };
        let size = length as u64;
        let mut others = Vec::new();
        let claimed = loop {
            let iova = match self.iovas.take(size, align) {
                Some(iova) if iova + size <= region.size && others.len() < TRIES => iova,
                taken => {
                    taken.into_iter().for_each(|iova| self.iovas.free(iova));
                    let why = format!("no room for {size} bytes in the machine's memory");
                    break Err(Error::Invalid {
                        what: what.into(),
                        why,
                    });
                }
            };
            match self.send_map(what, file.as_fd(), start + iova, iova, size) {
                Ok(()) => break Ok(iova),
                // Somebody else's: keep it out of the next try.
                Err(Error::Refused { errno: EEXIST, .. }) => others.push(iova),
                Err(error) => {
                    if matches!(error, Error::Refused { .. }) {
                        self.iovas.free(iova);
                    }
                    break Err(error);
                }
            }
        };
        others.into_iter().for_each(|iova| self.iovas.free(iova));
        let iova = claimed?;
        let mapping = Mapping::new(file.as_fd(), start + iova, length)?;
        mapping.fill(0, length, 0)?;
        Ok(DmaBuffer {
            file: Some(file),
            buffer: 0,
            offset: start + iova,
            iova,
            mapping,
        })
    }

    /// Lets the device reach a part of a file.
    pub(super) fn map(
        &mut self,
        what: &str,
        file: BorrowedFd<'_>,
        offset: u64,
        size: u64,
        align: u64,
    ) -> Result<u64> {
        let invalid = |why: String| Error::Invalid {
            what: what.into(),
            why,
        };
        if size == 0 || !size.is_multiple_of(PAGE) || !offset.is_multiple_of(PAGE) {
            return Err(invalid(format!(
                "{size} bytes at {offset} are not whole pages"
            )));
        }
        let iova = self.iovas.take(size, align);
        let iova = iova.ok_or_else(|| invalid(format!("no room for {size} bytes")))?;
        let result = self.send_map(what, file, offset, iova, size);
        // After an answer that never came the server may have mapped it: the IOVA stays taken.
        if matches!(result, Err(Error::Refused { .. })) {
            self.iovas.free(iova);
        }
        result.map(|()| iova)
    }

    fn send_map(
        &mut self,
        what: &str,
        file: BorrowedFd<'_>,
        offset: u64,
        address: u64,
        size: u64,
    ) -> Result<()> {
        let argsz = size_of::<proto::DmaMap>() as u32;
        let flags = proto::DMA_READ | proto::DMA_WRITE;
        let message = proto::DmaMap {
            argsz,
            flags,
            offset,
            address,
            size,
        };
        self.connection
            .call(what, proto::DMA_MAP, &[message.as_bytes()], &[file])
            .map(drop)
    }

    /// Ends what starts at `iova`.
    pub(super) fn unmap(&mut self, what: &str, iova: u64) -> Result<()> {
        let Some(size) = self.iovas.size(iova) else {
            let why = format!("nothing starts at {iova:#x}");
            return Err(Error::Invalid {
                what: what.into(),
                why,
            });
        };
        let argsz = size_of::<proto::DmaUnmap>() as u32;
        let message = proto::DmaUnmap {
            argsz,
            flags: 0,
            address: iova,
            size,
        };
        self.connection
            .call(what, proto::DMA_UNMAP, &[message.as_bytes()], &[])?;
        self.iovas.free(iova);
        Ok(())
    }
}
