// SPDX-License-Identifier: MIT
//! The vfio-user backend: a PCI function behind a socket.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};

use super::connection::Connection;
use super::dma::PAGE;
use super::negotiate::negotiate;
use super::state::State;
use super::{bus, info, irq, proto};
use crate::address::PciAddress;
use crate::bar::{BarInfo, BarKind, Width};
use crate::config;
use crate::device::PciDevice;
use crate::dma::DmaBuffer;
use crate::error::{Error, Result};
use crate::irq::{IrqInfo, IrqKind};
use crate::mapping::Mapping;

/// How long a request may take unless [`Client::set_timeout`] says otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);
const CONFIG_REGION: u32 = 7;

/// A PCI function served by another process. Requests are made one at a time; a server that
/// refuses, lies or falls silent gives errors, never a hang past the timeout.
#[derive(Debug)]
pub struct Client {
    address: PciAddress,
    state: Mutex<State>,
}

impl Client {
    /// Connects to the function whose socket is `path` and agrees on the protocol.
    ///
    /// # Errors
    /// `Invalid` when the file's name is no PCI address, `Io` when nobody listens, `Protocol` or
    /// `Unsupported` when the server is not one of vfio-user 0.
    pub fn connect(path: &Path) -> Result<Self> {
        let what = format!("connect to {}", path.display());
        let address = bus::socket_address(path).ok_or_else(|| Error::Invalid {
            what: what.clone(),
            why: "the socket is not named by a PCI address, as 0000:00:02.0.sock".into(),
        })?;
        let io = |error: rustix::io::Errno| Error::io(what.clone(), error);
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(io)?;
        // A server that does not accept must not hang us: connect obeys the send timeout.
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(TIMEOUT)).map_err(io)?;
        let name = SocketAddrUnix::new(path).map_err(io)?;
        rustix::net::connect(&socket, &name).map_err(io)?;
        let mut connection = Connection::new(socket, TIMEOUT);
        negotiate(&mut connection, &what)?;
        Ok(Self::over(connection, address))
    }

    /// Takes over a connection that is already negotiated and at rest: what
    /// [`Self::into_fd`] or [`PciDevice::handover`] gave, in another process.
    /// Mappings and interrupts that the giver made stay until the connection ends.
    pub fn from_connected(socket: OwnedFd, address: PciAddress) -> Self {
        Self::over(Connection::new(socket, TIMEOUT), address)
    }

    fn over(connection: Connection, address: PciAddress) -> Self {
        let state = State::new(connection);
        Self {
            address,
            state: Mutex::new(state),
        }
    }

    /// Gives the connection away, to be used with [`Self::from_connected`].
    ///
    /// # Errors
    /// `Gone` or `Protocol` when it can't be used any more.
    pub fn into_fd(self) -> Result<OwnedFd> {
        let state = self
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        state.connection.check("hand over")?;
        Ok(state.connection.into_socket())
    }

    /// Sets how long a request may take (default 5 s).
    pub fn set_timeout(&self, timeout: Duration) {
        self.state().connection.timeout = timeout;
    }

    /// A descriptor that polls as hung up when the device is gone. Nothing may be read from it.
    ///
    /// # Errors
    /// `Io` when there are no descriptors left.
    pub fn hangup_fd(&self) -> Result<OwnedFd> {
        let duplicate = self.state().connection.socket().try_clone_to_owned();
        duplicate.map_err(|error| Error::io(self.what("watch"), error))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn what(&self, doing: &str) -> String {
        format!("{}: {doing}", self.address)
    }

    fn bar(&self, state: &mut State, bar: u8, what: &str) -> Result<info::Region> {
        if bar > 5 {
            let why = format!("there is no BAR {bar}");
            return Err(Error::Invalid {
                what: what.into(),
                why,
            });
        }
        state.region(what, bar.into())
    }
}

fn in_range(what: &'static str, offset: u64, len: usize, size: u64) -> Result<()> {
    match offset.checked_add(len as u64) {
        Some(end) if end <= size => Ok(()),
        _ => Err(Error::OutOfRange {
            what,
            offset,
            len: len as u64,
            size,
        }),
    }
}

fn register(offset: u64, width: Width, region: &info::Region) -> Result<()> {
    let (len, size) = (width.bytes() as u64, region.size);
    if !offset.is_multiple_of(len) {
        return Err(Error::OutOfRange {
            what: "BAR",
            offset,
            len,
            size,
        });
    }
    in_range("BAR", offset, width.bytes(), size)
}

impl PciDevice for Client {
    fn address(&self) -> PciAddress {
        self.address
    }

    fn config_read(&self, offset: usize, data: &mut [u8]) -> Result<()> {
        let (what, mut state) = (self.what("read configuration space"), self.state());
        let size = state.region(&what, CONFIG_REGION)?.size;
        in_range("configuration space", offset as u64, data.len(), size)?;
        state.read(&what, CONFIG_REGION, offset as u64, data)
    }

    fn config_write(&self, offset: usize, data: &[u8]) -> Result<()> {
        let (what, mut state) = (self.what("write configuration space"), self.state());
        let size = state.region(&what, CONFIG_REGION)?.size;
        in_range("configuration space", offset as u64, data.len(), size)?;
        state.write(&what, CONFIG_REGION, offset as u64, data)
    }

    fn bar_info(&self, bar: u8) -> Result<BarInfo> {
        let (what, mut state) = (self.what("ask about a BAR"), self.state());
        let region = self.bar(&mut state, bar, &what)?;
        let mut low = [0; 4];
        if region.size != 0 {
            let at = config::BAR0 as u64 + 4 * u64::from(bar);
            state.read(&what, CONFIG_REGION, at, &mut low)?;
        }
        let kind = match (region.size, low[0]) {
            (0, _) => BarKind::None,
            (_, low) if low & 1 != 0 => BarKind::Port,
            (_, low) => BarKind::Memory {
                prefetchable: low & 8 != 0,
                wide: low & 6 == 4,
            },
        };
        Ok(BarInfo {
            kind,
            size: region.size,
            mappable: region.file.is_some(),
        })
    }

    fn bar_map(&self, bar: u8) -> Result<Mapping> {
        let what = self.what(&format!("map BAR {bar}"));
        let region = self.bar(&mut self.state(), bar, &what)?;
        match (&region.file, usize::try_from(region.size)) {
            (Some((file, offset)), Ok(size)) => Mapping::new(file.as_fd(), *offset, size),
            _ => Err(Error::Unsupported {
                what,
                why: "the BAR can't be mapped".into(),
            }),
        }
    }

    fn bar_read(&self, bar: u8, offset: u64, width: Width) -> Result<u64> {
        let (what, mut state) = (self.what(&format!("read BAR {bar}")), self.state());
        let region = self.bar(&mut state, bar, &what)?;
        register(offset, width, &region)?;
        if !region.readable {
            return Err(Error::Unsupported {
                what,
                why: "the BAR can't be read".into(),
            });
        }
        let mut bytes = [0; 8];
        state.read(&what, bar.into(), offset, &mut bytes[..width.bytes()])?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn bar_read_bytes(&self, bar: u8, offset: u64, data: &mut [u8]) -> Result<()> {
        let (what, mut state) = (self.what(&format!("read BAR {bar}")), self.state());
        let region = self.bar(&mut state, bar, &what)?;
        in_range("BAR", offset, data.len(), region.size)?;
        if !region.readable {
            return Err(Error::Unsupported {
                what,
                why: "the BAR can't be read".into(),
            });
        }
        state.read(&what, bar.into(), offset, data)
    }

    fn bar_write(&self, bar: u8, offset: u64, width: Width, value: u64) -> Result<()> {
        let (what, mut state) = (self.what(&format!("write BAR {bar}")), self.state());
        let region = self.bar(&mut state, bar, &what)?;
        register(offset, width, &region)?;
        if !region.writable {
            return Err(Error::Unsupported {
                what,
                why: "the BAR can't be written".into(),
            });
        }
        state.write(
            &what,
            bar.into(),
            offset,
            &value.to_le_bytes()[..width.bytes()],
        )
    }

    fn irq_info(&self, kind: IrqKind) -> Result<IrqInfo> {
        info::irq(
            &mut self.state().connection,
            &self.what("ask about interrupts"),
            kind,
        )
    }

    fn irq_enable(&self, kind: IrqKind, count: u32) -> Result<Vec<OwnedFd>> {
        irq::enable(
            &mut self.state().connection,
            &self.what("turn on interrupts"),
            kind,
            count,
        )
    }

    fn irq_disable(&self, kind: IrqKind) -> Result<()> {
        irq::disable(
            &mut self.state().connection,
            &self.what("turn off interrupts"),
            kind,
        )
    }

    fn irq_unmask(&self, kind: IrqKind, vector: u32) -> Result<()> {
        irq::unmask(
            &mut self.state().connection,
            &self.what("unmask interrupt"),
            kind,
            vector,
        )
    }

    fn dma_alloc(&self, size: usize, align: usize) -> Result<DmaBuffer> {
        let what = self.what(&format!("allocate {size} bytes for DMA"));
        self.state().alloc(&what, size, align as u64)
    }

    fn dma_map(&self, file: BorrowedFd<'_>, offset: u64, size: u64) -> Result<u64> {
        self.state()
            .map(&self.what("map memory for DMA"), file, offset, size, PAGE)
    }

    fn dma_unmap(&self, iova: u64) -> Result<()> {
        self.state()
            .unmap(&self.what("unmap memory from DMA"), iova)
    }

    fn reset(&self) -> Result<()> {
        let what = self.what("reset");
        self.state()
            .connection
            .call(&what, proto::DEVICE_RESET, &[], &[])
            .map(drop)
    }

    fn handover(&self) -> Result<OwnedFd> {
        let what = self.what("hand over");
        let state = self.state();
        state.connection.check(&what)?;
        let duplicate = state.connection.socket().try_clone_to_owned();
        duplicate.map_err(|error| Error::io(what, error))
    }
}
