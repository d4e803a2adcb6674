// SPDX-License-Identifier: MIT
//! Resource limits. What a driver shares with clients is the host's memory and counts there.

use super::{ConfineError, failed};
use crate::wire::message::Limits;
use rustix::process::{Resource, Rlimit, setrlimit};

/// Threads of all workers, at most.
const THREADS: u64 = 8192;

pub(super) fn set(limits: &Limits) -> Result<(), ConfineError> {
    let all = [
        (Resource::As, limits.address_space),
        (Resource::Data, limits.memory),
        (Resource::Nofile, limits.descriptors),
        (Resource::Core, 0),
        // No file is the worker's own: shared memory comes from the host, which counts it.
        (Resource::Fsize, 0),
        (Resource::Memlock, 0),
        (Resource::Msgqueue, 0),
        // Threads of all workers together: they share their uid. (As a user, the limit would
        // count the user's own processes.)
        (Resource::Nproc, THREADS),
    ];
    let is_root = rustix::process::geteuid().is_root();
    for (resource, limit) in all {
        let limit = Rlimit {
            current: Some(limit),
            maximum: Some(limit),
        };
        if matches!(resource, Resource::Nproc) && !is_root {
            continue;
        }
        setrlimit(resource, limit).map_err(failed("resource limits"))?;
    }
    Ok(())
}
