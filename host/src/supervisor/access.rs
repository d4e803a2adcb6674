// SPDX-License-Identifier: MIT
//! Users and groups of manifests as the numbers that the front checks.

use drvhost_front::Access;
use drvhost_manifest::NodeAccess;
use nix::unistd::{Group, User};

/// Looks the names up. A name that this system does not have is logged, and root's: less is open
/// than was meant, never more.
pub fn resolve(access: &NodeAccess) -> Access {
    let uid = number(&access.owner, |name| {
        Some(User::from_name(name).ok()??.uid.as_raw())
    });
    let gid = number(&access.group, |name| {
        Some(Group::from_name(name).ok()??.gid.as_raw())
    });
    Access {
        uid,
        gid,
        mode: access.mode,
    }
}

fn number(name: &str, look_up: impl Fn(&str) -> Option<u32>) -> u32 {
    name.parse()
        .ok()
        .or_else(|| look_up(name))
        .unwrap_or_else(|| {
            log::warn!("no user or group `{name}` on this system: taken as root");
            0
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let access = |owner: &str, group: &str| {
            let node = NodeAccess {
                owner: owner.into(),
                group: group.into(),
                mode: 0o660,
            };
            let Access { uid, gid, mode } = resolve(&node);
            (uid, gid, mode)
        };
        assert_eq!(access("root", "root"), (0, 0, 0o660));
        assert_eq!(access("7", "44"), (7, 44, 0o660));
        assert_eq!(access("no-such-user", "no-such-group"), (0, 0, 0o660));
    }
}
