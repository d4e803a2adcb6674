// SPDX-License-Identifier: MIT
//! A mount namespace of our own: what is mounted in it, nobody else sees.

use crate::exec::ExecError;
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::UnshareFlags;
use std::fs;

/// Enters one. Root needs no more; others get a user namespace around it, in which they stay who
/// they are. What the system mounts later still arrives.
pub fn enter() -> Result<(), ExecError> {
    let failed = |error: Errno| ExecError::Namespace(error.into());
    let (uid, gid) = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    match unshare(UnshareFlags::NEWNS) {
        Err(Errno::PERM) => {
            unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS).map_err(failed)?;
            write("/proc/self/setgroups", "deny")?;
            write("/proc/self/uid_map", &format!("{uid} {uid} 1"))?;
            write("/proc/self/gid_map", &format!("{gid} {gid} 1"))?;
        }
        other => other.map_err(failed)?,
    }
    let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", flags).map_err(failed)
}

fn unshare(flags: UnshareFlags) -> Result<(), Errno> {
    // SAFETY: no thread shares what is unshared, by `exec`'s contract; no descriptors are.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

fn write(path: &str, text: &str) -> Result<(), ExecError> {
    fs::write(path, text).map_err(|error| ExecError::View {
        what: "writing",
        path: path.into(),
        error,
    })
}
