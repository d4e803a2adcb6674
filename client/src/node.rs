// SPDX-License-Identifier: MIT
//! Names of nodes: `card0`, `renderD128`, `event3`; their paths and device numbers.

/// DRM's major number.
pub const DRM_MAJOR: u32 = 226;
/// The input devices' major number.
pub const INPUT_MAJOR: u32 = 13;
/// The first minor of the event nodes.
const EVENT_MINOR: u32 = 64;
/// No node's name is longer, in bytes.
const MAX_NAME: usize = 15;

/// A node's name, kept without an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    bytes: [u8; MAX_NAME],
    len: u8,
    major: u32,
    minor: u32,
}

impl Node {
    /// The node of a name. `None`: no such name can be ours.
    pub fn of_name(name: &[u8]) -> Option<Node> {
        let (major, base, digits) = if let Some(rest) = name.strip_prefix(b"renderD") {
            (DRM_MAJOR, 0, rest)
        } else if let Some(rest) = name.strip_prefix(b"card") {
            (DRM_MAJOR, 0, rest)
        } else if let Some(rest) = name.strip_prefix(b"event") {
            (INPUT_MAJOR, EVENT_MINOR, rest)
        } else {
            return None;
        };
        if name.len() > MAX_NAME || digits.is_empty() || digits.len() > 6 {
            return None;
        }
        let mut minor = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return None;
            }
            minor = minor * 10 + u32::from(digit - b'0');
        }
        let mut bytes = [0; MAX_NAME];
        bytes[..name.len()].copy_from_slice(name);
        Some(Node {
            bytes,
            len: name.len() as u8,
            major,
            minor: base + minor,
        })
    }

    /// The node of an absolute path under `/dev/dri` or `/dev/input`.
    pub fn of_path(path: &[u8]) -> Option<Node> {
        let (name, input) = match path.strip_prefix(b"/dev/dri/") {
            Some(name) => (name, false),
            None => (path.strip_prefix(b"/dev/input/")?, true),
        };
        let node = Node::of_name(name)?;
        ((node.major == INPUT_MAJOR) == input).then_some(node)
    }

    /// The name.
    pub fn name(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// The directory that the node is in.
    pub fn directory(&self) -> &'static [u8] {
        if self.major == INPUT_MAJOR {
            b"/dev/input/"
        } else {
            b"/dev/dri/"
        }
    }

    /// The device number as `st_rdev` has it.
    pub fn rdev(&self) -> u64 {
        libc::makedev(self.major, self.minor)
    }

    /// Major and minor number.
    pub fn numbers(&self) -> (u32, u32) {
        (self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let table: &[(&str, Option<(u32, u32)>)] = &[
            ("/dev/dri/card0", Some((226, 0))),
            ("/dev/dri/card17", Some((226, 17))),
            ("/dev/dri/renderD128", Some((226, 128))),
            ("/dev/input/event3", Some((13, 67))),
            ("/dev/dri/event3", None),
            ("/dev/input/card0", None),
            ("/dev/dri/card", None),
            ("/dev/dri/card0x", None),
            ("/dev/dri/card0/x", None),
            ("/dev/dri/card9999999", None),
            ("/dev/dri/by-path", None),
            ("/dev/input/mice", None),
            ("/dev/null", None),
            ("card0", None),
        ];
        for (path, numbers) in table {
            let node = Node::of_path(path.as_bytes());
            assert_eq!(node.map(|node| node.numbers()), *numbers, "{path}");
            if let Some(node) = node {
                let back = [node.directory(), node.name()].concat();
                assert_eq!(back, path.as_bytes());
            }
        }
    }
}
