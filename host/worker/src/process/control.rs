// SPDX-License-Identifier: MIT
//! The control socket: the thread that reads it, and upcalls.

use super::{Process, lock, serve, threads};
use crate::wire::message::{
    self, Ask, FromWorker, MAX_LINE, MAX_TARGET, MessageError, Reply, ToWorker,
};
use drvhost_abi::Errno;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::mpsc::{SyncSender, sync_channel};

type Answer = (Result<Reply, i32>, Option<OwnedFd>);

#[derive(Debug)]
pub(super) struct Control {
    socket: OwnedFd,
    pending: Mutex<Pending>,
    wake: OwnedFd,
}

#[derive(Debug, Default)]
struct Pending {
    next: u32,
    waiting: HashMap<u32, SyncSender<Answer>>,
}

impl Control {
    pub(super) fn new(socket: OwnedFd) -> Result<Control, rustix::io::Errno> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Control {
            socket,
            pending: Mutex::default(),
            wake,
        })
    }

    /// Sends a message. The host's end being closed ends the process: nobody needs it any more.
    pub(super) fn send(&self, message: &FromWorker) {
        match message::send(&self.socket, message, &[], true) {
            Ok(()) => {}
            Err(MessageError::Closed) => exit(0),
            Err(_) => exit(1),
        }
    }

    pub(super) fn receive(
        &self,
        buffer: &mut Vec<u8>,
    ) -> Result<(ToWorker, Vec<OwnedFd>), MessageError> {
        message::receive(&self.socket, buffer, true)
    }

    /// Has the control thread look at the event sockets again.
    pub(super) fn wake(&self) {
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

/// Ends the process at once: no destructors of the driver's run.
pub(super) fn exit(code: i32) -> ! {
    // SAFETY: ends the process; nothing runs afterwards.
    unsafe { libc::_exit(code) }
}

impl Process {
    /// Asks the host and waits for its answer.
    pub(super) fn ask(&self, ask: Ask) -> Result<(Reply, Option<OwnedFd>), Errno> {
        let (sender, receiver) = sync_channel(1);
        let seq = {
            let mut pending = lock(&self.control.pending);
            pending.next = pending.next.wrapping_add(1);
            let seq = pending.next;
            pending.waiting.insert(seq, sender);
            seq
        };
        // The host's answer is the host's affair: a thread that waits for it is not hung.
        let (result, fd) = threads::waiting(self, u64::MAX, || {
            self.control.send(&FromWorker::Upcall { seq, ask });
            receiver.recv().map_err(|_| Errno::EIO)
        })?;
        result.map(|reply| (reply, fd)).map_err(Errno)
    }

    /// As [`Self::ask`], for answers that carry a descriptor.
    pub(super) fn ask_fd(&self, ask: Ask) -> Result<(Reply, OwnedFd), Errno> {
        let (reply, fd) = self.ask(ask)?;
        Ok((reply, fd.ok_or(Errno::EPROTO)?))
    }

    /// Sends a log line if the host wants its level.
    pub(super) fn log(&self, level: u8, target: &str, text: &str) {
        if level > self.log_level {
            return;
        }
        let cut = |text: &str, most: usize| text[..text.floor_char_boundary(most)].to_string();
        self.control.send(&FromWorker::Log {
            level: level.clamp(1, 5),
            target: cut(target, MAX_TARGET),
            text: cut(text.trim_end(), MAX_LINE),
        });
    }
}

/// The control thread: reads messages and watches the event sockets of served files.
pub(super) fn follow(process: &'static Process) {
    let mut buffer = Vec::new();
    let mut stopping = serve::Stopping::default();
    loop {
        let mut watched = process.pools().clone();
        watched.retain(|pool| pool.is_direct());
        let mut fds = vec![
            PollFd::new(&process.control.socket, PollFlags::IN),
            PollFd::new(&process.control.wake, PollFlags::IN),
        ];
        // Only the hang-up counts, which is always reported.
        fds.extend(
            watched.iter().filter_map(|pool| {
                Some(PollFd::from_borrowed_fd(pool.events()?, PollFlags::empty()))
            }),
        );
        let timeout = stopping.timeout();
        if poll(&mut fds, timeout.as_ref()).is_err() {
            continue;
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        if ready[1] {
            let mut count = [0; 8];
            let _ = rustix::io::read(&process.control.wake, &mut count);
        }
        for (pool, hung_up) in watched.iter().zip(&ready[2..]) {
            if *hung_up {
                process
                    .pools()
                    .retain(|other| !std::sync::Arc::ptr_eq(other, pool));
                stopping.add(pool.clone());
            }
        }
        stopping.again();
        if ready[0] {
            match process.control.receive(&mut buffer) {
                Ok((message, fds)) => handle(process, message, fds),
                Err(MessageError::Closed) => exit(0),
                Err(_) => exit(1),
            }
        }
    }
}

fn handle(process: &'static Process, message: ToWorker, fds: Vec<OwnedFd>) {
    match message {
        ToWorker::Reply { seq, result } => {
            if let Some(sender) = lock(&process.control.pending).waiting.remove(&seq) {
                let _ = sender.send((result, fds.into_iter().next()));
            }
        }
        ToWorker::Serve { seq, open } => serve::direct(process, seq, &open, fds),
        ToWorker::Remove => serve::remove(process),
        // Those come once each, before this thread starts.
        ToWorker::Load(_) | ToWorker::Bind(_) => exit(1),
    }
}

/// The `log` crate of this executable (driver-sys and others), into the same stream.
#[derive(Debug)]
pub(super) struct Logger(pub(super) &'static Process);

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() as u8 <= self.0.log_level
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.log(
            record.level() as u8,
            record.target(),
            &record.args().to_string(),
        );
    }

    fn flush(&self) {}
}
