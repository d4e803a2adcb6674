// SPDX-License-Identifier: MIT
//! An empty root directory, nobody's uid, and no capabilities.
//!
//! As root: an own mount namespace, then uid and gid 65534. As anybody else: an own user namespace
//! gives the right to the same; the uid stays, but it has no file to be used on.
//! The working directory stays `/proc/self/fd` of the old root, which no path leads to any more:
//! the plugin's sealed files are opened through it, and then it is left.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::process::{DumpableBehavior, Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags};

/// Nobody, by the custom of all distributions.
const NOBODY: u32 = 65534;

#[derive(Debug, thiserror::Error)]
#[error("{what}: {errno}")]
pub(super) struct RootError {
    what: &'static str,
    errno: Errno,
}

fn failed(what: &'static str) -> impl Fn(Errno) -> RootError {
    move |errno| RootError { what, errno }
}

pub(super) fn enter() -> Result<(), RootError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let files = rustix::fs::open("/proc/self/fd", flags, Mode::empty())
        .map_err(failed("open /proc/self/fd"))?;
    let is_root = rustix::process::geteuid().is_root();
    let root = empty_root(is_root);
    // The plugin is loaded through this directory, whether the root is empty or not.
    rustix::process::fchdir(&files).map_err(failed("enter /proc/self/fd"))?;
    let given_up = give_up(is_root);
    root.and(given_up)
}

fn empty_root(is_root: bool) -> Result<(), RootError> {
    let mut flags = UnshareFlags::NEWNS;
    if !is_root {
        flags |= UnshareFlags::NEWUSER;
    }
    // SAFETY: the process has one thread, and shares neither files nor memory with another.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(failed("own namespaces"))?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).map_err(failed("private mounts"))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
    // /proc is there: the plugin is about to be opened through it.
    rustix::mount::mount(
        "none",
        "/proc",
        "tmpfs",
        flags,
        Some(c"size=4k,nr_inodes=1,mode=555"),
    )
    .map_err(failed("mount an empty root"))?;
    rustix::process::chdir("/proc").map_err(failed("enter the empty root"))?;
    rustix::process::pivot_root(".", ".").map_err(failed("change the root"))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(failed("leave the old root"))
}

fn give_up(is_root: bool) -> Result<(), RootError> {
    if is_root {
        let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
        rustix::thread::set_thread_groups(&[]).map_err(failed("leave all groups"))?;
        rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(failed("become nobody"))?;
        rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(failed("become nobody"))?;
    }
    let none = CapabilitySet::empty();
    let sets = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    rustix::thread::set_capabilities(None, sets).map_err(failed("drop capabilities"))?;
    // Workers of the same uid can't look into each other.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(failed("forbid tracing"))
}
