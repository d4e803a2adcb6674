// SPDX-License-Identifier: MIT
//! What is recorded about one open file, and about what files made.

use crate::quota::Charge;
use drvhost_abi::tables::OpenArgs;
use drvhost_drm::uapi::drm_mode_create_dumb;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An open file.
#[derive(Clone, Debug)]
pub struct File {
    /// How it was opened.
    pub args: OpenArgs,
    /// Client caps in the order they were set: number and value.
    pub caps: Vec<(u64, u64)>,
    /// The payload of `SET_CLIENT_NAME`.
    pub name: Option<Vec<u8>>,
    /// The magic that `GET_MAGIC` gave.
    pub magic: Option<u32>,
    /// A master authenticated it.
    pub authenticated: bool,
    /// It is or was a master, so it may be one again.
    pub was_master: bool,
    /// GEM handles.
    pub handles: BTreeMap<u32, Handle>,
    /// Sync objects by handle.
    pub syncobjs: BTreeMap<u32, Syncobj>,
    /// It is a lease.
    pub lease: Option<Lease>,
}

/// A GEM handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    /// The buffer; zero where the driver keeps it to itself.
    pub buffer: u64,
    /// Made by `CREATE_DUMB`; otherwise by an import, `GEM_OPEN` or `GETFB`.
    pub dumb: bool,
}

/// What is known about a sync object. Its fences are the driver's, and what a dead driver owed
/// counts as signalled; so what matters is whether there ever was one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Syncobj {
    /// It has a fence.
    pub fence: bool,
    /// The highest timeline point that was signalled or promised.
    pub point: u64,
}

/// How a lease was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The file that leased it out.
    pub lessor: u64,
    /// Its id with the driver.
    pub id: u32,
    /// The payload of `CREATE_LEASE`.
    pub payload: Vec<u8>,
}

/// A framebuffer.
#[derive(Clone, Debug)]
pub struct Framebuffer {
    /// The id that clients know.
    pub id: u32,
    /// The file that made it.
    pub owner: u64,
    /// No client has it any more, but the log still refers to it. True: with `RMFB` or the file's
    /// end, which turn off what shows it; false: with `CLOSEFB`, which does not.
    pub removed: Option<bool>,
    /// `ADDFB` or `ADDFB2`.
    pub cmd: u32,
    /// Its payload.
    pub payload: Vec<u8>,
    /// The buffers of its planes; zero for none.
    pub buffers: [u64; 4],
}

/// A property blob.
#[derive(Clone, Debug)]
pub struct Blob {
    /// The id that clients know.
    pub id: u32,
    /// The file that made it.
    pub owner: u64,
    /// Destroyed, but the log still refers to it.
    pub removed: bool,
    /// The payload of `CREATEPROPBLOB`.
    pub payload: Vec<u8>,
    /// What it counts against its owner's quota.
    pub charge: Option<Arc<Charge>>,
}

/// A buffer that a file made.
#[derive(Clone, Copy, Debug)]
pub struct Dumb {
    /// The answered arguments of `CREATE_DUMB`.
    pub args: drm_mode_create_dumb,
}

impl File {
    /// A file just opened.
    pub fn new(args: OpenArgs) -> File {
        File {
            args,
            caps: Vec::new(),
            name: None,
            magic: None,
            authenticated: false,
            was_master: false,
            handles: BTreeMap::new(),
            syncobjs: BTreeMap::new(),
            lease: None,
        }
    }
}
