// SPDX-License-Identifier: MIT
//! Who is at the other end of a connection.

use crate::access::Credentials;
use rustix::io::Errno;
use std::os::fd::AsFd;

const CAP_SYS_ADMIN: u32 = 21;

/// The credentials that the peer had when it connected, and its supplementary groups now.
pub(crate) fn credentials(socket: impl AsFd) -> Result<Credentials, Errno> {
    let peer = rustix::net::sockopt::socket_peercred(socket)?;
    let pid = peer.pid.as_raw_nonzero().get().unsigned_abs();
    let (uid, gid) = (peer.uid.as_raw(), peer.gid.as_raw());
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    // The process may have changed since it connected: then only what it was then counts.
    let same = |name, id: u32| {
        line(name)
            .and_then(|ids| ids.split_whitespace().next()?.parse().ok())
            .is_some_and(|real: u32| real == id)
    };
    let known = same("Uid:", uid) && same("Gid:", gid);
    let groups = line("Groups:").filter(|_| known).unwrap_or_default();
    let capabilities = line("CapEff:")
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    Ok(Credentials {
        pid,
        uid,
        gid,
        groups: groups
            .split_whitespace()
            .filter_map(|group| group.parse().ok())
            .collect(),
        privileged: uid == 0 && capabilities >> CAP_SYS_ADMIN & 1 == 1,
    })
}

/// The user that connected.
pub(crate) fn uid(socket: impl AsFd) -> Result<u32, Errno> {
    Ok(rustix::net::sockopt::socket_peercred(socket)?.uid.as_raw())
}
