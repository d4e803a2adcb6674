// SPDX-License-Identifier: MIT
//! Where the host's sockets are.

use std::path::PathBuf;

/// The directory of the host's sockets: `$DRVHOST_RUN`, else `/run/drvhost` for root, else
/// `$XDG_RUNTIME_DIR/drvhost`, else a directory of the user's own in the temporary directory.
pub fn run_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("DRVHOST_RUN") {
        return PathBuf::from(dir);
    }
    let uid = rustix::process::geteuid();
    if uid.is_root() {
        return PathBuf::from("/run/drvhost");
    }
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(dir) => PathBuf::from(dir).join("drvhost"),
        None => std::env::temp_dir().join(format!("drvhost-{}", uid.as_raw())),
    }
}

/// Commands for the daemon.
pub const CONTROL: &str = "control.sock";
/// Programs that open nodes.
pub const FRONT: &str = "front.sock";
/// The directory of the named addresses that event sockets come from: `node/card0`.
pub const NODES: &str = "node";
