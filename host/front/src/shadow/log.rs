// SPDX-License-Identifier: MIT
//! The last-writer log of the display state: what must be done again, in which order, to get from
//! a fresh driver to the state that clients made. A later write of a key removes the earlier one,
//! so the log never holds more than one entry for each key.

use std::collections::{BTreeMap, BTreeSet};

/// What a legacy call writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// `SETCRTC` of a CRTC.
    Crtc(u32),
    /// `PAGE_FLIP` on a CRTC that an atomic commit set.
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

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Merged atomic commits: values by object and property.
    Atomic(BTreeMap<(u32, u32), Value>),
    /// A legacy call.
    Legacy {
        /// What it writes.
        key: Key,
        /// The ioctl number.
        cmd: u32,
        /// Its payload.
        payload: Vec<u8>,
        /// What it refers to.
        link: Link,
    },
}

/// The log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    entries: Vec<Entry>,
}

impl Log {
    /// The steps, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The steps, to correct them in place.
    pub fn entries_mut(&mut self) -> &mut Vec<Entry> {
        &mut self.entries
    }

    /// A legacy call was done.
    pub fn legacy(&mut self, key: Key, cmd: u32, payload: Vec<u8>, link: Link) {
        self.remove(key);
        if let Key::Crtc(crtc) = key {
            self.remove(Key::Flip(crtc));
        }
        self.entries.push(Entry::Legacy {
            key,
            cmd,
            payload,
            link,
        });
    }

    /// An atomic commit was done. `superseded` tells which legacy entries it overwrote.
    pub fn atomic(
        &mut self,
        values: impl IntoIterator<Item = ((u32, u32), Value)>,
        superseded: impl Fn(&Entry) -> bool,
    ) {
        for (key, value) in values {
            if !self.overwrite(key, value) {
                self.remove(Key::Property(key.0, key.1));
                self.last_commit().insert(key, value);
            }
        }
        self.entries.retain(|entry| !superseded(entry));
    }

    /// Everything that the log refers to.
    pub fn links(&self) -> BTreeSet<Link> {
        let mut links = BTreeSet::new();
        for entry in &self.entries {
            match entry {
                Entry::Atomic(values) => links.extend(values.values().map(|value| value.link)),
                Entry::Legacy { link, .. } => {
                    links.insert(*link);
                }
            }
        }
        links.remove(&Link::None);
        links
    }

    /// Removes a key wherever it is.
    pub fn remove(&mut self, key: Key) {
        self.entries.retain_mut(|entry| match entry {
            Entry::Legacy { key: other, .. } => *other != key,
            Entry::Atomic(values) => {
                if let Key::Property(object, property) = key {
                    values.remove(&(object, property));
                }
                !values.is_empty()
            }
        });
    }

    /// Replaces a value of the last commit; false where it has none for the key.
    fn overwrite(&mut self, key: (u32, u32), value: Value) -> bool {
        match self.entries.last_mut() {
            Some(Entry::Atomic(values)) => match values.get_mut(&key) {
                Some(old) => {
                    *old = value;
                    true
                }
                None => false,
            },
            _ => false,
        }
    }

    /// The commit at the end of the log; a new one where the last entry is a legacy call.
    fn last_commit(&mut self) -> &mut BTreeMap<(u32, u32), Value> {
        if !matches!(self.entries.last(), Some(Entry::Atomic(_))) {
            self.entries.push(Entry::Atomic(BTreeMap::new()));
        }
        match self.entries.last_mut() {
            Some(Entry::Atomic(values)) => values,
            _ => unreachable!("an atomic entry was just put there"),
        }
    }
}
