// SPDX-License-Identifier: MIT
//! A connection with what has been learnt over it: regions are asked about once.

use zerocopy::IntoBytes;

use super::connection::Connection;
use super::dma::IovaSpace;
use super::{info, proto};
use crate::error::{Error, Result};

#[derive(Debug)]
pub(super) struct State {
    pub(super) connection: Connection,
    pub(super) regions: [Option<info::Region>; 10],
    pub(super) iovas: IovaSpace,
    /// Whether the server has a region of memory for DMA; `None` when not asked yet.
    pub(super) has_ram: Option<bool>,
}

impl State {
    pub(super) fn new(connection: Connection) -> Self {
        let regions = Default::default();
        Self {
            connection,
            regions,
            iovas: IovaSpace::default(),
            has_ram: None,
        }
    }

    pub(super) fn region(&mut self, what: &str, index: u32) -> Result<info::Region> {
        let Some(slot) = self.regions.get_mut(index as usize) else {
            return Err(Error::Invalid {
                what: what.into(),
                why: format!("no region {index}"),
            });
        };
        if slot.is_none() {
            *slot = Some(info::region(&mut self.connection, what, index)?);
        }
        Ok(slot.clone().unwrap_or_default())
    }

    pub(super) fn read(
        &mut self,
        what: &str,
        region: u32,
        offset: u64,
        data: &mut [u8],
    ) -> Result<()> {
        let mut at = offset;
        for chunk in data.chunks_mut(self.connection.max_transfer as usize) {
            let access = proto::RegionAccess {
                offset: at,
                region,
                count: chunk.len() as u32,
            };
            let command = proto::REGION_READ;
            let answer = self
                .connection
                .call(what, command, &[access.as_bytes()], &[])?;
            match answer.parse::<proto::RegionAccess>() {
                Some((got, bytes)) if got == access && bytes.len() == chunk.len() => {
                    chunk.copy_from_slice(bytes);
                }
                _ => return Err(self.connection.violated(what, "answer of another size")),
            }
            at += chunk.len() as u64;
        }
        Ok(())
    }

    pub(super) fn write(
        &mut self,
        what: &str,
        region: u32,
        offset: u64,
        data: &[u8],
    ) -> Result<()> {
        let mut at = offset;
        for chunk in data.chunks(self.connection.max_transfer as usize) {
            let access = proto::RegionAccess {
                offset: at,
                region,
                count: chunk.len() as u32,
            };
            let parts = [access.as_bytes(), chunk];
            let answer = self
                .connection
                .call(what, proto::REGION_WRITE, &parts, &[])?;
            match answer.parse::<proto::RegionAccess>() {
                Some((got, _)) if got == access => {}
                _ => return Err(self.connection.violated(what, "answer of another size")),
            }
            at += chunk.len() as u64;
        }
        Ok(())
    }
}
