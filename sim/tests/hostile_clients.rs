// SPDX-License-Identifier: MIT
//! Garbage at the devices' sockets and at the control socket: nothing dies, nothing leaks.

#![allow(clippy::unwrap_used)] // a test

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use common::{DISPLAY, Random, machine, open_fds};
use driver_sys::PciIds;
use driver_sys::vfio_user::proto::{self, Header};
use driver_sys::vfio_user::wire::{self, WireError};
use driver_sys::vfio_user::{Client, socket_path};
use drvhost_sim::control::{Control, SOCKET};
use serde_json::Value;
use zerocopy::IntoBytes;

/// A request that is well-formed at least in its size, often in more.
fn request(random: &mut Random) -> (Header, Vec<u8>) {
    let command = random.below(17) as u16;
    let flags = match random.below(20) {
        0 => random.next() as u32,
        1 => proto::NO_REPLY,
        _ => 0,
    };
    let mut payload = random.bytes(64);
    // Small numbers reach further than random ones.
    if random.below(2) == 0 {
        let numbers = [
            0u32,
            1,
            2,
            4,
            5,
            7,
            8,
            16,
            20,
            24,
            32,
            36,
            0x500,
            0x1000,
            u32::MAX,
        ];
        let length = random.below(33) as usize;
        let mut number = || numbers[random.below(numbers.len() as u64) as usize].to_le_bytes();
        payload = (0..8).flat_map(|_| number()).take(length).collect();
    }
    (
        Header {
            id: random.next() as u16,
            command,
            flags,
            ..Header::default()
        },
        payload,
    )
}

fn hello(socket: &UnixStream) {
    let version = proto::Version {
        major: proto::MAJOR,
        minor: proto::MINOR,
    };
    let header = Header {
        command: proto::VERSION,
        ..Header::default()
    };
    wire::send(socket.as_fd(), header, &[version.as_bytes()], &[], None).unwrap();
    wire::receive(
        socket.as_fd(),
        Some(Instant::now() + Duration::from_secs(30)),
    )
    .unwrap();
}

fn converse(path: &std::path::Path, random: &mut Random) {
    let socket = UnixStream::connect(path).unwrap();
    if random.below(10) == 0 {
        let _ = (&socket).write_all(&random.bytes(400));
        return;
    }
    if random.below(10) != 0 {
        hello(&socket);
    }
    let files = [tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap()];
    for _ in 0..random.below(20) {
        let (header, payload) = request(random);
        let fds: Vec<BorrowedFd<'_>> = files
            .iter()
            .take(random.below(4) as usize)
            .map(AsFd::as_fd)
            .collect();
        if wire::send(socket.as_fd(), header, &[&payload], &fds, None).is_err() {
            return;
        }
        let quiet = header.flags & proto::NO_REPLY != 0;
        if header.flags & proto::TYPE_MASK == proto::TYPE_COMMAND && !quiet {
            let deadline = Instant::now() + Duration::from_secs(30);
            match wire::receive(socket.as_fd(), Some(deadline)) {
                Ok(reply) => {
                    assert_eq!(reply.header.id, header.id);
                    assert_eq!(reply.header.command, header.command);
                }
                Err(WireError::Closed | WireError::Io(_)) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
    if random.below(2) == 0 {
        // A header that promises more than comes.
        let header = Header {
            command: 9,
            size: random.next() as u32,
            ..Header::default()
        };
        let _ = (&socket).write_all(header.as_bytes());
    }
}

fn garbage_at_the_devices() {
    let before = open_fds();
    {
        let dir = tempfile::tempdir().unwrap();
        let _machine = machine(dir.path());
        let path = socket_path(dir.path(), DISPLAY.parse().unwrap());
        let mut random = Random(0x5eed_0001);
        for _ in 0..2000 {
            converse(&path, &mut random);
        }
        assert_eq!(
            PciIds::read(&Client::connect(&path).unwrap())
                .unwrap()
                .vendor,
            0x1234
        );
    }
    assert_eq!(open_fds(), before);
}

fn a_crowd_is_turned_away() {
    let dir = tempfile::tempdir().unwrap();
    let _machine = machine(dir.path());
    let path = socket_path(dir.path(), DISPLAY.parse().unwrap());
    let crowd: Vec<_> = (0..32).map(|_| Client::connect(&path).unwrap()).collect();
    assert!(Client::connect(&path).is_err());
    assert!(crowd.iter().all(|client| PciIds::read(client).is_ok()));
}

fn garbage_at_the_control_socket() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Arc::new(machine(dir.path()));
    let (stop, _stopped) = channel();
    let control = Control::start(machine.clone(), dir.path(), stop).unwrap();
    let ask = |socket: &UnixStream, line: &[u8]| -> Value {
        let mut socket = socket;
        socket.write_all(line).unwrap();
        socket.write_all(b"\n").unwrap();
        let mut reply = String::new();
        BufReader::new(socket).read_line(&mut reply).unwrap();
        serde_json::from_str(&reply).unwrap()
    };
    let socket = UnixStream::connect(dir.path().join(SOCKET)).unwrap();
    let mut random = Random(0x5eed_0002);
    let good = br#"{"command":"break","device":"0000:00:02.0","kind":"hang"}"#;
    for round in 0..2000 {
        let mut line = good.to_vec();
        for _ in 0..=random.below(4) {
            let at = random.below(line.len().max(1) as u64) as usize;
            match random.below(3) {
                0 if at < line.len() => line[at] = random.next() as u8,
                1 if at < line.len() => drop(line.remove(at)),
                _ => line.truncate(at + 1),
            }
        }
        line.retain(|byte| *byte != b'\n');
        if round % 10 == 0 {
            line = random.bytes(200);
            line.retain(|byte| *byte != b'\n');
        }
        let reply = ask(&socket, &line);
        assert!(reply["ok"].is_boolean(), "{reply}");
    }
    for line in [
        r#"{"command":"stop","extra":1}"#,
        r#"{"command":"monitor","device":"0000:00:1f.7"}"#,
        r#"{"command":"screenshot","device":"0000:00:02.0","file":"/nonexistent/x.png"}"#,
        r#"{"command":"plug-monitor","device":"0000:00:02.0","file":"/nonexistent/edid"}"#,
        r#"{"command":"plug-monitor","device":"0000:00:02.0","edid":{"name":"much too long a name"}}"#,
        r#"{"command":"step","ns":1}"#,
        r#"{"command":"step","ns":-1}"#,
        "null",
        "",
    ] {
        let reply = ask(&socket, line.as_bytes());
        assert_eq!(reply["ok"], false, "{line}");
        assert!(reply["error"].is_string(), "{line}");
    }
    // A line without end is answered and ends the conversation.
    let endless = UnixStream::connect(dir.path().join(SOCKET)).unwrap();
    (&endless).write_all(&vec![b'x'; 64 << 10]).unwrap();
    let mut reply = String::new();
    (&endless).read_to_string(&mut reply).unwrap();
    assert!(reply.contains("too long"), "{reply}");

    assert_eq!(ask(&socket, br#"{"command":"list"}"#)["ok"], true);
    drop(control);
    assert!(!dir.path().join(SOCKET).exists());
}

/// One test, for it counts the descriptors of the whole process.
#[test]
fn garbage_is_survived() {
    garbage_at_the_devices();
    a_crowd_is_turned_away();
    garbage_at_the_control_socket();
}
