// SPDX-License-Identifier: MIT
//! The control messages between host and worker: one seqpacket message each, with descriptors.
//!
//! Order: the host sends [`ToWorker::Load`], the worker answers [`FromWorker::Loaded`] or
//! [`FromWorker::LoadFailed`]. A worker that stops here is a spare. Then [`ToWorker::Bind`] and
//! [`FromWorker::Ready`] or [`FromWorker::ProbeFailed`]. From then on both send at any time.
//! Calls do not go this way but through the ring.

use drvhost_channel::packet;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use serde::{Deserialize, Serialize};
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Bytes of a message, at most.
pub const MAX_MESSAGE: usize = 64 << 10;
/// Bytes of a log line's text, at most; longer lines are cut by the worker.
pub const MAX_LINE: usize = 8 << 10;
/// Bytes of a log line's target, at most.
pub const MAX_TARGET: usize = 256;
/// Bytes of events in one message, at most.
pub const MAX_EVENT: usize = 32 << 10;
/// Nodes of an instance, at most.
pub const MAX_NODES: usize = 16;

/// How a plugin tells what it offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A Rust plugin: an `abi_stable` root module.
    Rust,
    /// A C plugin: the symbol `drvhost_driver_v1`.
    C,
}

/// What a worker may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Address space in bytes: mapped BARs and buffers count.
    pub address_space: u64,
    /// Private memory in bytes: heap, stacks, data.
    pub memory: u64,
    /// Open descriptors.
    pub descriptors: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            address_space: 64 << 30,
            memory: 1 << 30,
            // One for each fence that a device may have, and for each file that it serves by itself.
            descriptors: 8192,
        }
    }
}

/// The first message, sent before the process is started.
/// Descriptors: ring, clock, progress, recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// [`PROTOCOL`]: host and worker are the same program, but its file may have been replaced.
    pub protocol: u32,
}

/// Goes up whenever a message or a shared page changes.
pub const PROTOCOL: u32 = 1;

/// Descriptors: driver, and libkpi if `kpi`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Load {
    /// The file the plugin came from, for messages.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Whether a libkpi.so comes along.
    pub kpi: bool,
    /// System libraries that the plugin needs and the worker may not have yet.
    pub preload: Vec<String>,
    /// What the worker may use.
    pub limits: Limits,
    /// Which log lines the host wants: 0 none to 5 trace.
    pub log_level: u8,
}

/// Descriptor: the device.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bind {
    /// PCI address, `0000:00:02.0`.
    pub address: String,
    /// The device's ids.
    pub ids: driver_sys::PciIds,
    /// Parameters, by name.
    pub params: Vec<(String, String)>,
    /// The first sequence number that a vblank counter may show.
    pub vblank_base: u64,
}

/// The answer to an upcall; a descriptor goes with it if the answer has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The object's id, or the cookie of a new file.
    pub id: u64,
    /// Size in bytes, of buffers and firmware.
    pub size: u64,
}

/// From the host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ToWorker {
    /// Loads a plugin. Once.
    Load(Load),
    /// Takes a device. Once.
    Bind(Bind),
    /// Answers an upcall: the answer, or a positive error number.
    Reply {
        /// The upcall's number.
        seq: u32,
        /// What came of it.
        result: Result<Reply, i32>,
    },
    /// Opens a node and serves its ring. Descriptors: ring, event socket.
    Serve {
        /// The host's number for this request.
        seq: u32,
        /// [`super::ops::encode_open`].
        open: [u8; super::ops::OPEN_LEN],
    },
    /// Gives the device up and exits.
    Remove,
}

/// What a worker asks and waits for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Ask {
    /// Makes a buffer, for the file's owner.
    BufferCreate {
        /// Cookie of the file that the call is on, or zero.
        file: u64,
        /// Bytes.
        size: u64,
    },
    /// A descriptor of a buffer.
    BufferOpen {
        /// The buffer.
        id: u64,
    },
    /// Makes a fence, for the file's owner.
    FenceCreate {
        /// Cookie of the file that the call is on, or zero.
        file: u64,
    },
    /// A descriptor of a fence or event.
    FenceOpen {
        /// The fence.
        id: u64,
    },
    /// A call made a file.
    FileCreate {
        /// Its node.
        node: u32,
    },
    /// A firmware file.
    Firmware {
        /// Its name, as the driver wrote it.
        name: String,
    },
}

/// From a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum FromWorker {
    /// The plugin is loaded.
    Loaded {
        /// The driver's name.
        name: String,
        /// The driver's line about itself.
        description: String,
        /// What is missing of the confinement, in words; empty when all of it is in force.
        unconfined: Vec<String>,
    },
    /// The plugin can't be loaded.
    LoadFailed {
        /// Why, in words.
        reason: String,
    },
    /// The driver took the device.
    Ready {
        /// Kind and driver name of each node, by index.
        nodes: Vec<(u32, String)>,
    },
    /// The driver refused the device.
    ProbeFailed {
        /// Positive.
        errno: i32,
    },
    /// A log line.
    Log {
        /// 1 error to 5 trace.
        level: u8,
        /// Who wrote it.
        target: String,
        /// What.
        text: String,
    },
    /// Wants a [`ToWorker::Reply`].
    Upcall {
        /// The worker's number for it.
        seq: u32,
        /// What is asked.
        ask: Ask,
    },
    /// The driver's last use of a buffer ended.
    BufferPut {
        /// The buffer.
        id: u64,
    },
    /// The driver's last use of a fence or event ended.
    FencePut {
        /// The fence.
        id: u64,
    },
    /// Whole event records for a file.
    Event {
        /// Its cookie.
        file: u64,
        /// The records.
        data: Vec<u8>,
    },
    /// Connectors changed.
    Hotplug,
    /// Answers [`ToWorker::Serve`].
    Served {
        /// The host's number.
        seq: u32,
        /// Zero, or a negative error number.
        status: i32,
    },
}

/// Why no message came or went.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// The other end is closed.
    #[error("the other end is closed")]
    Closed,
    /// The other end does not read.
    #[error("the other end does not read its messages")]
    Full,
    /// Nothing there now.
    #[error("no message is waiting")]
    Empty,
    /// What came is no message.
    #[error("not a control message: {0}")]
    Garbage(String),
    /// The system refused.
    #[error("control socket: {0}")]
    System(Errno),
}

/// Sends one message; `wait` says whether to sleep while the socket is full.
pub fn send<T: Serialize>(
    socket: impl AsFd,
    message: &T,
    fds: &[BorrowedFd<'_>],
    wait: bool,
) -> Result<(), MessageError> {
    let garbage = |why: String| MessageError::Garbage(why);
    let bytes = postcard::to_stdvec(message).map_err(|error| garbage(error.to_string()))?;
    if bytes.len() > MAX_MESSAGE {
        return Err(garbage(format!("{} bytes are too many", bytes.len())));
    }
    let flags = if wait {
        SendFlags::empty()
    } else {
        SendFlags::DONTWAIT
    };
    match packet::send(socket, &[IoSlice::new(&bytes)], fds, flags) {
        Ok(()) => Ok(()),
        Err(Errno::AGAIN) => Err(MessageError::Full),
        Err(Errno::PIPE | Errno::CONNRESET) => Err(MessageError::Closed),
        Err(error) => Err(MessageError::System(error)),
    }
}

/// Receives one message; `wait` says whether to sleep until there is one.
pub fn receive<T: for<'de> Deserialize<'de>>(
    socket: impl AsFd,
    buffer: &mut Vec<u8>,
    wait: bool,
) -> Result<(T, Vec<OwnedFd>), MessageError> {
    buffer.resize(MAX_MESSAGE, 0);
    let flags = if wait {
        RecvFlags::empty()
    } else {
        RecvFlags::DONTWAIT
    };
    match packet::receive(socket, buffer, flags) {
        Ok((0, _)) | Err(Errno::CONNRESET) => Err(MessageError::Closed),
        Ok((len, fds)) => parse(&buffer[..len]).map(|message| (message, fds)),
        Err(Errno::AGAIN) => Err(MessageError::Empty),
        Err(Errno::MSGSIZE) => Err(MessageError::Garbage("too long".into())),
        Err(error) => Err(MessageError::System(error)),
    }
}

/// Reads one message. All bytes must belong to it.
pub fn parse<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, MessageError> {
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(MessageError::Garbage(format!(
            "{} bytes too many",
            rest.len()
        ))),
        Err(error) => Err(MessageError::Garbage(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_round_trip_and_end_where_they_end() {
        let message = FromWorker::Log {
            level: 3,
            target: "a".into(),
            text: "b".into(),
        };
        let mut bytes = postcard::to_stdvec(&message).unwrap();
        assert!(matches!(
            parse(&bytes),
            Ok(FromWorker::Log { level: 3, .. })
        ));
        bytes.push(0);
        assert!(matches!(
            parse::<FromWorker>(&bytes),
            Err(MessageError::Garbage(_))
        ));
        bytes.truncate(3);
        assert!(matches!(
            parse::<FromWorker>(&bytes),
            Err(MessageError::Garbage(_))
        ));
    }

    #[test]
    fn announced_lengths_do_not_take_memory() {
        // A log line whose target says that it has 2^60 bytes.
        let bytes = [3, 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f];
        assert!(parse::<FromWorker>(&bytes).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_garbage(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse::<FromWorker>(&bytes);
            let _ = parse::<ToWorker>(&bytes);
            if let Ok(message) = parse::<FromWorker>(&bytes) {
                let again = postcard::to_stdvec(&message).unwrap();
                prop_assert!(parse::<FromWorker>(&again).is_ok());
            }
        }
    }
}
