// SPDX-License-Identifier: MIT
//! What is settled when the library is loaded: the host's directory, libc's functions, the trap.

use crate::{frames, next, trap};
use drvhost_channel::paths;
use std::os::unix::ffi::OsStringExt;
use std::sync::OnceLock;

struct Places {
    front: Vec<u8>,
    nodes: Vec<u8>,
}

static PLACES: OnceLock<Places> = OnceLock::new();

/// Set to anything, it keeps the trap for raw system calls from being installed.
const NO_TRAP: &str = "DRVHOST_NO_TRAP";

fn places() -> &'static Places {
    PLACES.get_or_init(|| {
        let run = paths::run_dir();
        let mut nodes = run.join(paths::NODES).into_os_string().into_vec();
        nodes.push(b'/');
        Places {
            front: run.join(paths::FRONT).into_os_string().into_vec(),
            nodes,
        }
    })
}

/// Where the host listens.
pub fn front_path() -> &'static [u8] {
    &places().front
}

/// What event sockets' peer names begin with.
pub fn nodes_prefix() -> &'static [u8] {
    &places().nodes
}

extern "C" fn on_load() {
    let _ = std::panic::catch_unwind(|| {
        places();
        next::resolve();
        frames::learn();
        if std::env::var_os("DRVHOST_RUN").is_some() && std::env::var_os(NO_TRAP).is_none() {
            trap::install();
        }
    });
}

// The loader calls it once, before `main`, on the only thread.
#[cfg_attr(not(test), used, unsafe(link_section = ".init_array"))]
#[cfg_attr(test, allow(dead_code))]
static ON_LOAD: extern "C" fn() = on_load;
