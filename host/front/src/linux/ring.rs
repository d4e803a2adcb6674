// SPDX-License-Identifier: MIT
//! The threads that serve a ring: one sleeps on it; before a call that may wait begins, another
//! takes its place.

use super::call;
use super::file::OpenFile;
use super::shared::Shared;
use crate::quota::Charge;
use drvhost_channel::ring::{Ring, RingServer, Stopper};
use drvhost_drm::wire::describe;
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The ring of one process for one open file.
#[derive(Debug)]
pub(crate) struct ProcessRing {
    /// The secret by which the process names it.
    pub(crate) token: [u64; 2],
    /// The process.
    pub(crate) pid: u32,
    /// Its number with the poller.
    pub(crate) number: u64,
    /// What tells when the process ends.
    pub(crate) process: Option<OwnedFd>,
    stopper: Option<Stopper>,
    idle: AtomicUsize,
    threads: Mutex<usize>,
    ended: Condvar,
    _charge: Charge,
}

impl ProcessRing {
    /// Takes the serving end of a ring, unless somebody else serves it (`None`). Gives the server
    /// for [`ProcessRing::start`].
    pub(crate) fn new(
        ring: Option<&OwnedFd>,
        token: [u64; 2],
        pid: u32,
        number: u64,
        process: Option<OwnedFd>,
        charge: Charge,
    ) -> Result<(ProcessRing, Option<RingServer>), Errno> {
        let server = match ring {
            Some(fd) => {
                let slots = drvhost_channel::ring::Slots::Program;
                Some(RingServer::new(Ring::open(fd.as_fd(), slots)?))
            }
            None => None,
        };
        let ring = ProcessRing {
            token,
            pid,
            number,
            process,
            stopper: server.as_ref().map(RingServer::stopper),
            idle: AtomicUsize::new(0),
            threads: Mutex::new(0),
            ended: Condvar::new(),
            _charge: charge,
        };
        Ok((ring, server))
    }

    /// Starts a thread that serves calls of `file`.
    pub(crate) fn start(
        self: &Arc<Self>,
        server: RingServer,
        file: &Arc<OpenFile>,
        shared: &Arc<Shared>,
    ) -> Result<(), Errno> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if *threads >= shared.accounts.limits().threads_per_ring {
            return Err(Errno::AGAIN);
        }
        let (ring, file, shared) = (self.clone(), file.clone(), shared.clone());
        let name = format!("ring {}", file.node);
        let thread = std::thread::Builder::new().name(name);
        thread
            .spawn(move || {
                ring.serve(&server, &file, &shared);
                drop(file);
                let mut threads = ring.threads.lock().unwrap_or_else(PoisonError::into_inner);
                *threads -= 1;
                ring.ended.notify_all();
            })
            .map_err(|_| Errno::AGAIN)?;
        *threads += 1;
        Ok(())
    }

    /// Closes the ring.
    pub(crate) fn stop(&self) {
        if let Some(stopper) = &self.stopper {
            stopper.stop();
        }
    }

    /// Waits until no thread serves it any more.
    pub(crate) fn join(&self) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        while *threads > 0 {
            self.stop();
            // A hostile program can keep a server asleep: stop it again.
            let result = self.ended.wait_timeout(threads, Duration::from_millis(100));
            threads = result.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn serve(self: &Arc<Self>, server: &RingServer, file: &Arc<OpenFile>, shared: &Arc<Shared>) {
        let mut payload = Vec::new();
        loop {
            self.idle.fetch_add(1, Ordering::SeqCst);
            let taken = server.next(&mut payload);
            let idle = self.idle.fetch_sub(1, Ordering::SeqCst) - 1;
            let Some(taken) = taken else {
                return;
            };
            let cmd = taken.head.cmd;
            let blocks = describe(cmd).is_none_or(|descriptor| descriptor.may_block);
            if blocks && idle == 0 {
                // Without another thread the ring's other calls wait, which is no more than slow.
                let _ = self.start(server.clone(), file, shared);
            }
            let result = call::through_ring(file, shared, cmd, &mut payload);
            server.reply(&taken, result, &[], &payload);
            payload.shrink_to(1 << 16);
            if self.idle.load(Ordering::SeqCst) > 1 {
                return;
            }
        }
    }
}
