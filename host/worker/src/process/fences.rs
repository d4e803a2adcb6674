// SPDX-License-Identifier: MIT
//! Fences and events: eventfds of the host's. A fence is signalled once and never read, so that
//! it stays signalled for everybody.

use super::{Process, lock, threads};
use crate::wire::clock::{monotonic, timespec};
use crate::wire::message::{Ask, FromWorker};
use drvhost_abi::Errno;
use drvhost_abi::tables::{ObjectKind, ObjectRef};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::thread::futex;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, Once};

#[derive(Debug)]
struct Fence {
    fd: Arc<OwnedFd>,
    uses: usize,
}

/// The fences in use, by the host's id.
#[derive(Debug, Default)]
pub(super) struct Fences {
    // Held over upcalls and puts, so that a put and an open of the same fence keep their order.
    map: Mutex<HashMap<u64, Fence>>,
    ticks: Mutex<Vec<Arc<OwnedFd>>>,
    ticker: OnceTicker,
}

#[derive(Debug)]
struct OnceTicker(Once);

impl Default for OnceTicker {
    fn default() -> OnceTicker {
        OnceTicker(Once::new())
    }
}

fn system(error: rustix::io::Errno) -> Errno {
    Errno(error.raw_os_error())
}

impl Process {
    /// Makes a fence.
    pub(super) fn fence_create(&self) -> Result<u64, Errno> {
        let mut fences = lock(&self.fences.map);
        let file = threads::current().file;
        let (reply, fd) = self.ask_fd(Ask::FenceCreate { file })?;
        let fd = Arc::new(fd);
        fences.insert(reply.id, Fence { fd, uses: 1 });
        Ok(reply.id)
    }

    /// Takes the fences and events that come with a call: one use each, which the driver ends.
    /// They must be open before the call ends, or the host would think that nobody kept them.
    pub(super) fn fences_take(&self, objects: &[ObjectRef]) -> Result<(), Errno> {
        let kinds = [ObjectKind::Fence as u32, ObjectKind::Event as u32];
        let mut fences = objects.iter().filter(|object| kinds.contains(&object.kind));
        let mut taken = Vec::new();
        let result = fences.try_for_each(|object| {
            self.fence_open(object.id)?;
            taken.push(object.id);
            Ok(())
        });
        if result.is_err() {
            for id in taken {
                let _ = self.fence_put(id);
            }
        }
        result
    }

    fn fence_open(&self, id: u64) -> Result<(), Errno> {
        let mut fences = lock(&self.fences.map);
        if let Some(fence) = fences.get_mut(&id) {
            fence.uses += 1;
            return Ok(());
        }
        let (_, fd) = self.ask_fd(Ask::FenceOpen { id })?;
        let fd = Arc::new(fd);
        fences.insert(id, Fence { fd, uses: 1 });
        Ok(())
    }

    fn fence(&self, id: u64) -> Result<Arc<OwnedFd>, Errno> {
        let fences = lock(&self.fences.map);
        let fence = fences.get(&id).ok_or(Errno::ENOENT)?;
        Ok(fence.fd.clone())
    }

    /// Signals a fence or an event.
    pub(super) fn fence_signal(&self, id: u64) -> Result<(), Errno> {
        let fd = self.fence(id)?;
        match rustix::io::write(&*fd, &1u64.to_ne_bytes()) {
            // A counter that is full has been signalled often enough.
            Ok(_) | Err(rustix::io::Errno::AGAIN) => Ok(()),
            Err(error) => Err(system(error)),
        }
    }

    /// Ends one use of a fence or an event.
    pub(super) fn fence_put(&self, id: u64) -> Result<(), Errno> {
        let mut fences = lock(&self.fences.map);
        let fence = fences.get_mut(&id).ok_or(Errno::ENOENT)?;
        fence.uses -= 1;
        if fence.uses == 0 {
            fences.remove(&id);
            self.control.send(&FromWorker::FencePut { id });
        }
        Ok(())
    }

    /// Waits for a fence.
    pub(super) fn fence_wait(&'static self, id: u64, deadline: u64) -> Result<(), Errno> {
        let fd = self.fence(id)?;
        if deadline == 0 {
            return signalled(&fd).map_err(system);
        }
        threads::waiting(self, deadline, || {
            if self.clock.is_stepped() && deadline != u64::MAX {
                self.fence_wait_stepped(&fd, deadline)
            } else {
                wait_real(&fd, deadline).map_err(system)
            }
        })
    }

    /// With a stepped clock a thread of its own turns each step into a readable descriptor.
    fn fence_wait_stepped(&'static self, fd: &OwnedFd, deadline: u64) -> Result<(), Errno> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let tick = Arc::new(eventfd(0, flags).map_err(system)?);
        lock(&self.fences.ticks).push(tick.clone());
        self.fences.ticker.0.call_once(|| {
            let ticker = move || tick_for_ever(self);
            let _ = std::thread::Builder::new()
                .name("clock".into())
                .spawn(ticker);
        });
        let result = loop {
            if signalled(fd).is_ok() {
                break Ok(());
            }
            if self.now() >= deadline {
                break Err(Errno::ETIMEDOUT);
            }
            let mut fds = [
                PollFd::new(fd, PollFlags::IN),
                PollFd::new(&*tick, PollFlags::IN),
            ];
            if let Err(error) = poll(&mut fds, None)
                && error != rustix::io::Errno::INTR
            {
                break Err(system(error));
            }
            let _ = rustix::io::read(&*tick, &mut [0; 8]);
        };
        lock(&self.fences.ticks).retain(|other| !Arc::ptr_eq(other, &tick));
        result
    }
}

fn tick_for_ever(process: &Process) {
    loop {
        let seq = process.clock.seq().load(SeqCst);
        for tick in lock(&process.fences.ticks).iter() {
            let _ = rustix::io::write(&**tick, &1u64.to_ne_bytes());
        }
        let _ = futex::wait(process.clock.seq(), futex::Flags::empty(), seq, None);
    }
}

fn signalled(fd: &OwnedFd) -> rustix::io::Result<()> {
    let mut fds = [PollFd::new(fd, PollFlags::IN)];
    match poll(&mut fds, Some(&timespec(0)))? {
        0 => Err(rustix::io::Errno::TIMEDOUT),
        _ => Ok(()),
    }
}

fn wait_real(fd: &OwnedFd, deadline: u64) -> rustix::io::Result<()> {
    loop {
        let left = (deadline != u64::MAX).then(|| deadline.saturating_sub(monotonic()));
        let left = left.map(timespec);
        let mut fds = [PollFd::new(fd, PollFlags::IN)];
        match poll(&mut fds, left.as_ref()) {
            Ok(0) if monotonic() >= deadline => return Err(rustix::io::Errno::TIMEDOUT),
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
