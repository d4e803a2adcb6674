// SPDX-License-Identifier: MIT
//! The thread that takes what a worker sends, and notices its end.
//!
//! It sleeps until there is something: no timers. When the process has ended it takes what is left
//! in the socket (events that the driver posted must arrive), then closes the ring, so that
//! callers end at once.

use super::config::{Loaded, LogLine};
use super::error::LinkError;
use super::exit::{Cause, Exit, Status};
use super::shared::Shared;
use super::upcall;
use crate::wire::message::{self, FromWorker, MAX_LINE, MAX_NODES, MAX_TARGET, MessageError};
use drvhost_abi::tables::NodeKind;
use drvhost_port::Node;
use rustix::event::{PollFd, PollFlags, poll};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Messages in a second from which on a worker counts as flooding. A driver posts a few hundred.
const FLOOD: u32 = 100_000;
/// Lines in a second that a worker may log; what is more is counted and left out.
const LINES: u32 = 2_000;

pub(super) struct Inputs {
    pub(super) output: OwnedFd,
    pub(super) child: Child,
}

pub(super) fn start(shared: Arc<Shared>, mut inputs: Inputs) -> Result<JoinHandle<()>, LinkError> {
    let pid = shared.pid;
    let handle = shared.clone();
    std::thread::Builder::new()
        .name(format!("worker {pid}"))
        .spawn(move || {
            let mut reader = Reader::new(shared);
            reader.follow(&inputs.output);
            reader.end(&mut inputs);
        })
        .map_err(|source| {
            handle.kill(Cause::Killed);
            LinkError::Setup {
                what: "reader thread",
                source,
            }
        })
}

/// Counts what happens within a second.
struct Rate {
    since: Instant,
    count: u32,
}

impl Rate {
    fn new() -> Rate {
        Rate {
            since: Instant::now(),
            count: 0,
        }
    }

    /// Counts one; gives how many there were within this second.
    fn tick(&mut self) -> u32 {
        self.count += 1;
        // Looks at the time rarely: it costs more than the rest.
        if self.count.is_multiple_of(256) && self.since.elapsed() >= Duration::from_secs(1) {
            *self = Rate::new();
        }
        self.count
    }
}

struct Reader {
    shared: Arc<Shared>,
    buffer: Vec<u8>,
    printed: Vec<u8>,
    messages: Rate,
    lines: Rate,
    trusted: bool,
    open: [bool; 2],
}

impl Reader {
    fn new(shared: Arc<Shared>) -> Reader {
        Reader {
            shared,
            buffer: Vec::new(),
            printed: Vec::new(),
            messages: Rate::new(),
            lines: Rate::new(),
            trusted: true,
            open: [true; 2],
        }
    }

    /// Takes messages until the process has ended.
    fn follow(&mut self, output: &OwnedFd) {
        let shared = self.shared.clone();
        loop {
            // A hung-up descriptor would wake us for ever: it leaves the list.
            let mut fds = vec![PollFd::new(&shared.pidfd, PollFlags::IN)];
            let (control, printed) = (self.open[0], self.open[1]);
            fds.extend(control.then(|| PollFd::new(&shared.control, PollFlags::IN)));
            fds.extend(printed.then(|| PollFd::new(output, PollFlags::IN)));
            match poll(&mut fds, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => {
                    shared.kill(Cause::Killed);
                    return;
                }
            }
            let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
            if ready.next() == Some(true) {
                return;
            }
            if control && ready.next() == Some(true) {
                self.take_messages(64, false);
            }
            if printed && ready.next() == Some(true) {
                self.open[1] = self.take_output(output);
            }
        }
    }

    /// Takes up to `limit` messages. After the worker's end nobody reads answers: what asks for
    /// one is left out.
    fn take_messages(&mut self, limit: usize, ended: bool) {
        for _ in 0..limit {
            let shared = self.shared.clone();
            let received =
                message::receive::<FromWorker>(shared.control.as_fd(), &mut self.buffer, false);
            let message = match received {
                Ok((message, fds)) if fds.is_empty() => message,
                Ok(_) => return self.violation("sent descriptors"),
                Err(MessageError::Empty) => return,
                Err(MessageError::Closed) => {
                    self.open[0] = false;
                    // By its end, or to hide: then it is of no use.
                    if !ended {
                        let cause = "closed its control socket".to_string();
                        self.hang_up(cause);
                    }
                    return;
                }
                Err(error) => return self.violation(&error.to_string()),
            };
            if self.messages.tick() > FLOOD {
                return self.violation("floods the control socket");
            }
            if self.trusted
                && !(ended && matches!(message, FromWorker::Upcall { .. }))
                && let Err(why) = self.handle(message)
            {
                self.violation(why);
            }
        }
    }

    /// The socket closes shortly before the process has ended; whoever lives on after that is
    /// killed. (A dying process closes its descriptors before it can be waited for.)
    fn hang_up(&mut self, cause: String) {
        let mut fds = [PollFd::new(&self.shared.pidfd, PollFlags::IN)];
        let grace = rustix::time::Timespec {
            tv_sec: 2,
            tv_nsec: 0,
        };
        if !matches!(poll(&mut fds, Some(&grace)), Ok(count) if count > 0) {
            self.shared.kill(Cause::Violation(cause));
        }
    }

    fn violation(&mut self, why: &str) {
        if self.trusted {
            self.trusted = false;
            self.shared.kill(Cause::Violation(why.into()));
        }
    }

    fn handle(&mut self, message: FromWorker) -> Result<(), &'static str> {
        let shared = self.shared.clone();
        match message {
            FromWorker::Log {
                level,
                target,
                text,
            } => {
                if text.len() > MAX_LINE || target.len() > MAX_TARGET || !(1..=5).contains(&level) {
                    return Err("sent a log line that is too long or of no level");
                }
                self.line(LogLine {
                    level,
                    target: clean(&target),
                    text: clean(&text),
                });
                return Ok(());
            }
            FromWorker::Loaded {
                name,
                description,
                unconfined,
            } => {
                let mut state = shared.state();
                if state.loaded.is_some() || !state.load_sent {
                    return Err("said twice that it has loaded");
                }
                let unconfined = unconfined.iter().take(16).map(|text| clean(text)).collect();
                let (driver, description) = (clean(&name), clean(&description));
                state.loaded = Some(Ok(Loaded {
                    driver,
                    description,
                    unconfined,
                }));
            }
            FromWorker::LoadFailed { reason } => {
                let mut state = shared.state();
                if state.loaded.is_some() || !state.load_sent {
                    return Err("said twice that it has loaded");
                }
                state.loaded = Some(Err(clean(&reason)));
            }
            FromWorker::Ready { nodes } => {
                if shared.binding.get().is_none() || nodes.len() > MAX_NODES {
                    return Err("is ready without a device, or has too many nodes");
                }
                let mut state = shared.state();
                if state.probed.is_some() {
                    return Err("said twice that it has probed");
                }
                state.probed = Some(Ok(known_nodes(&nodes)));
            }
            FromWorker::ProbeFailed { errno } => {
                let mut state = shared.state();
                if shared.binding.get().is_none() || state.probed.is_some() {
                    return Err("said twice that it has probed");
                }
                state.probed = Some(Err(if (1..4096).contains(&errno) { errno } else { 5 }));
            }
            FromWorker::Served { seq, status } => match shared.state().served.get_mut(&seq) {
                Some(place @ None) => *place = Some(status),
                _ => return Err("answered what nobody asked"),
            },
            other => {
                let bound = shared
                    .binding
                    .get()
                    .ok_or("asked something without a device")?;
                return upcall::handle(&shared, bound, other);
            }
        }
        shared.changed.notify_all();
        Ok(())
    }

    fn line(&mut self, line: LogLine) {
        match self.lines.tick() {
            count if count < LINES => self.shared.log(line),
            LINES => self.shared.log(LogLine {
                level: 2,
                target: "drvhost".into(),
                text: "the worker logs too much; lines are left out".into(),
            }),
            _ => {}
        }
    }

    /// Closes the ring. A caller that was about to sleep just then misses it, and would sleep for
    /// its quarter of a second: so it is done again until all have gone, for a short while.
    fn close_ring(&self) {
        for _ in 0..20 {
            self.shared.stopper.stop();
            if self.shared.in_flight.count() == 0 {
                break;
            }
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// Takes what the worker printed; `false` at the end.
    fn take_output(&mut self, output: &OwnedFd) -> bool {
        let mut chunk = [0; 4096];
        let count = match rustix::io::read(output, &mut chunk) {
            Ok(0) | Err(_) => return false,
            Ok(count) => count,
        };
        self.printed.extend_from_slice(&chunk[..count]);
        while let Some(end) = self.printed.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.printed.drain(..=end).collect();
            self.print(&line);
        }
        if self.printed.len() > MAX_LINE {
            let line = std::mem::take(&mut self.printed);
            self.print(&line);
        }
        true
    }

    fn print(&mut self, line: &[u8]) {
        let text = clean(String::from_utf8_lossy(line).trim_end());
        if !text.is_empty() {
            self.line(LogLine {
                level: 2,
                target: "stderr".into(),
                text,
            });
        }
    }

    /// The process has ended: takes what is left and tells everybody.
    fn end(&mut self, inputs: &mut Inputs) {
        let shared = self.shared.clone();
        self.take_messages(usize::MAX, true);
        // The pipe has no writer left, so this comes to its end.
        while self.open[1] && self.take_output(&inputs.output) {}
        let rest = std::mem::take(&mut self.printed);
        self.print(&rest);
        let status = match inputs.child.wait() {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => Status::Code(code),
                (None, signal) => Status::Signal(signal.unwrap_or(0)),
            },
            Err(_) => Status::Code(-1),
        };
        shared.dead.store(true, Ordering::Release);
        let (exit, on_exit) = {
            let mut state = shared.state();
            let cause = state.cause.clone().unwrap_or(Cause::Itself);
            let exit = Exit { status, cause };
            state.exit = Some(exit.clone());
            (exit, state.on_exit.take())
        };
        shared.changed.notify_all();
        self.close_ring();
        if let Some(on_exit) = on_exit {
            on_exit(&exit);
        }
    }
}

/// Nodes of a kind that is not known here are left out, with their indexes.
fn known_nodes(nodes: &[(u32, String)]) -> Vec<Node> {
    let kinds = [NodeKind::Card, NodeKind::Render, NodeKind::Event];
    let known = |(index, (kind, driver)): (usize, &(u32, String))| {
        Some(Node {
            index: u32::try_from(index).ok()?,
            kind: *kinds.iter().find(|known| **known as u32 == *kind)?,
            driver: clean(driver),
        })
    };
    nodes.iter().enumerate().filter_map(known).collect()
}

/// A text of a worker's, fit to be shown: no control characters, not too long.
fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_LINE)
        .collect()
}
