// SPDX-License-Identifier: MIT
//! What the one thread for sockets waits for.

use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// Where a wake-up comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// The front stops.
    Stop,
    /// A program connects.
    Listener,
    /// A connection has an ask.
    Connection(u64),
    /// An event socket, by the file's cookie.
    File(u64),
    /// A process ended, by the ring's number.
    Process(u64),
}

impl Source {
    fn data(self) -> epoll::EventData {
        let (kind, id) = match self {
            Source::Stop => (0, 0),
            Source::Listener => (1, 0),
            Source::Connection(id) => (2, id),
            Source::File(id) => (3, id),
            Source::Process(id) => (4, id),
        };
        epoll::EventData::new_u64(id << 3 | kind)
    }

    fn of(data: u64) -> Source {
        match (data & 7, data >> 3) {
            (1, _) => Source::Listener,
            (2, id) => Source::Connection(id),
            (3, id) => Source::File(id),
            (4, id) => Source::Process(id),
            _ => Source::Stop,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
    stop: OwnedFd,
}

impl Poller {
    pub(crate) fn new() -> Result<Poller, Errno> {
        let poller = Poller {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            stop: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        };
        poller.add(&poller.stop, Source::Stop)?;
        Ok(poller)
    }

    /// Waits for input, or the end.
    pub(crate) fn add(&self, fd: impl AsFd, source: Source) -> Result<(), Errno> {
        epoll::add(&self.epoll, fd, source.data(), epoll::EventFlags::IN)
    }

    /// Waits for the end only, and where `room` for room to send.
    pub(crate) fn add_quiet(&self, fd: impl AsFd, source: Source) -> Result<(), Errno> {
        epoll::add(&self.epoll, fd, source.data(), epoll::EventFlags::ET)
    }

    /// Changes whether an event socket is watched for room to send.
    pub(crate) fn want_room(&self, fd: impl AsFd, source: Source, room: bool) {
        let mut flags = epoll::EventFlags::ET;
        flags.set(epoll::EventFlags::OUT, room);
        let _ = epoll::modify(&self.epoll, fd, source.data(), flags);
    }

    pub(crate) fn remove(&self, fd: impl AsFd) {
        let _ = epoll::delete(&self.epoll, fd);
    }

    pub(crate) fn stop(&self) {
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
    }

    /// Sleeps until something happens: the sources, and whether the other end is gone.
    pub(crate) fn wait(&self) -> Vec<(Source, bool)> {
        let mut events = Vec::with_capacity(64);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => log::error!("waiting for sockets: {error}"),
        }
        let gone = epoll::EventFlags::HUP | epoll::EventFlags::ERR;
        events
            .iter()
            .map(|event: &epoll::Event| {
                let flags = event.flags;
                (Source::of(event.data.u64()), flags.intersects(gone))
            })
            .collect()
    }
}
