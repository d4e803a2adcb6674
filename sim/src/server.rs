// SPDX-License-Identifier: MIT
//! The vfio-user server: offers one PCI function on a listening socket.

use std::io;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};

use crate::function::PciFunction;

/// A function as the server shares it between connections.
pub type SharedFunction = Arc<Mutex<dyn PciFunction>>;

/// A running server; dropping it ends its connections and its threads.
#[derive(Debug)]
pub struct Server {}

impl Server {
    /// Closes the listening socket and all connections, and waits for the threads.
    /// DMA mappings and interrupts of the connections end; the function stays as it is.
    pub fn stop(self) {}
}

/// Serves `function` to every client that connects, on threads of its own.
///
/// # Errors
/// When the threads or their wake-up descriptor can't be made.
pub fn serve(listener: UnixListener, function: SharedFunction) -> io::Result<Server> {
    let _ = (listener, function);
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "the vfio-user server is not written yet",
    ))
}
