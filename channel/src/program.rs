// SPDX-License-Identifier: MIT
//! The messages between a program's preload library and the host's front.
//!
//! A program opens a node, and makes every call that carries descriptors, over a short-lived
//! seqpacket connection to `front.sock`: one [`Ask`] (with a payload and descriptors behind it),
//! one [`Answer`]. All other calls go through the ring ([`crate::ring`]) that the answer to
//! [`OPEN`] or [`ATTACH`] brings.
//!
//! | ask | payload | descriptors | answer's payload | descriptors |
//! |---|---|---|---|---|
//! | [`OPEN`] | node name (`card0`) | – | – | event socket, ring |
//! | [`ATTACH`] | – | the event socket | node name | ring |
//! | [`CALL`] | wire form | those the call takes | wire form | those the call gives |
//! | [`MMAP`] | – | – | – | the file to map |
//! | [`LIST`] | – | – | node names, one a line | – |
//!
//! * The event socket is a seqpacket socket whose peer address is `node/<name>` in the run
//!   directory: a descriptor that arrives by passing or exec is recognised by it. It carries
//!   events; when the host's end is gone, so is the device's host. A lease (a file made by a
//!   call) arrives as the event socket of the new file; the program attaches to it.
//! * A ring belongs to one process and one open file. `token` names the pair.
//! * Through the ring, a call whose answer is `-EREMCHG` ([`NEEDS_CONNECTION`]) carries
//!   descriptors: its reply payload is a list of little-endian `u64` ([`FdNote`] records), and
//!   the program repeats the call as [`CALL`].
//! * After an [`Answer`] to [`CALL`] with `notes` records in front of its payload, each note says
//!   where in the program a new descriptor's number is to be stored.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// First word of every message: "drv1".
pub const MAGIC: u32 = 0x3176_7264;

/// Opens a node.
pub const OPEN: u32 = 1;
/// Gets a ring for an open file that this process has a descriptor of.
pub const ATTACH: u32 = 2;
/// One ioctl, with descriptors.
pub const CALL: u32 = 3;
/// Resolves a mapping.
pub const MMAP: u32 = 4;
/// Lists the nodes.
pub const LIST: u32 = 5;

/// The error number (EREMCHG of Linux) with which a ring call says: repeat over a connection.
pub const NEEDS_CONNECTION: i32 = 78;

/// Bytes of payload over a connection, at most: a wire payload and its notes.
pub const MAX_PAYLOAD: usize = (1 << 20) + 4096;

/// What a program asks. The payload follows in the same message.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Ask {
    /// [`MAGIC`].
    pub magic: u32,
    /// What is asked.
    pub op: u32,
    /// The ring's name, from [`Answer::token`]; zero for `OPEN`, `ATTACH` and `LIST`.
    pub token: [u64; 2],
    /// `CALL`: the ioctl number. `MMAP`: 1 to write.
    pub cmd: u32,
    /// Zero.
    pub flags: u32,
    /// `MMAP`: fake offset in bytes.
    pub offset: u64,
    /// `MMAP`: length in bytes.
    pub length: u64,
    /// `CALL`: the notes in front of the payload: which numbers in the payload the descriptors
    /// stand for, in order.
    pub notes: u32,
    /// Zero.
    pub reserved: u32,
}

/// What the host answers. The payload follows in the same message.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Answer {
    /// [`MAGIC`].
    pub magic: u32,
    /// [`FdNote`]s in front of the payload.
    pub notes: u32,
    /// Zero or a positive value, or a negative error number.
    pub result: i64,
    /// `OPEN` and `ATTACH`: the ring's name.
    pub token: [u64; 2],
    /// `MMAP`: where in the file the mapping begins, in bytes.
    pub offset: u64,
}

/// Where a descriptor stands in a call.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct FdNote {
    /// [`IN_FIELD`], [`OUT_FIELD`], [`IN_VALUE`] or [`OUT_POINTER`].
    pub kind: u32,
    /// `*_FIELD`: offset in the fixed part of the wire payload, in bytes. `IN_VALUE`,
    /// `OUT_POINTER`: index of the property value of an atomic commit.
    pub place: u32,
    /// `IN_*`: the descriptor's number in the program. `OUT_POINTER`: the program's address of
    /// an `s32` that the new number is written to.
    pub value: u64,
}

/// A descriptor that the call takes, in a field.
pub const IN_FIELD: u32 = 1;
/// A descriptor that the call gives, in a field.
pub const OUT_FIELD: u32 = 2;
/// A descriptor that the call takes, as a property value (IN_FENCE_FD).
pub const IN_VALUE: u32 = 3;
/// A descriptor that the call gives, through a pointer in a property value (OUT_FENCE_PTR).
pub const OUT_POINTER: u32 = 4;
