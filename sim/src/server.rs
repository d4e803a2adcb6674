// SPDX-License-Identifier: MIT
//! The vfio-user server: offers one PCI function on a listening socket, to several clients.
//!
//! Here are the threads and what ends them; `session` is one client's conversation.

use std::collections::BTreeMap;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::function::PciFunction;
use crate::session::{Owners, Session};

/// A function as the server shares it between connections.
pub type SharedFunction = Arc<Mutex<dyn PciFunction>>;

/// More clients than this at once are turned away: a function has one user and its supervisor.
const MAX_CLIENTS: usize = 32;

/// Locks, also after a thread panicked with the lock: hardware has no transactions either.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Default)]
struct Clients {
    next: u64,
    sockets: BTreeMap<u64, UnixStream>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stopping: AtomicBool,
    clients: Mutex<Clients>,
}

/// A running server; dropping it ends its connections and its threads.
#[derive(Debug)]
pub struct Server {
    listener: Arc<UnixListener>,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// Closes the listening socket and all connections, and waits for the threads.
    /// DMA mappings and interrupts of the connections end; the function stays as it is.
    pub fn stop(self) {}

    /// How many clients are connected.
    pub fn clients(&self) -> usize {
        lock(&self.shared.clients).sockets.len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Shutting a listening socket down wakes the thread that accepts on it.
        if let Err(error) = rustix::net::shutdown(&*self.listener, rustix::net::Shutdown::Both) {
            log::warn!("shut down listening socket: {error}");
        }
        if let Some(thread) = self.accepting.take() {
            let _ = thread.join();
        }
        let threads = {
            let mut clients = lock(&self.shared.clients);
            for socket in clients.sockets.values() {
                let _ = socket.shutdown(Shutdown::Both);
            }
            std::mem::take(&mut clients.threads)
        };
        for thread in threads {
            let _ = thread.join();
        }
    }
}

/// Serves `function` to every client that connects, on threads of its own.
///
/// # Errors
/// When the accepting thread can't be made.
pub fn serve(listener: UnixListener, function: SharedFunction) -> io::Result<Server> {
    let listener = Arc::new(listener);
    let shared = Arc::new(Shared::default());
    let accepting = {
        let (listener, shared) = (listener.clone(), shared.clone());
        let thread = std::thread::Builder::new().name("accept".into());
        thread.spawn(move || accept(&listener, &shared, &function))?
    };
    Ok(Server {
        listener,
        shared,
        accepting: Some(accepting),
    })
}

fn accept(listener: &UnixListener, shared: &Arc<Shared>, function: &SharedFunction) {
    let owners = Arc::new(Mutex::new(Owners::default()));
    while !shared.stopping.load(Ordering::SeqCst) {
        let result = listener
            .accept()
            .and_then(|(socket, _)| start(socket, shared, function.clone(), owners.clone()));
        match result {
            Ok(()) => {}
            Err(_) if shared.stopping.load(Ordering::SeqCst) => {}
            Err(error) => {
                // Out of descriptors or threads: others may give some back soon.
                log::warn!("accept a client: {error}");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

fn start(
    socket: UnixStream,
    shared: &Arc<Shared>,
    function: SharedFunction,
    owners: Arc<Mutex<Owners>>,
) -> io::Result<()> {
    let mut clients = lock(&shared.clients);
    clients.threads.retain(|thread| !thread.is_finished());
    if clients.sockets.len() >= MAX_CLIENTS {
        log::warn!("client turned away: {MAX_CLIENTS} are connected");
        return Ok(());
    }
    let id = clients.next;
    clients.next += 1;
    clients.sockets.insert(id, socket.try_clone()?);
    let session = Session::new(id, socket, function, owners);
    let thread = std::thread::Builder::new().name(format!("client {id}"));
    let spawned = thread.spawn({
        let shared = shared.clone();
        move || {
            session.run();
            lock(&shared.clients).sockets.remove(&id);
        }
    });
    match spawned {
        Ok(thread) => clients.threads.push(thread),
        Err(error) => {
            clients.sockets.remove(&id);
            return Err(error);
        }
    }
    Ok(())
}
