// SPDX-License-Identifier: MIT
//! Starts a worker process with its shared memory.
//!
//! The control socket is the worker's standard input, so that the process can be made without
//! copying the host (`posix_spawn`); every other descriptor of the host closes on exec. What the
//! worker prints comes back through a pipe.

use super::config::Config;
use super::error::LinkError;
use super::reader::{self, Inputs};
use super::shared::{Shared, State};
use super::{Link, flight::InFlight};
use crate::wire::message;
use crate::wire::progress::Progress;
use crate::wire::recorder::Recorder;
use drvhost_channel::ring::{Ring, RingClient, RingServer, Slots};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, OnceLock};

pub(super) fn spawn(config: &Config) -> Result<Link, LinkError> {
    let setup = LinkError::setup;
    let exe = config.executable();
    let flags = SocketFlags::CLOEXEC;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .map_err(setup("control socket"))?;
    let (output, printed) = pipe_with(PipeFlags::CLOEXEC).map_err(setup("output pipe"))?;
    let printed_too = printed.try_clone().map_err(|source| LinkError::Setup {
        what: "output pipe",
        source,
    })?;
    let ring = Ring::create(Slots::Worker).map_err(setup("ring"))?;
    let progress = Progress::create().map_err(setup("progress page"))?;
    let recorder = Recorder::create().map_err(setup("flight recorder"))?;
    let open = |ring| Ring::open(ring, Slots::Worker).map_err(setup("ring"));
    let client = RingClient::new(open(ring.as_fd())?);
    let stopper = RingServer::new(open(ring.as_fd())?).stopper();
    let ours_progress = Progress::open(&progress).map_err(setup("progress page"))?;
    let ours_recorder = Recorder::open(&recorder).map_err(setup("flight recorder"))?;

    // Waits in the socket until the worker reads it.
    let memory = [
        ring.as_fd(),
        config.clock.fd(),
        progress.as_fd(),
        recorder.as_fd(),
    ];
    let first = message::Memory {
        protocol: message::PROTOCOL,
    };
    message::send(&ours, &first, &memory, false).map_err(|error| LinkError::Setup {
        what: "first message",
        source: std::io::Error::other(error),
    })?;

    let mut child = Command::new(&exe)
        .arg0("drvhost")
        .args(&config.args)
        .env_clear()
        // A symbol that is missing after all is an error of loading, not an abort later.
        .env("LD_BIND_NOW", "1")
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::from(printed))
        .stderr(Stdio::from(printed_too))
        .spawn()
        .map_err(|source| LinkError::Spawn { exe, source })?;
    let pid = child.id();
    let pidfd = Pid::from_raw(pid.cast_signed())
        .ok_or(rustix::io::Errno::SRCH)
        .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
    let pidfd = match pidfd {
        Ok(pidfd) => pidfd,
        Err(error) => {
            // Ours and not yet waited for, so the number still names it.
            let _ = child.kill().and_then(|()| child.wait());
            return Err(setup("pidfd")(error));
        }
    };
    let shared = Arc::new(Shared {
        config: config.clone(),
        pid,
        pidfd,
        control: ours,
        ring: client,
        stopper,
        progress: ours_progress,
        recorder: ours_recorder,
        in_flight: InFlight::default(),
        expected: 0.into(),
        answered: 0.into(),
        stirred: false.into(),
        dead: false.into(),
        binding: OnceLock::new(),
        nodes: OnceLock::new(),
        log: Mutex::new(VecDeque::new()),
        state: Mutex::new(State::default()),
        changed: Condvar::new(),
    });
    let inputs = Inputs { output, child };
    let reader = reader::start(shared.clone(), inputs)?;
    Ok(Link {
        shared,
        plugin: Mutex::new(None),
        reader: Mutex::new(Some(reader)),
    })
}
