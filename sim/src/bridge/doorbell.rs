// SPDX-License-Identifier: MIT
//! Message-signalled interrupts as eventfds.
//!
//! An MSI is a write of 16 bits of data to an address. The bridge points the address at the
//! doorbell register of an `ivshmem-doorbell` device in the same QEMU: each write of a vector's
//! number signals an eventfd of this process. For that the bridge plays ivshmem's server (source
//! of the protocol: QEMU's docs/specs/ivshmem-spec): peer 0 is the bridge, peer 1 is QEMU.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::MemfdFlags;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::error::BridgeError;
use super::qtest::{Qtest, Space, Width};
use super::topology::{self, Function};

/// How many vectors a device gets at most; MSI knows 32, in powers of two.
pub const USABLE: usize = 16;
/// One more, to try the doorbell out.
const VECTORS: usize = USABLE + 1;
/// Where the doorbell's registers are put: above the windows of the root port.
const REGISTERS: u32 = 0xf000_0000;
/// The doorbell register. Bits 31 to 16 name the peer, 15 to 0 the vector.
const RING: u32 = 0x0c;
const BRIDGE: i64 = 0;
const QEMU: i64 = 1;
/// Round trips until QEMU must have taken in who its peers are.
const PATIENCE: u32 = 10_000;

/// The eventfds of a function's client, by vector.
pub type Vectors = Arc<Mutex<Vec<Option<OwnedFd>>>>;

/// The bridge's end of a doorbell.
#[derive(Debug)]
pub struct Doorbell {
    events: Arc<Vec<OwnedFd>>,
    /// QEMU drops its peers when this closes.
    _server: UnixStream,
    stop: Arc<OwnedFd>,
    forwarder: Option<JoinHandle<()>>,
}

impl Doorbell {
    /// Where a device writes its messages; the data is the vector's number.
    pub const ADDRESS: u64 = (REGISTERS + RING) as u64;

    /// Tells QEMU, which has connected as ivshmem's client, who can be rung, and forwards what
    /// rings to `vectors`.
    ///
    /// # Errors
    /// When descriptors or the thread can't be made or sent.
    pub fn serve(server: UnixStream, vectors: Vectors) -> Result<Self, BridgeError> {
        let doing = "setting up interrupts";
        let error = |e: rustix::io::Errno| BridgeError::io(doing)(e.into());
        let make = || {
            (0..VECTORS)
                .map(|_| eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC))
                .collect::<Result<Vec<_>, _>>()
        };
        let events = Arc::new(make().map_err(error)?);
        let own = make().map_err(error)?;
        let memory = rustix::fs::memfd_create("ivshmem", MemfdFlags::CLOEXEC).map_err(error)?;
        rustix::fs::ftruncate(&memory, 4096).map_err(error)?;
        let introduce = || -> io::Result<()> {
            // The protocol's version, QEMU's own number, the shared memory.
            tell(&server, 0, None)?;
            tell(&server, QEMU, None)?;
            tell(&server, -1, Some(memory.as_fd()))?;
            for event in events.iter() {
                tell(&server, BRIDGE, Some(event.as_fd()))?;
            }
            for event in &own {
                tell(&server, QEMU, Some(event.as_fd()))?;
            }
            Ok(())
        };
        introduce().map_err(BridgeError::io(doing))?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC).map_err(error)?;
        let stop = Arc::new(stop);
        let forwarder = thread::Builder::new()
            .name("qemu-irq".to_owned())
            .spawn({
                let (events, stop) = (Arc::clone(&events), Arc::clone(&stop));
                move || forward(&events, &stop, &vectors)
            })
            .map_err(BridgeError::io(doing))?;
        Ok(Doorbell {
            events,
            _server: server,
            stop,
            forwarder: Some(forwarder),
        })
    }

    /// Puts the registers where devices are told they are. Needed again after a machine reset.
    ///
    /// # Errors
    /// When QEMU does not answer.
    pub fn program(&self, qtest: &mut Qtest) -> Result<(), BridgeError> {
        let bar = REGISTERS.to_le_bytes();
        topology::config_write(qtest, Function::Doorbell, 0x10, &bar)?;
        topology::config_write(qtest, Function::Doorbell, 4, &[0b110, 0])
    }

    /// Makes sure that QEMU has taken in its peers, which it does in its own time: rings the last
    /// vector, which is forwarded to nobody, until that arrives.
    ///
    /// # Errors
    /// When QEMU does not answer or nothing arrives.
    pub fn try_out(&self, qtest: &mut Qtest) -> Result<(), BridgeError> {
        let event = &self.events[USABLE];
        for _ in 0..PATIENCE {
            let number = (USABLE as u32).to_le_bytes();
            qtest.write(Space::Memory, Self::ADDRESS, &number, Width::Long)?;
            let mut count = [0; 8];
            if rustix::io::read(event, &mut count) == Ok(8) {
                return Ok(());
            }
        }
        Err(BridgeError::Timeout {
            doing: "trying out interrupts".to_owned(),
            seconds: 1,
        })
    }
}

impl Drop for Doorbell {
    fn drop(&mut self) {
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
        if let Some(forwarder) = self.forwarder.take() {
            let _ = forwarder.join();
        }
    }
}

/// Sends one message of ivshmem's server.
fn tell(server: &UnixStream, number: i64, fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds: Vec<BorrowedFd<'_>> = fd.into_iter().collect();
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&fds));
    }
    let bytes = number.to_le_bytes();
    let sent = sendmsg(
        server,
        &[IoSlice::new(&bytes)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    if sent == bytes.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::WriteZero.into())
    }
}

/// Passes what rings on to the client's eventfds until told to stop.
fn forward(events: &[OwnedFd], stop: &OwnedFd, vectors: &Vectors) {
    let events = &events[..USABLE];
    loop {
        let mut fds: Vec<PollFd<'_>> = events
            .iter()
            .chain([stop])
            .map(|fd| PollFd::new(fd, PollFlags::IN))
            .collect();
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(e) => {
                log::error!("interrupts are no longer forwarded: {e}");
                return;
            }
            Ok(_) => {}
        }
        if !fds[USABLE].revents().is_empty() {
            return;
        }
        let clients = vectors.lock().unwrap_or_else(PoisonError::into_inner);
        for (vector, event) in events.iter().enumerate() {
            let mut count = [0; 8];
            if fds[vector].revents().is_empty() || rustix::io::read(event, &mut count) != Ok(8) {
                continue;
            }
            if let Some(Some(client)) = clients.get(vector) {
                // A full counter has its reader woken already.
                let _ = rustix::io::write(client, &1u64.to_ne_bytes());
            }
        }
    }
}
