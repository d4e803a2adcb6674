// SPDX-License-Identifier: MIT
//! An open file: its event socket and its rings.

use super::device::Device;
use super::fences::Fence;
use super::poller::Source;
use super::ring::ProcessRing;
use super::shared::Shared;
use crate::quota::Charge;
use drvhost_abi::tables::NodeKind;
use rustix::io::Errno;
use rustix::net::SendFlags;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

/// An open file.
#[derive(Debug)]
pub(crate) struct OpenFile {
    /// The host's name for it.
    pub(crate) cookie: u64,
    /// The device that it is a file of.
    pub(crate) device: Arc<Device>,
    /// The node's name.
    pub(crate) node: String,
    /// Card or render.
    pub(crate) kind: NodeKind,
    /// Process that opened it.
    pub(crate) pid: u32,
    /// User that opened it.
    pub(crate) uid: u32,
    /// The inode of the program's end of the event socket.
    pub(crate) inode: u64,
    pub(crate) rings: Mutex<Vec<Arc<ProcessRing>>>,
    events: Mutex<Sender>,
    /// Its last descriptor is closed: calls under way should end.
    pub(crate) closing: AtomicBool,
    /// Fences that its calls brought and only programs would signal.
    given: Mutex<Vec<Weak<Fence>>>,
    /// Calls under way over connections.
    calls: Mutex<usize>,
    idle: Condvar,
    _charge: Charge,
}

/// A call under way over a connection: the file is not released meanwhile.
#[derive(Debug)]
pub(crate) struct CallOn<'a>(&'a OpenFile);

#[derive(Debug)]
struct Sender {
    /// The host's end; `None` once the device is gone.
    socket: Option<OwnedFd>,
    /// What found no room, in order.
    queue: VecDeque<Vec<u8>>,
    /// What the kernel counts for one unread event of 32 bytes.
    unit: Option<u32>,
}

impl OpenFile {
    #[expect(clippy::too_many_arguments, reason = "a plain constructor")]
    pub(crate) fn new(
        cookie: u64,
        device: Arc<Device>,
        node: String,
        kind: NodeKind,
        (pid, uid): (u32, u32),
        inode: u64,
        socket: OwnedFd,
        charge: Charge,
    ) -> OpenFile {
        OpenFile {
            cookie,
            device,
            node,
            kind,
            pid,
            uid,
            inode,
            rings: Mutex::default(),
            events: Mutex::new(Sender {
                socket: Some(socket),
                queue: VecDeque::new(),
                unit: None,
            }),
            closing: AtomicBool::new(false),
            given: Mutex::default(),
            calls: Mutex::new(0),
            idle: Condvar::new(),
            _charge: charge,
        }
    }

    /// Whether no program holds it any more.
    pub(crate) fn hung_up(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let sender = self.sender();
        let Some(socket) = &sender.socket else {
            return false;
        };
        let mut fds = [PollFd::new(socket, PollFlags::empty())];
        poll(&mut fds, Some(&Timespec::default())).is_ok()
            && fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
    }

    /// Watches the event socket for its end.
    pub(crate) fn watch(&self, shared: &Shared) -> Result<(), Errno> {
        match &self.sender().socket {
            Some(socket) => shared.poller.add_quiet(socket, Source::File(self.cookie)),
            None => Ok(()),
        }
    }

    /// Sends one event; it waits in the host while there is no room.
    pub(crate) fn send(&self, shared: &Shared, event: &[u8]) {
        let mut sender = self.sender();
        if sender.queue.is_empty() && sender.try_send(event) {
            return;
        }
        sender.queue.push_back(event.to_vec());
        if let Some(socket) = &sender.socket {
            let source = Source::File(self.cookie);
            shared.poller.want_room(socket, source, true);
        }
    }

    /// There may be room again.
    pub(crate) fn flush(&self, shared: &Shared) {
        let mut sender = self.sender();
        while let Some(event) = sender.queue.pop_front() {
            if !sender.try_send(&event) {
                sender.queue.push_front(event);
                return;
            }
        }
        if let Some(socket) = &sender.socket {
            let source = Source::File(self.cookie);
            shared.poller.want_room(socket, source, false);
        }
    }

    /// How many events the program has not read yet. The kernel counts bytes with its own
    /// overhead, the same for each event.
    pub(crate) fn unread(&self) -> usize {
        let mut sender = self.sender();
        let queued = sender.queue.len();
        queued + sender.outstanding()
    }

    /// Closes the host's end: a program that polls sees a hang-up.
    pub(crate) fn hang_up(&self, shared: &Shared) {
        let mut sender = self.sender();
        sender.queue.clear();
        if let Some(socket) = sender.socket.take() {
            shared.poller.remove(&socket);
            // A worker that serves the file by itself holds a copy.
            let _ = rustix::net::shutdown(&socket, rustix::net::Shutdown::Both);
        }
    }

    /// A call brought a fence that the driver may wait for.
    pub(crate) fn brought(&self, fence: &Arc<Fence>) {
        // The driver signals what it made, for others too.
        if fence.made_for.is_some_and(|file| file != self.cookie) {
            return;
        }
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.retain(|fence| fence.strong_count() > 0);
        given.push(Arc::downgrade(fence));
    }

    /// Has calls that wait end: for a worker, or for a fence that nobody will signal any more.
    pub(crate) fn interrupt(&self) {
        self.closing.store(true, Ordering::Relaxed);
        self.device.gate.look_again();
        let given = std::mem::take(&mut *self.given.lock().unwrap_or_else(PoisonError::into_inner));
        for fence in given.iter().filter_map(Weak::upgrade) {
            fence.signal();
        }
    }

    /// A call over a connection begins.
    pub(crate) fn begin_call(&self) -> CallOn<'_> {
        *self.calls.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        CallOn(self)
    }

    /// Waits until no call over a connection is under way. None begins: nobody finds the file.
    pub(crate) fn wait_for_calls(&self) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        while *calls > 0 {
            let result = self.idle.wait(calls);
            calls = result.unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(crate) fn ring_list(&self) -> MutexGuard<'_, Vec<Arc<ProcessRing>>> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sender(&self) -> MutexGuard<'_, Sender> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for CallOn<'_> {
    fn drop(&mut self) {
        let mut calls = self.0.calls.lock().unwrap_or_else(PoisonError::into_inner);
        *calls -= 1;
        self.0.idle.notify_all();
    }
}

impl Sender {
    /// False: no room.
    fn try_send(&mut self, event: &[u8]) -> bool {
        let Some(socket) = &self.socket else {
            return true;
        };
        let empty = self.unit.is_none() && unsent(socket) == 0;
        let parts = [IoSlice::new(event)];
        match drvhost_channel::packet::send(socket, &parts, &[], SendFlags::DONTWAIT) {
            Ok(()) => {
                if empty {
                    self.unit = Some(unsent(socket)).filter(|unit| *unit > 0);
                }
                true
            }
            Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) => false,
            // The program closed it; the poller says so as well.
            Err(_) => true,
        }
    }

    fn outstanding(&mut self) -> usize {
        match (&self.socket, self.unit) {
            (Some(socket), Some(unit)) => unsent(socket).div_ceil(unit) as usize,
            _ => 0,
        }
    }
}

/// Bytes that the other end has not read, as the kernel counts them.
fn unsent(socket: &OwnedFd) -> u32 {
    // SAFETY: SIOCOUTQ (TIOCOUTQ) writes one `int`.
    let get = unsafe {
        rustix::ioctl::Getter::<
            { rustix::ioctl::Opcode::from_ne_bytes(0x5411u32.to_ne_bytes()) },
            i32,
        >::new()
    };
    // SAFETY: as above; the descriptor is a socket of ours.
    let result = unsafe { rustix::ioctl::ioctl(socket, get) };
    result.map_or(0, |bytes| u32::try_from(bytes).unwrap_or(0))
}
