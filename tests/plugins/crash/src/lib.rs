// SPDX-License-Identifier: MIT
//! A driver that goes wrong in every way, on demand; for tests of detection and recovery.
//!
//! The ioctl number says how. The parameter `crash` = `probe` crashes the probe, `hang` = `probe`
//! hangs it.

use drvhost_abi::plugin::About;
use drvhost_abi::tables::{DeviceV1, MmapArgs, NodeKind};
use drvhost_abi::{Call, Driver, Errno, Host, Instance, Mapped, NodeFile, Opened};
use std::sync::atomic::{AtomicU32, Ordering};

/// Does nothing.
pub const NOTHING: u32 = 0;
/// Writes to address 0x10.
pub const SEGFAULT: u32 = 1;
/// Aborts.
pub const ABORT: u32 = 2;
/// Runs for ever.
pub const SPIN: u32 = 3;
/// Exits.
pub const EXIT: u32 = 4;
/// Panics.
pub const PANIC: u32 = 5;
/// Writes garbage to the control socket.
pub const GARBAGE: u32 = 6;
/// Closes the control socket.
pub const CLOSE: u32 = 7;
/// Overflows the stack.
pub const OVERFLOW: u32 = 8;
/// Waits for ever, in the runtime.
pub const WAIT: u32 = 9;
/// Has a thread that runs for ever.
pub const THREAD: u32 = 10;
/// Posts an event, then crashes.
pub const EVENT: u32 = 11;
/// Sends a descriptor over the control socket.
pub const DESCRIPTOR: u32 = 12;
/// Waits until the deadline in the payload, in the runtime.
pub const SLEEP: u32 = 13;
/// Prints the payload on standard error.
pub const PRINT: u32 = 14;

#[derive(Debug)]
struct Crash;

#[derive(Debug)]
struct Device(Host);

#[derive(Debug)]
struct File(Host, u64);

fn spin() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

#[inline(never)]
fn write_nowhere() {
    let nowhere = std::ptr::without_provenance_mut::<u8>(std::hint::black_box(0x10));
    // SAFETY: none; this is the crash.
    unsafe { nowhere.write_volatile(1) };
}

#[expect(unconditional_recursion, reason = "this is the crash")]
fn overflow(depth: u64) -> u64 {
    std::hint::black_box([depth; 64])[0] + overflow(depth + 1)
}

/// The worker's control socket: the first descriptor after the standard ones that is a socket.
fn socket() -> i32 {
    let is_socket = |fd: &i32| {
        let mut kind = 0;
        // SAFETY: a plain query into zeroed memory.
        unsafe {
            let mut stat: libc::stat = std::mem::zeroed();
            if libc::fstat(*fd, &mut stat) == 0 {
                kind = stat.st_mode & libc::S_IFMT;
            }
        }
        kind == libc::S_IFSOCK
    };
    (3..64).find(is_socket).unwrap_or(-1)
}

impl Driver for Crash {
    type Instance = Device;

    fn probe(host: Host, _: &'static DeviceV1) -> Result<Device, Errno> {
        if host.param("crash").as_deref() == Some("probe") {
            write_nowhere();
        }
        if host.param("hang").as_deref() == Some("probe") {
            spin();
        }
        Ok(Device(host))
    }
}

impl Instance for Device {
    type File = File;

    fn nodes(&self) -> Vec<(NodeKind, String)> {
        vec![(NodeKind::Card, "crash".into())]
    }

    fn open(&self, opened: &Opened) -> Result<File, Errno> {
        Ok(File(self.0, opened.cookie))
    }
}

impl NodeFile for File {
    fn ioctl(&self, call: &mut Call<'_>) -> Result<u64, Errno> {
        match call.cmd {
            NOTHING => {}
            SEGFAULT => write_nowhere(),
            ABORT => std::process::abort(),
            SPIN => spin(),
            EXIT => std::process::exit(3),
            PANIC => panic!("on demand"),
            // SAFETY: bytes from a valid array.
            GARBAGE => unsafe {
                libc::send(socket(), [0xffu8; 9].as_ptr().cast(), 9, 0);
            },
            // SAFETY: takes the host's descriptor away; this is the fault.
            CLOSE => unsafe {
                libc::shutdown(socket(), libc::SHUT_RDWR);
            },
            OVERFLOW => return Ok(overflow(0)),
            WAIT => {
                let nothing = AtomicU32::new(0);
                while nothing.load(Ordering::Relaxed) == 0 {
                    let _ = self.0.wait(&nothing, 0, u64::MAX);
                }
            }
            THREAD => self.0.spawn("spinner", || spin())?,
            EVENT => {
                self.0.post_event(self.1, b"last words")?;
                write_nowhere();
            }
            DESCRIPTOR => send_descriptor(),
            SLEEP => {
                let deadline = call
                    .payload
                    .get(..8)
                    .and_then(|bytes| bytes.try_into().ok());
                let deadline = deadline.map(u64::from_le_bytes).ok_or(Errno::EINVAL)?;
                let nothing = AtomicU32::new(0);
                while self.0.wait(&nothing, 0, deadline).is_ok() {}
            }
            PRINT => eprintln!("{}", String::from_utf8_lossy(call.payload)),
            _ => return Err(Errno::ENOTTY),
        }
        Ok(0)
    }

    fn mmap(&self, _: &MmapArgs) -> Result<Mapped, Errno> {
        Err(Errno::EINVAL)
    }
}

fn send_descriptor() {
    let mut byte = 1u8;
    let mut part = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    let mut space = [0u64; 8];
    // SAFETY: a message of one byte and one descriptor; the space is large enough for it.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &mut part;
        message.msg_iovlen = 1;
        message.msg_control = space.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(4) as usize;
        let header = libc::CMSG_FIRSTHDR(&message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(4) as usize;
        libc::CMSG_DATA(header).cast::<i32>().write_unaligned(1);
        libc::sendmsg(socket(), &message, 0);
    }
}

drvhost_abi::export_driver!(
    Crash,
    About {
        name: c"crash",
        description: c"Goes wrong on demand",
        ids: &[],
        params: &[]
    }
);
