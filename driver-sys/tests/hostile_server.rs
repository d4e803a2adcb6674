// SPDX-License-Identifier: MIT
//! The vfio-user client against servers that lie: every call returns, nothing leaks.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // a test

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use driver_sys::vfio_user::proto::{self, Header};
use driver_sys::vfio_user::{Client, socket_path, wire};
use driver_sys::{Error, IrqKind, PciAddress, PciDevice, PciIds, Width, caps};
use zerocopy::IntoBytes;

/// The same in every run (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Small numbers reach further than random ones.
    fn number(&mut self) -> u32 {
        let numbers = [
            0,
            1,
            2,
            3,
            5,
            7,
            8,
            15,
            16,
            32,
            36,
            64,
            4096,
            1 << 20,
            u32::MAX,
        ];
        match self.below(8) {
            0 => self.next() as u32,
            _ => numbers[self.below(numbers.len() as u64) as usize],
        }
    }
}

/// Answers requests in ways that are almost right, then hangs up.
fn lie(socket: &UnixStream, mut random: Random) {
    let file = tempfile::tempfile().unwrap();
    file.set_len(random.below(3) * 4096).unwrap();
    for _ in 0..random.below(12) + 1 {
        let Ok(request) = wire::receive(socket.as_fd(), None) else {
            return;
        };
        // Most answers repeat the request, with some numbers changed and perhaps another length.
        let mut payload = request.payload;
        payload.resize(payload.len().max(32), 0);
        for _ in 0..random.below(4) {
            let at = random.below(payload.len() as u64 / 4) as usize * 4;
            payload[at..at + 4].copy_from_slice(&random.number().to_le_bytes());
        }
        if request.header.command == proto::REGION_READ {
            let count = u32::from_le_bytes(payload[12..16].try_into().unwrap());
            payload.resize(16 + count.min(4096) as usize, random.next() as u8);
        }
        if random.below(6) == 0 {
            payload.truncate(random.below(payload.len() as u64) as usize);
        }
        let mut header = Header {
            flags: proto::TYPE_REPLY,
            ..request.header
        };
        match random.below(30) {
            0 => header.id ^= 1,
            1 => header.command ^= 1,
            2 => {
                // What is no answer leaves the client waiting: hang up after it.
                header.flags = random.number();
                let _ = wire::send(socket.as_fd(), header, &[&payload], &[], None);
                return;
            }
            3 => (header.flags, header.error) = (proto::TYPE_REPLY | proto::ERROR, random.number()),
            4 => {
                header.size = random.number();
                let _ = (&mut &*socket).write_all(header.as_bytes());
                let _ = (&mut &*socket).write_all(&payload);
                return;
            }
            5 => {
                let garbage: Vec<u8> = (0..64).map(|_| random.next() as u8).collect();
                let _ = (&mut &*socket).write_all(&garbage);
                return;
            }
            6 => {
                // A flood of requests of the server's own.
                let flood = Header {
                    flags: proto::NO_REPLY,
                    command: 11,
                    ..header
                };
                for _ in 0..100 {
                    if wire::send(socket.as_fd(), flood, &[], &[], None).is_err() {
                        return;
                    }
                }
            }
            _ => {}
        }
        let fds: Vec<BorrowedFd<'_>> =
            std::iter::repeat_n(file.as_fd(), random.below(4) as usize).collect();
        if wire::send(socket.as_fd(), header, &[&payload], &fds, None).is_err() {
            return;
        }
    }
}

fn use_everything(device: &Client, random: &mut Random) {
    for _ in 0..8 {
        let bar = random.below(7) as u8;
        match random.below(12) {
            0 => drop(PciIds::read(device)),
            1 => drop(caps::list(device)),
            2 => drop(device.bar_info(bar)),
            3 => {
                // What could be mapped can be read to its end.
                if let Ok(mapping) = device.bar_map(bar) {
                    mapping.read_u8(mapping.len() - 1).unwrap();
                }
            }
            4 => drop(device.bar_read(bar, 0, Width::U32)),
            5 => drop(device.bar_write(bar, 8, Width::U64, 1)),
            6 => drop(device.irq_info(IrqKind::Msix)),
            7 => drop(device.irq_enable(IrqKind::Msi, 3)),
            8 => drop(device.irq_disable(IrqKind::Msi)),
            9 => {
                if let Ok(buffer) = device.dma_alloc(4096, 1) {
                    let _ = device.dma_unmap(buffer.iova);
                }
            }
            10 => drop(device.config_write(4, &[0; 4])),
            _ => drop(device.reset()),
        }
    }
}

fn open_fds() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// One test, for it counts the descriptors of the whole process.
#[test]
fn lies_are_survived() {
    let address: PciAddress = "0000:00:02.0".parse().unwrap();
    let before = open_fds();
    for seed in 1..2000u64 {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = std::thread::spawn(move || lie(&theirs, Random(seed * 0x9e37_79b9)));
        let device = Client::from_connected(ours.into(), address);
        // Never reached: the server answers or hangs up.
        device.set_timeout(Duration::from_secs(10));
        use_everything(&device, &mut Random(seed));
        drop(device);
        server.join().unwrap();
    }
    assert_eq!(open_fds(), before);
    greetings();
    silence();
}

/// Answers to VERSION.
fn greetings() {
    let dir = tempfile::tempdir().unwrap();
    let path = socket_path(dir.path(), "0000:00:02.0".parse().unwrap());
    let listener = UnixListener::bind(&path).unwrap();
    for (major, minor, json, good) in [
        (0, 1, "{\"capabilities\":{\"max_msg_fds\":8}}\0", true),
        (0, 0, "", true),
        (0, 1, "{}", true),
        (
            0,
            1,
            "{\"capabilities\":{\"max_msg_fds\":1e99,\"max_data_xfer_size\":-1}}\0",
            true,
        ),
        (0, 2, "", false),
        (1, 0, "", false),
        (0, 1, "{\"capabilities\":{\"max_msg_fds\":0}}\0", false),
        (
            0,
            1,
            "{\"capabilities\":{\"max_data_xfer_size\":7}}\0",
            false,
        ),
        (0, 1, "{\"capabilities\"", false),
        (0, 1, "\u{1}", false),
    ] {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (socket, _) = listener.accept().unwrap();
                let request = wire::receive(socket.as_fd(), None).unwrap();
                let version = proto::Version { major, minor };
                let parts = [version.as_bytes(), json.as_bytes()];
                wire::reply(&socket, &request.header, Ok((&parts, &[])), None).unwrap();
            });
            let result = Client::connect(&path);
            assert_eq!(result.is_ok(), good, "{major}.{minor} {json:?}: {result:?}");
        });
    }
    drop(listener);
    assert!(matches!(Client::connect(&path), Err(Error::Io { .. })));
    assert!(matches!(
        Client::connect(&dir.path().join("x.sock")),
        Err(Error::Invalid { .. })
    ));
}

/// A server that never answers, and one that sends half of an answer.
fn silence() {
    let half = Header {
        id: 1,
        command: 13,
        size: 16,
        flags: 1,
        error: 0,
    };
    for sent in [0, 7, 15] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (&theirs).write_all(&half.as_bytes()[..sent]).unwrap();
        let device = Client::from_connected(ours.into(), "0000:00:02.0".parse().unwrap());
        device.set_timeout(Duration::from_millis(5));
        assert!(matches!(
            device.reset(),
            Err(Error::TimedOut { millis: 5, .. })
        ));
        assert!(matches!(device.reset(), Err(Error::Protocol { .. })));
    }
}
