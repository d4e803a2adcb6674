// SPDX-License-Identifier: MIT
//! Listens on the control socket. Bad input gets an error reply; the machine runs on.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::command::{self, Command};
use crate::running::{self, Running};
use crate::server::lock;

/// Name of the control socket in the machine's directory.
pub const SOCKET: &str = "control.sock";
/// A longer line is no request.
const MAX_LINE: u64 = 64 << 10;
/// More at once are turned away.
const MAX_CLIENTS: usize = 32;
/// A client that does not read its replies is disconnected.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Shared {
    stopping: AtomicBool,
    clients: AtomicUsize,
    stop: Mutex<Sender<()>>,
    /// Held for reading while a command is carried out; `None` from when the socket is gone.
    machine: RwLock<Option<Arc<Running>>>,
}

/// The control socket of a running machine; dropping it removes the socket.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    listener: Arc<UnixListener>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    /// Listens in `dir`; a request to stop sends on `stop`.
    ///
    /// # Errors
    /// When the socket can't be bound or the thread can't be made.
    pub fn start(machine: Arc<Running>, dir: &Path, stop: Sender<()>) -> anyhow::Result<Self> {
        let path = dir.join(SOCKET);
        let listener = running::bind(&path)
            .map_err(|error| anyhow::anyhow!("bind {}: {error}", path.display()))?;
        let listener = Arc::new(listener);
        let shared = Arc::new(Shared {
            stopping: AtomicBool::new(false),
            clients: AtomicUsize::new(0),
            stop: Mutex::new(stop),
            machine: RwLock::new(Some(machine)),
        });
        let thread = std::thread::Builder::new().name("control".into()).spawn({
            let (listener, shared) = (listener.clone(), shared.clone());
            move || accept(&listener, &shared)
        })?;
        Ok(Self {
            path,
            listener,
            shared,
            thread: Some(thread),
        })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
        self.shared.stopping.store(true, Ordering::SeqCst);
        let _ = rustix::net::shutdown(&*self.listener, rustix::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        // Waits for commands that are being carried out; none follows, and none holds the machine.
        let mut machine = self
            .shared
            .machine
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *machine = None;
    }
}

fn accept(listener: &UnixListener, shared: &Arc<Shared>) {
    while !shared.stopping.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok((socket, _)) => start(socket, shared),
            Err(_) if shared.stopping.load(Ordering::SeqCst) => {}
            Err(error) => {
                log::warn!("accept on the control socket: {error}");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// Counts a client for as long as its thread lives.
struct Counted(Arc<Shared>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.clients.fetch_sub(1, Ordering::SeqCst);
    }
}

fn start(socket: UnixStream, shared: &Arc<Shared>) {
    let before = shared.clients.fetch_add(1, Ordering::SeqCst);
    let counted = Counted(shared.clone());
    if before >= MAX_CLIENTS {
        log::warn!("control: {MAX_CLIENTS} clients are connected, one more is turned away");
        return;
    }
    let spawned = std::thread::Builder::new()
        .name("control client".into())
        .spawn(move || {
            let serve = |line: &[u8]| {
                let machine = counted
                    .0
                    .machine
                    .read()
                    .unwrap_or_else(PoisonError::into_inner);
                match &*machine {
                    Some(machine) => answer(machine, line),
                    None => (
                        json!({ "ok": false, "error": "the simulator is stopping" }),
                        false,
                    ),
                }
            };
            if let Err(error) = converse(&socket, &counted.0, serve) {
                log::debug!("control client: {error}");
            }
            let _ = socket.shutdown(Shutdown::Both);
        });
    if let Err(error) = spawned {
        log::warn!("control: no thread for a client: {error}");
    }
}

fn converse(
    socket: &UnixStream,
    shared: &Shared,
    serve: impl Fn(&[u8]) -> (Value, bool),
) -> std::io::Result<()> {
    socket.set_write_timeout(Some(SEND_TIMEOUT))?;
    let mut reader = BufReader::new(socket);
    loop {
        let mut line = Vec::new();
        reader
            .by_ref()
            .take(MAX_LINE)
            .read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(());
        }
        let whole = line.ends_with(b"\n") || (line.len() as u64) < MAX_LINE;
        let (reply, stop) = if whole {
            serve(&line)
        } else {
            (
                json!({ "ok": false, "error": "the line is too long" }),
                false,
            )
        };
        let mut text = reply.to_string();
        text.push('\n');
        (&mut &*socket).write_all(text.as_bytes())?;
        if stop {
            let _ = lock(&shared.stop).send(());
        }
        if !whole {
            return Ok(());
        }
    }
}

/// The reply to a line, and whether the simulator is to end.
fn answer(machine: &Running, line: &[u8]) -> (Value, bool) {
    let result = serde_json::from_slice::<Command>(line)
        .map_err(|error| format!("no command: {error}"))
        .and_then(|command| {
            let stop = matches!(command, Command::Stop {});
            command::run(machine, command).map(|reply| (reply, stop))
        });
    match result {
        Ok((mut reply, stop)) => {
            reply["ok"] = json!(true);
            (reply, stop)
        }
        Err(error) => (json!({ "ok": false, "error": error }), false),
    }
}
