// SPDX-License-Identifier: MIT
//! The last-writer log of the display state: what must be done again to get from a fresh driver
//! to the state that clients made. First the legacy calls, in order, then everything that atomic
//! commits set, as one commit.
//!
//! A later write of a key removes the earlier one, so the log never holds more than one value for
//! each key. Where a legacy call writes what a commit wrote before, the commit's value is removed
//! or changed, so that the order between the two kinds does not matter.

use std::collections::{BTreeMap, BTreeSet};

/// What a legacy call writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// `SETCRTC` of a CRTC.
    Crtc(u32),
    /// `PAGE_FLIP` on a CRTC whose mode set is not known.
    Flip(u32),
    /// `SETPLANE` of a plane.
    Plane(u32),
    /// `CURSOR` with an image, on a CRTC.
    CursorImage(u32),
    /// `CURSOR` with a position, on a CRTC.
    CursorMove(u32),
    /// `SETGAMMA` of a CRTC.
    Gamma(u32),
    /// A property of an object.
    Property(u32, u32),
}

/// What a call refers to that has a life of its own. Framebuffers and blobs are named by serial:
/// ids are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    /// Nothing.
    None,
    /// A framebuffer.
    Framebuffer(u64),
    /// A property blob.
    Blob(u64),
    /// The buffer of a cursor image.
    Cursor(u64),
}

/// A property value of an atomic commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// The value as the client gave it.
    pub plain: u64,
    /// What it refers to.
    pub link: Link,
}

/// A legacy call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Legacy {
    /// What it writes.
    pub key: Key,
    /// The ioctl number.
    pub cmd: u32,
    /// Its payload.
    pub payload: Vec<u8>,
    /// What it refers to.
    pub link: Link,
}

/// The log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Legacy calls, in order.
    pub legacy: Vec<Legacy>,
    /// Merged atomic commits: values by object and property.
    pub commit: BTreeMap<(u32, u32), Value>,
}

impl Log {
    /// A legacy call was done: at the end of the order, or, for `in_place`, where the one that it
    /// replaces was.
    pub fn push(&mut self, call: Legacy, in_place: bool) {
        let old = self.legacy.iter_mut().find(|old| old.key == call.key);
        match old {
            Some(old) if in_place => *old = call,
            _ => {
                self.remove(call.key);
                self.legacy.push(call);
            }
        }
    }

    /// The call that wrote a key.
    pub fn find(&mut self, key: Key) -> Option<&mut Legacy> {
        self.legacy.iter_mut().find(|call| call.key == key)
    }

    /// Removes a legacy call.
    pub fn remove(&mut self, key: Key) {
        self.legacy.retain(|call| call.key != key);
    }

    /// Everything that the log refers to.
    pub fn links(&self) -> BTreeSet<Link> {
        let legacy = self.legacy.iter().map(|call| call.link);
        let commit = self.commit.values().map(|value| value.link);
        legacy
            .chain(commit)
            .filter(|link| *link != Link::None)
            .collect()
    }

    /// Steps that a replay takes.
    pub fn steps(&self) -> usize {
        self.legacy.len() + usize::from(!self.commit.is_empty())
    }
}
