// SPDX-License-Identifier: MIT
//! Interrupts: a watched thread for each vector runs the driver's handler.

use super::device_table::device_errno;
use super::{Process, lock, threads};
use crate::wire::progress::Role;
use driver_sys::IrqKind;
use drvhost_abi::Errno;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use std::ffi::c_void;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::ThreadId;

type Handler = unsafe extern "C" fn(arg: *mut c_void, vector: u32);

/// The vectors that are on.
#[derive(Debug, Default)]
pub(super) struct Irqs {
    enabled: Mutex<Option<Enabled>>,
}

#[derive(Debug)]
struct Enabled {
    kind: IrqKind,
    stop: Arc<OwnedFd>,
    running: Arc<Running>,
}

/// The threads of the vectors.
#[derive(Debug, Default)]
struct Running {
    threads: Mutex<Vec<ThreadId>>,
    ended: Condvar,
}

struct Vector {
    number: u32,
    kind: IrqKind,
    automasked: bool,
    fd: OwnedFd,
    stop: Arc<OwnedFd>,
    handler: Handler,
    arg: *mut c_void,
    running: Arc<Running>,
}

// SAFETY: the ABI says that the handler runs with its argument in a thread of its own.
unsafe impl Send for Vector {}

impl Process {
    /// Turns vectors on.
    pub(super) fn irq_enable(
        &'static self,
        kind: IrqKind,
        count: u32,
        handler: Handler,
        arg: *mut c_void,
    ) -> Result<(), Errno> {
        let device = &self.bound()?.device;
        let mut enabled = lock(&self.irqs.enabled);
        if enabled.is_some() {
            return Err(Errno::EBUSY);
        }
        let info = device
            .irq_info(kind)
            .map_err(|error| device_errno(&error))?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| Errno(error.raw_os_error()))?;
        let stop = Arc::new(stop);
        let fds = device
            .irq_enable(kind, count)
            .map_err(|error| device_errno(&error))?;
        let running = Arc::new(Running::default());
        *enabled = Some(Enabled {
            kind,
            stop: stop.clone(),
            running: running.clone(),
        });
        drop(enabled);
        for (number, fd) in (0..).zip(fds) {
            let vector = Vector {
                number,
                kind,
                automasked: info.automasked,
                fd,
                stop: stop.clone(),
                handler,
                arg,
                running: running.clone(),
            };
            let name = format!("irq {number}");
            let run = move || vector.run(self);
            if let Err(errno) = threads::spawn(self, &name, Role::Interrupt, run) {
                let _ = self.irq_disable();
                return Err(errno);
            }
        }
        Ok(())
    }

    /// Turns all vectors off; no handler runs afterwards (but for the one that calls this).
    pub(super) fn irq_disable(&self) -> Result<(), Errno> {
        let Some(Enabled {
            kind,
            stop,
            running,
        }) = lock(&self.irqs.enabled).take()
        else {
            return Ok(());
        };
        let result = self.bound()?.device.irq_disable(kind);
        let _ = rustix::io::write(&*stop, &1u64.to_ne_bytes());
        let own = std::thread::current().id();
        let mut threads = lock(&running.threads);
        while threads.iter().any(|thread| *thread != own) {
            threads = running
                .ended
                .wait(threads)
                .unwrap_or_else(PoisonError::into_inner);
        }
        result.map_err(|error| device_errno(&error))
    }
}

impl Vector {
    fn run(self, process: &'static Process) {
        let own = std::thread::current().id();
        lock(&self.running.threads).push(own);
        loop {
            threads::idle(process);
            let mut fds = [
                PollFd::new(&*self.stop, PollFlags::IN),
                PollFd::new(&self.fd, PollFlags::IN),
            ];
            if poll(&mut fds, None).is_err() {
                continue;
            }
            let [stop, fired] = fds.map(|fd| !fd.revents().is_empty());
            if stop {
                break;
            }
            if fired && rustix::io::read(&self.fd, &mut [0; 8]).is_ok() {
                threads::running(process, 0);
                // SAFETY: the driver gave handler and argument for exactly this.
                unsafe { (self.handler)(self.arg, self.number) };
                if self.automasked {
                    self.unmask(process);
                }
            }
        }
        lock(&self.running.threads).retain(|thread| *thread != own);
        self.running.ended.notify_all();
    }

    fn unmask(&self, process: &Process) {
        let Ok(bound) = process.bound() else { return };
        if let Err(error) = bound.device.irq_unmask(self.kind, self.number) {
            log::warn!("{error}");
        }
    }
}
