// SPDX-License-Identifier: MIT
//! Ids of framebuffers and blobs. What programs make is numbered from [`CLIENT_FIRST`], so that
//! after a restart its ids can be given out again whatever the probe made meanwhile.

use super::blob::Blob;
use super::framebuffer::Framebuffer;
use crate::ids::pick;
use drvhost_abi::Errno;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

/// First id of what programs make.
pub const CLIENT_FIRST: u32 = 0x10000;

#[derive(Debug)]
enum Entry {
    Framebuffer(Weak<Framebuffer>),
    Blob(Weak<Blob>),
}

impl Entry {
    fn is_alive(&self) -> bool {
        match self {
            Entry::Framebuffer(fb) => fb.strong_count() > 0,
            Entry::Blob(blob) => blob.strong_count() > 0,
        }
    }
}

/// Whose an object is, which decides its range of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The driver or the core made it.
    Core,
    /// A program made it; the id that it must get on replay.
    Client(Option<u32>),
}

/// Framebuffers and blobs by id. It holds none of them: an id ends with its object.
#[derive(Debug)]
pub struct Registry {
    entries: BTreeMap<u32, Entry>,
    first: u32,
}

impl Registry {
    /// `first`: the lowest id that is not an object of the pipeline.
    pub fn new(first: u32) -> Registry {
        Registry {
            entries: BTreeMap::new(),
            first,
        }
    }

    fn id(&mut self, origin: Origin) -> Result<u32, Errno> {
        self.entries.retain(|_, entry| entry.is_alive());
        match origin {
            Origin::Core => pick(&self.entries, self.first, None).and_then(|id| {
                if id < CLIENT_FIRST {
                    Ok(id)
                } else {
                    Err(Errno::ENOSPC)
                }
            }),
            Origin::Client(Some(id)) if id < CLIENT_FIRST => Err(Errno::EINVAL),
            Origin::Client(want) => pick(&self.entries, CLIENT_FIRST, want),
        }
    }

    /// Makes a blob.
    pub fn blob(&mut self, origin: Origin, data: Vec<u8>) -> Result<Arc<Blob>, Errno> {
        let id = self.id(origin)?;
        let blob = Arc::new(Blob {
            id,
            data: data.into(),
        });
        self.entries.insert(id, Entry::Blob(Arc::downgrade(&blob)));
        Ok(blob)
    }

    /// Makes a framebuffer; its id is set here.
    pub fn framebuffer(
        &mut self,
        origin: Origin,
        mut fb: Framebuffer,
    ) -> Result<Arc<Framebuffer>, Errno> {
        fb.id = self.id(origin)?;
        let fb = Arc::new(fb);
        self.entries
            .insert(fb.id, Entry::Framebuffer(Arc::downgrade(&fb)));
        Ok(fb)
    }

    /// Looks a blob up.
    pub fn find_blob(&self, id: u32) -> Option<Arc<Blob>> {
        match self.entries.get(&id)? {
            Entry::Blob(blob) => blob.upgrade(),
            Entry::Framebuffer(_) => None,
        }
    }

    /// Looks a framebuffer up.
    pub fn find_framebuffer(&self, id: u32) -> Option<Arc<Framebuffer>> {
        match self.entries.get(&id)? {
            Entry::Framebuffer(fb) => fb.upgrade(),
            Entry::Blob(_) => None,
        }
    }

    /// All live ids, ascending.
    pub fn ids(&self) -> impl Iterator<Item = u32> + '_ {
        self.entries
            .iter()
            .filter(|(_, entry)| entry.is_alive())
            .map(|(id, _)| *id)
    }
}
