// SPDX-License-Identifier: MIT
//! Opening nodes, and rings for files that are open.

use super::file::OpenFile;
use super::objects::errno;
use super::pair::Pair;
use super::ring::ProcessRing;
use super::shared::{Node, Shared};
use crate::access::Credentials;
use crate::claims::{Claim, MASTER};
use crate::quota::Kind;
use drvhost_abi::Errno;
use drvhost_abi::tables::{NodeKind, OPEN_PRIVILEGED, OpenArgs};
use drvhost_channel::ring::{Ring, Slots};
use drvhost_port::CallError;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::fd::OwnedFd;
use std::sync::{Arc, PoisonError};

/// Rings that one process may have for one file: more than one only while it forks or execs.
const RINGS_PER_PROCESS: usize = 4;

/// What an opener gets.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) file: Arc<OpenFile>,
    pub(crate) socket: OwnedFd,
    pub(crate) ring: OwnedFd,
    pub(crate) token: [u64; 2],
}

/// Opens a node for a process.
pub(crate) fn open(shared: &Arc<Shared>, name: &str, who: &Credentials) -> Result<Opened, Errno> {
    let node = shared.tables().nodes.get(name).cloned();
    let node = node.ok_or(Errno::ENOENT)?;
    if !node.access.allows(who) {
        return Err(Errno::EACCES);
    }
    super::reap::reap(shared, &node.device);
    let files = shared.accounts.charge(who.uid, Kind::Files, 1)?;
    let pair = node.socket.pair().map_err(errno)?;
    let memory = Ring::create(Slots::Program).map_err(errno)?;
    let args = OpenArgs {
        node: node.index,
        flags: if who.privileged { OPEN_PRIVILEGED } else { 0 },
        cookie: shared.number(),
        pid: who.pid,
        uid: who.uid,
    };
    let Pair {
        client,
        host,
        inode,
    } = pair;
    let copy = rustix::io::fcntl_dupfd_cloexec(&host, 0).map_err(errno)?;
    let file = Arc::new(OpenFile::new(
        args.cookie,
        node.device.clone(),
        name.to_owned(),
        node.kind,
        (who.pid, who.uid),
        inode,
        host,
        files,
    ));
    let served_here = node.kind == NodeKind::Card;
    let (ring, server, token) = new_ring(shared, who, served_here.then_some(&memory))?;
    // In the tables first: the driver may send events at once.
    let worker_ring = rustix::io::fcntl_dupfd_cloexec(&memory, 0).map_err(errno)?;
    shared.insert_ring(&file, &ring);
    shared.insert_file(&file).map_err(errno)?;
    let result = tell_worker(&file, &node, &args, worker_ring, copy);
    let started = result.and_then(|()| match server {
        Some(server) => ring.start(server, &file, shared).map_err(errno),
        None => Ok(()),
    });
    if let Err(errno) = started {
        super::close::end(shared, args.cookie);
        return Err(errno);
    }
    Ok(Opened {
        file,
        socket: client,
        ring: memory,
        token,
    })
}

/// Opens the node in the worker, whichever comes.
fn tell_worker(
    file: &OpenFile,
    node: &Node,
    args: &OpenArgs,
    ring: OwnedFd,
    events: OwnedFd,
) -> Result<(), Errno> {
    let device = &node.device;
    let mut passed = Some((ring, events));
    loop {
        let pass = device.gate.enter(&file.closing)?;
        let Some(worker) = pass.worker().cloned() else {
            return Err(Errno::ENODEV);
        };
        let result = if node.kind == NodeKind::Card {
            // Opening a card without a master makes one: in the order of the record.
            let _held = device.claims.take(Claim::Legacy([MASTER].into()));
            let result = worker.open(args);
            if result.is_ok() {
                device.shadow().opened(*args);
            }
            result
        } else {
            match passed.take() {
                Some((ring, events)) => worker.serve(args, ring, events),
                None => return Err(Errno::ENODEV),
            }
        };
        match result {
            Ok(()) => return Ok(()),
            Err(CallError::Errno(errno)) => return Err(errno),
            Err(CallError::Died) => pass.died(),
        }
    }
}

/// Makes a ring for a process; `served` is its memory where the host serves it.
#[expect(clippy::type_complexity, reason = "three things that belong together")]
fn new_ring(
    shared: &Arc<Shared>,
    who: &Credentials,
    served: Option<&OwnedFd>,
) -> Result<
    (
        Arc<ProcessRing>,
        Option<drvhost_channel::ring::RingServer>,
        [u64; 2],
    ),
    Errno,
> {
    let charge = shared.accounts.charge(who.uid, Kind::Rings, 1)?;
    let mut secret = [0; 16];
    rustix::rand::getrandom(&mut secret[..], rustix::rand::GetRandomFlags::empty())
        .map_err(errno)?;
    let (low, high) = secret.split_at(8);
    let half = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    };
    let token = [half(low), half(high)];
    let process = i32::try_from(who.pid).ok().and_then(Pid::from_raw);
    let process = process.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let number = shared.number();
    let (ring, server) =
        ProcessRing::new(served, token, who.pid, number, process, charge).map_err(errno)?;
    Ok((Arc::new(ring), server, token))
}

/// A ring for a process that has a descriptor of an open file.
pub(crate) fn attach(
    shared: &Arc<Shared>,
    inode: u64,
    who: &Credentials,
) -> Result<(String, OwnedFd, [u64; 2]), Errno> {
    let file = {
        let tables = shared.tables();
        let cookie = tables.inodes.get(&inode).copied();
        let file = cookie.and_then(|cookie| tables.files.get(&cookie).cloned());
        // The descriptor is a node's, but its device is gone.
        file.ok_or(Errno::ENODEV)?
    };
    let old = {
        let rings = file.ring_list();
        let mut same = rings.iter().filter(|ring| ring.pid == who.pid);
        let count = same.clone().count();
        (count >= RINGS_PER_PROCESS).then(|| same.next().map(|ring| ring.number))
    };
    if let Some(number) = old.flatten() {
        shared.drop_ring(number);
    }
    let memory = Ring::create(Slots::Program).map_err(errno)?;
    let (ring, server, token) = new_ring(shared, who, Some(&memory))?;
    shared.insert_ring(&file, &ring);
    let server = server.ok_or(Errno::EIO)?;
    if let Err(error) = ring.start(server, &file, shared) {
        shared.drop_ring(ring.number);
        return Err(errno(error));
    }
    Ok((file.node.clone(), memory, token))
}

/// Makes the file that a call made known: gives its event socket, for the program.
pub(crate) fn lease(lessor: &OpenFile, cookie: u64) -> Result<OwnedFd, Errno> {
    let device = &lessor.device;
    let shared = &device.shared;
    let born = device
        .newborn
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(&cookie);
    born.ok_or(Errno::EIO)?;
    let node = shared.tables().nodes.get(&lessor.node).cloned();
    let node = node.ok_or(Errno::ENODEV)?;
    let result = shared
        .accounts
        .charge(lessor.uid, Kind::Files, 1)
        .and_then(|charge| Ok((charge, node.socket.pair().map_err(errno)?)));
    let (charge, pair) = match result {
        Ok(made) => made,
        Err(errno) => {
            let pass = device.gate.enter_anyway();
            if let Some(worker) = pass.worker() {
                worker.release(cookie);
            }
            device.shadow().closed(cookie);
            return Err(errno);
        }
    };
    let file = Arc::new(OpenFile::new(
        cookie,
        device.clone(),
        lessor.node.clone(),
        lessor.kind,
        (lessor.pid, lessor.uid),
        pair.inode,
        pair.host,
        charge,
    ));
    shared.insert_file(&file).map_err(errno)?;
    Ok(pair.client)
}
