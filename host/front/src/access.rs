// SPDX-License-Identifier: MIT
//! Who may open a node: owner, group and mode, as a file system would check them.

/// Owner, group and permission bits of a node. Opening takes read and write permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Owner's user id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Permission bits, such as 0o660.
    pub mode: u32,
}

impl Access {
    /// The usual rule for card nodes: `root:video 0660`. Debian's group `video` is 44.
    pub const CARD: Access = Access {
        uid: 0,
        gid: 44,
        mode: 0o660,
    };
    /// The usual rule for render nodes: everybody.
    pub const RENDER: Access = Access {
        uid: 0,
        gid: 0,
        mode: 0o666,
    };

    /// Whether a process may open the node: the first class that it belongs to decides.
    pub fn allows(&self, who: &Credentials) -> bool {
        let bits = if who.uid == 0 {
            return true;
        } else if who.uid == self.uid {
            self.mode >> 6
        } else if who.gid == self.gid || who.groups.contains(&self.gid) {
            self.mode >> 3
        } else {
            self.mode
        };
        bits & 0o6 == 0o6
    }
}

/// Who a process is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Process id.
    pub pid: u32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// What Linux calls CAP_SYS_ADMIN, as root.
    pub privileged: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_class_decides() {
        let who = |uid, gid, groups: &[u32]| Credentials {
            uid,
            gid,
            groups: groups.to_vec(),
            ..Credentials::default()
        };
        let card = Access::CARD;
        let own = Access {
            uid: 7,
            gid: 8,
            mode: 0o066,
        };
        for (access, who, allowed) in [
            (card, who(0, 0, &[]), true),
            (card, who(1000, 44, &[]), true),
            (card, who(1000, 1000, &[4, 44]), true),
            (card, who(1000, 1000, &[4]), false),
            (Access::RENDER, who(65534, 65534, &[]), true),
            (own, who(7, 8, &[]), false),
            (own, who(9, 8, &[]), true),
        ] {
            assert_eq!(access.allows(&who), allowed, "{access:?} {who:?}");
        }
    }
}
