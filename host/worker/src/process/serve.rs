// SPDX-License-Identifier: MIT
//! Serving calls: the host's ring, and the rings of clients that call directly.
//!
//! A pool always has one thread more than calls under way, so that nobody has to notice that all
//! are busy: whoever takes a call while no other thread is idle starts one.

use super::files::File;
use super::{Process, control, lock, threads};
use crate::wire::clock::timespec;
use crate::wire::message::FromWorker;
use crate::wire::ops;
use crate::wire::progress::{CMD_MMAP, CMD_OPEN, CMD_RELEASE, Role};
use drvhost_abi::Errno;
use drvhost_abi::tables::{MmapArgs, MmapOut, ObjectRef, Request};
use drvhost_channel::program;
use drvhost_channel::ring::{Head, MAX_OBJECTS, Ring, RingServer, Slots, Taken};
use drvhost_drm::wire::describe;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Threads of the host's ring, at most: as many as it has slots.
const MAX_HOST: usize = 64;
/// Threads of a client's ring, at most.
const MAX_CLIENT: usize = 16;

/// The threads of one ring.
#[derive(Debug)]
pub(super) struct Pool {
    server: RingServer,
    direct: Option<Direct>,
    idle: AtomicUsize,
    threads: Mutex<usize>,
    ended: Condvar,
}

/// A client's own ring: one file, no objects, no other file's name.
#[derive(Debug)]
struct Direct {
    cookie: u64,
    file: Arc<File>,
    events: Arc<OwnedFd>,
}

impl Pool {
    fn new(server: RingServer, direct: Option<Direct>) -> Arc<Pool> {
        Arc::new(Pool {
            server,
            direct,
            idle: AtomicUsize::new(0),
            threads: Mutex::new(0),
            ended: Condvar::new(),
        })
    }

    pub(super) fn is_direct(&self) -> bool {
        self.direct.is_some()
    }

    pub(super) fn events(&self) -> Option<BorrowedFd<'_>> {
        self.direct.as_ref().map(|direct| direct.events.as_fd())
    }

    fn limit(&self) -> usize {
        if self.is_direct() {
            MAX_CLIENT
        } else {
            MAX_HOST
        }
    }

    /// Serves on the current thread until the ring is closed.
    fn serve(self: Arc<Self>, process: &'static Process) {
        let mut payload = Vec::new();
        *lock(&self.threads) += 1;
        loop {
            self.idle.fetch_add(1, Ordering::SeqCst);
            threads::idle(process);
            let taken = self.server.next(&mut payload);
            let others = self.idle.fetch_sub(1, Ordering::SeqCst) - 1;
            let Some(taken) = taken else { break };
            if others == 0 && *lock(&self.threads) < self.limit() {
                self.grow(process);
            }
            self.handle(process, &taken, &mut payload);
        }
        let left = {
            let mut threads = lock(&self.threads);
            *threads -= 1;
            *threads
        };
        if left == 0
            && let Some(direct) = &self.direct
        {
            threads::running(process, CMD_RELEASE);
            let _ = process.close(direct.cookie);
        }
        self.ended.notify_all();
    }

    /// One thread more; if there can be none, the calls wait for their turn.
    fn grow(self: &Arc<Self>, process: &'static Process) {
        let pool = self.clone();
        let name = if self.is_direct() { "client" } else { "server" };
        if threads::spawn(process, name, Role::Server, move || pool.serve(process)).is_err() {
            process.log(2, "drvhost", "can't start another thread to serve calls");
        }
    }

    fn handle(&self, process: &'static Process, taken: &Taken, payload: &mut [u8]) {
        let mut head = taken.head;
        let mut objects = Vec::new();
        let result = match &self.direct {
            Some(direct) if head.op == program::CALL => {
                let Some(cmd) = through_ring(head.cmd) else {
                    head.result = -i64::from(program::NEEDS_CONNECTION);
                    return self.server.reply_head(taken, &head, &[], &[]);
                };
                // What the client wrote about flags, ids and objects is the host's to say.
                let head = Head {
                    op: ops::IOCTL,
                    cmd,
                    ..Head::default()
                };
                let file = (&*direct.file, direct.cookie);
                ioctl(process, file, &head, &[], &mut objects, payload)
            }
            Some(_) => Err(Errno::EINVAL),
            None => host_call(process, taken, &mut head, &mut objects, payload),
        };
        threads::set_current(threads::Current::default());
        if self.is_direct() {
            objects.clear();
        }
        head.result = Errno::encode(result);
        self.server.reply_head(taken, &head, &objects, payload);
    }
}

/// The number of a call that a client may make through its own ring; `None` where descriptors go
/// along, which only the host can hand over.
fn through_ring(cmd: u32) -> Option<u32> {
    match describe(cmd) {
        Some(descriptor) => descriptor.passing.is_none().then_some(descriptor.cmd),
        None => Some(cmd),
    }
}

/// A call of the host's.
fn host_call(
    process: &'static Process,
    taken: &Taken,
    head: &mut Head,
    objects: &mut Vec<ObjectRef>,
    payload: &mut [u8],
) -> Result<u64, Errno> {
    match head.op {
        ops::IOCTL => {
            let file = process.file(head.file)?;
            ioctl(
                process,
                (&file, head.file),
                head,
                &taken.objects,
                objects,
                payload,
            )
        }
        ops::MMAP => {
            threads::running(process, CMD_MMAP);
            let file = process.file(head.file)?;
            let [offset, length] = head.extra;
            let out = mmap(process, &file, offset, length, head.flags)?;
            head.extra = [out.buffer, out.offset];
            Ok(0)
        }
        ops::OPEN => {
            threads::running(process, CMD_OPEN);
            let args = ops::decode_open(payload).ok_or(Errno::EINVAL)?;
            threads::set_current(threads::Current {
                file: args.cookie,
                buffer: 0,
            });
            process.open(&args, None).map(|_| 0)
        }
        ops::RELEASE => {
            threads::running(process, CMD_RELEASE);
            process.close(head.file).map(|()| 0)
        }
        _ => Err(Errno::EINVAL),
    }
}

fn ioctl(
    process: &'static Process,
    (file, cookie): (&File, u64),
    head: &Head,
    objects_in: &[ObjectRef],
    objects_out: &mut Vec<ObjectRef>,
    payload: &mut [u8],
) -> Result<u64, Errno> {
    let at = threads::running(process, head.cmd);
    threads::set_current(threads::Current {
        file: cookie,
        buffer: head.extra[0],
    });
    let call = process.table.ioctl.ok_or(Errno::ENOSYS)?;
    process.fences_take(objects_in)?;
    let record = process.recorder.call_begins(head.cmd, cookie, at);
    let mut out = [ObjectRef::default(); MAX_OBJECTS];
    let mut request = Request {
        size: size_of::<Request>() as u32,
        cmd: head.cmd,
        flags: head.flags,
        want_id: head.want_id,
        payload: payload.as_mut_ptr(),
        payload_len: payload.len(),
        objects_in: objects_in.as_ptr(),
        objects_in_len: objects_in.len(),
        objects_out: out.as_mut_ptr(),
        objects_out_cap: out.len(),
        objects_out_len: 0,
    };
    // SAFETY: the file is open while `file` is held; the request and all it points to are valid
    // and not shared during the call.
    let result = unsafe { call(file.pointer(), &mut request) };
    process.recorder.call_ends(record, result);
    let count = request.objects_out_len.min(out.len());
    objects_out.extend_from_slice(&out[..count]);
    Errno::check(result)
}

fn mmap(
    process: &Process,
    file: &File,
    offset: u64,
    length: u64,
    write: u32,
) -> Result<MmapOut, Errno> {
    let call = process.table.mmap.ok_or(Errno::ENOSYS)?;
    let args = MmapArgs {
        offset,
        length,
        write,
        reserved: 0,
    };
    let mut out = MmapOut::default();
    // SAFETY: the file is open while `file` is held; the pointers are valid during the call.
    let status = unsafe { call(file.pointer(), &args, &mut out) };
    Errno::check(status.into()).map(|_| out)
}

/// Serves the host's ring on the current thread until it is closed.
pub(super) fn host(process: &'static Process, server: RingServer) {
    let pool = Pool::new(server, None);
    process.pools().push(pool.clone());
    pool.serve(process);
}

/// Opens a node and serves a client's own ring, on threads of its own. Runs on the control
/// thread, so everything that calls the driver is left to the new thread.
pub(super) fn direct(
    process: &'static Process,
    seq: u32,
    open: &[u8; ops::OPEN_LEN],
    fds: Vec<OwnedFd>,
) {
    let open = *open;
    let served = move |status: i32| process.control.send(&FromWorker::Served { seq, status });
    let run = move || match open_direct(process, &open, fds) {
        Ok(pool) => {
            process.pools().push(pool.clone());
            process.control.wake();
            served(0);
            pool.serve(process);
        }
        Err(errno) => served(-errno.0),
    };
    if let Err(errno) = threads::spawn(process, "client", Role::Server, run) {
        process.control.send(&FromWorker::Served {
            seq,
            status: -errno.0,
        });
    }
}

fn open_direct(
    process: &'static Process,
    open: &[u8; ops::OPEN_LEN],
    fds: Vec<OwnedFd>,
) -> Result<Arc<Pool>, Errno> {
    threads::running(process, CMD_OPEN);
    let [ring, events] = <[OwnedFd; 2]>::try_from(fds).map_err(|_| Errno::EPROTO)?;
    let ring = Ring::open(&ring, Slots::Program).map_err(|error| Errno(error.raw_os_error()))?;
    let args = ops::decode_open(open).ok_or(Errno::EINVAL)?;
    let events = Arc::new(events);
    let file = process.open(&args, Some(events.clone()))?;
    let direct = Direct {
        cookie: args.cookie,
        file,
        events,
    };
    Ok(Pool::new(RingServer::new(ring), Some(direct)))
}

/// Pools whose client is gone, until their threads have ended. A client that still writes to the
/// ring can keep a thread asleep, so each is stopped again and again, ever more rarely.
#[derive(Debug, Default)]
pub(super) struct Stopping {
    pools: Vec<Arc<Pool>>,
    rounds: u32,
}

impl Stopping {
    pub(super) fn add(&mut self, pool: Arc<Pool>) {
        self.pools.push(pool);
        self.rounds = 0;
    }

    pub(super) fn again(&mut self) {
        self.pools.retain(|pool| *lock(&pool.threads) > 0);
        for pool in &self.pools {
            pool.server.stopper().stop();
        }
        self.rounds += 1;
    }

    pub(super) fn timeout(&self) -> Option<rustix::time::Timespec> {
        (!self.pools.is_empty()).then(|| timespec(1_000_000 << self.rounds.min(12)))
    }
}

/// Gives the device up and ends the process. The host kills it if a call does not come back.
pub(super) fn remove(process: &'static Process) {
    let run = move || {
        let pools = std::mem::take(&mut *process.pools());
        for pool in &pools {
            pool.server.stopper().stop();
        }
        for pool in &pools {
            let mut threads = lock(&pool.threads);
            while *threads > 0 {
                threads = pool
                    .ended
                    .wait(threads)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
        drop(pools);
        process.close_all();
        let instance = process.instance.load(Ordering::Acquire);
        if let Some(remove) = process.table.remove {
            // SAFETY: the instance came from `probe`; all files were released, no call comes.
            unsafe { remove(instance) };
        }
        control::exit(0)
    };
    if threads::spawn(process, "remove", Role::Driver, run).is_err() {
        control::exit(1);
    }
}
