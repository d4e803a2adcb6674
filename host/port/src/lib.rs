// SPDX-License-Identifier: MIT
//! What the front and the workers ask of each other inside the host.
//!
//! * [`Worker`]: the front calls a driver. `drvhost-worker` implements it for a worker process.
//! * [`Upcalls`]: a driver asks the host for buffers, fences, files. The front implements it.
//! * [`Recovery`]: the supervisor tells the front that a worker came or went.
//!
//! A device lives through many workers. While it has none, callers of the front wait; the front
//! puts the recorded state into a new worker and repeats the calls that were under way.

use drvhost_abi::Errno;
use drvhost_abi::tables::{MmapOut, ObjectRef, OpenArgs};
use std::fmt::Debug;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Why a call to a worker has no answer of the driver's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The driver's answer is an error number.
    #[error("{0}")]
    Errno(Errno),
    /// The worker died, was killed as hung, or broke the protocol before it answered.
    #[error("the worker died")]
    Died,
}

/// One ioctl for a driver.
#[derive(Clone, Debug, Default)]
pub struct Ioctl {
    /// The full ioctl number.
    pub cmd: u32,
    /// [`drvhost_abi::tables::REQUEST_REPLAY`].
    pub flags: u32,
    /// The id that what is made must get, or zero.
    pub want_id: u32,
    /// Objects that go with the call.
    pub objects: Vec<ObjectRef>,
    /// The buffer that `buffer_create` gives while this call is replayed; zero for a new one.
    pub buffer: u64,
}

/// A driver's answer to an ioctl. The payload was overwritten in place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Zero or a positive value.
    pub value: u64,
    /// Objects that the call gave.
    pub objects: Vec<ObjectRef>,
}

/// A node that the driver of a worker offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its index with the driver.
    pub index: u32,
    /// What it is.
    pub kind: drvhost_abi::tables::NodeKind,
    /// The driver's name as programs see it.
    pub driver: String,
}

/// A running driver. Calls block; they end with [`CallError::Died`] as soon as the worker is
/// known to be dead. Calls may be made from any thread.
pub trait Worker: Send + Sync + Debug {
    /// The driver's nodes.
    fn nodes(&self) -> &[Node];

    /// Opens a node under the cookie in `args`, which the front chose.
    fn open(&self, args: &OpenArgs) -> Result<(), CallError>;

    /// One ioctl on an open file. The answer overwrites `payload`, never longer than it was.
    fn ioctl(&self, file: u64, call: &Ioctl, payload: &mut [u8]) -> Result<Answer, CallError>;

    /// Resolves a mapping.
    fn mmap(&self, file: u64, offset: u64, length: u64, write: bool) -> Result<MmapOut, CallError>;

    /// Closes a file. The worker's death is as good.
    fn release(&self, file: u64);

    /// Opens a node and has the worker serve it by itself: it answers on the ring and sends
    /// events on the socket, until the socket's other end is closed. (Render nodes.)
    fn serve(&self, args: &OpenArgs, ring: OwnedFd, events: OwnedFd) -> Result<(), CallError>;

    /// Says that the recorded state is in it: what it answers from now on are clients' calls.
    /// Comes before the first of them.
    fn restored(&self) {}

    /// Says that something is expected of the worker without a call being under way (a page flip
    /// that must complete): while the count is above zero the worker is watched for hangs.
    fn expect(&self, change: i32);
}

/// An object's descriptor, for a worker.
#[derive(Debug)]
pub struct Object {
    /// The host's id.
    pub id: u64,
    /// A memfd for buffers, an eventfd for fences and events.
    pub fd: OwnedFd,
    /// Size in bytes, of buffers.
    pub size: u64,
}

/// What a driver asks of the host, through its worker. Ids that the device does not own are
/// `ENOENT`: workers are not trusted.
pub trait Upcalls: Send + Sync + Debug {
    /// Makes a buffer; counts against the quota of the file's owner (`file` is the cookie of the
    /// call during which it is made, or zero).
    fn buffer_create(&self, file: u64, size: u64) -> Result<Object, Errno>;
    /// A descriptor of a buffer.
    fn buffer_open(&self, id: u64) -> Result<Object, Errno>;
    /// The driver's last use of a buffer ended.
    fn buffer_put(&self, id: u64);
    /// Makes a fence.
    fn fence_create(&self, file: u64) -> Result<Object, Errno>;
    /// A descriptor of a fence or event, to signal or to wait for.
    fn fence_open(&self, id: u64) -> Result<Object, Errno>;
    /// The driver's last use of a fence or event ended.
    fn fence_put(&self, id: u64);
    /// Whole event records for a file.
    fn post_event(&self, file: u64, data: &[u8]) -> Result<(), Errno>;
    /// A call made a new file (a lease) on a node: chooses its cookie.
    fn file_create(&self, node: u32) -> Result<u64, Errno>;
    /// Connectors changed.
    fn hotplug(&self);
}

/// What the supervisor tells the front about one device.
pub trait Recovery: Send + Sync + Debug {
    /// The upcalls of the device's workers.
    fn upcalls(&self) -> Arc<dyn Upcalls>;

    /// The first sequence number that vblank counters of the next worker may show.
    fn vblank_base(&self) -> u64;

    /// The worker is gone: callers wait from now on.
    fn suspend(&self);

    /// A new worker is bound: puts the recorded state into it, in order, and lets callers go on.
    /// The first time this makes the nodes. `Err` names what the driver refused so badly that
    /// the worker is useless (it died, or cannot open files).
    fn resume(&self, worker: Arc<dyn Worker>) -> Result<Restored, CallError>;

    /// The device is gone for good (unplugged, or no driver is left): files get `ENODEV`, nodes
    /// vanish, mappings stay readable.
    fn remove(&self);
}

/// What [`Recovery::resume`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Files opened again.
    pub files: usize,
    /// Calls replayed.
    pub calls: usize,
    /// What could not be put back, in words.
    pub lost: Vec<String>,
}
