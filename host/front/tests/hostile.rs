// SPDX-License-Identifier: MIT
//! Hostile programs and workers: garbage, floods, memory that changes after the check. The host
//! goes on, and nothing is left behind.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use drvhost_channel::memory::Mapping;
use drvhost_channel::packet;
use drvhost_channel::program::{Ask, CALL, FdNote, MAGIC, OPEN};
use drvhost_drm::uapi::*;
use drvhost_front::Limits;
use drvhost_port::Recovery;
use rustix::net::{RecvFlags, SendFlags};
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Mutex;
use support::client::{Client, ask, dial};
use support::fake::flip_event;
use support::{Setup, eventually};
use zerocopy::IntoBytes;

/// Descriptors are counted, so the tests run one after the other.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> std::sync::MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(|error| error.into_inner())
}

/// A small generator: the same numbers each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn bytes(&mut self, len: u64) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// A payload that is nearly right: the table's layout with random fields and small counts.
fn nearly(random: &mut Random, cmd: u32) -> Vec<u8> {
    let Some(descriptor) = drvhost_drm::wire::describe(cmd) else {
        let len = ioctl::size(cmd) as u64;
        return random.bytes(len);
    };
    let mut payload: Vec<u8> = (0..descriptor.fixed)
        .map(|_| {
            if random.below(4) == 0 {
                random.next() as u8
            } else {
                0
            }
        })
        .collect();
    let more = random.below(64);
    payload.extend(random.bytes(more));
    payload
}

fn any_cmd(random: &mut Random) -> u32 {
    match random.below(8) {
        0 => random.next() as u32,
        1 => 0xc010_6400 | random.next() as u32 & 0xff,
        _ => ioctl::NAMES[random.below(ioctl::NAMES.len() as u64) as usize].0,
    }
}

#[test]
fn garbage_asks_leave_nothing_behind() {
    let _alone = alone();
    let setup = Setup::new();
    let client = setup.open();
    // Rings for this one come and go.
    let bait = setup.open();
    eventually("settled", || setup.device.describe().files.len() == 2);
    let before = descriptors();
    let mut random = Random(0x5eed_0001);
    let null = std::fs::File::open("/dev/null").unwrap();
    let event = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
    for round in 0..20_000 {
        let socket = dial(setup.dir.path());
        let len = random.below(200);
        let mut payload = random.bytes(len);
        let mut head = Ask {
            magic: MAGIC,
            op: random.below(8) as u32,
            cmd: any_cmd(&mut random),
            offset: random.next() >> random.below(64),
            length: random.next() >> random.below(64),
            ..Ask::default()
        };
        if random.below(2) == 0 {
            head.token = client.token;
            head.op = CALL;
            payload = nearly(&mut random, head.cmd);
            if random.below(3) == 0 {
                head.notes = random.below(4) as u32;
                let notes = vec![FdNote::default(); head.notes as usize];
                payload = [notes.as_bytes(), &payload].concat();
            }
        }
        if head.op == OPEN && random.below(2) == 0 {
            payload = b"card0".to_vec();
        }
        let fds: Vec<BorrowedFd<'_>> = (0..random.below(3))
            .map(|n| match (n + random.below(3)) % 3 {
                0 => null.as_fd(),
                1 => event.as_fd(),
                _ => bait.socket.as_fd(),
            })
            .collect();
        let mut bytes = head.as_bytes().to_vec();
        if random.below(8) == 0 {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= random.next() as u8;
        }
        if random.below(8) == 0 {
            bytes.truncate(random.below(bytes.len() as u64) as usize);
            payload.clear();
        }
        let parts = [IoSlice::new(&bytes), IoSlice::new(&payload)];
        let sent = packet::send(&socket, &parts, &fds, SendFlags::empty());
        // Some hang up before the answer, most read it, or the end.
        if sent.is_ok() && random.below(4) != 0 {
            let mut buffer = [0; 8192];
            let _ = packet::receive(&socket, &mut buffer, RecvFlags::empty());
        }
        if round % 1000 == 0 {
            assert!(
                client
                    .call(ioctl::GET_CAP, &drm_get_cap::default(), &[])
                    .is_ok()
            );
        }
    }
    // What garbage opened is closed again, but for the client's own.
    eventually("files are closed", || {
        let state = setup.device.describe();
        state.files.len() == 2 && state.recorded == 2
    });
    drop((client, bait));
    let client = setup.open();
    eventually("one file", || setup.device.describe().recorded == 1);
    eventually("no descriptor is left", || descriptors() < before);
    assert!(client.create_dumb(8, 8).is_ok());
}

#[test]
fn garbage_calls_get_errors_and_the_state_survives() {
    let _alone = alone();
    let mut setup = Setup::new();
    let client = setup.open();
    let mut random = Random(0x5eed_0002);
    for _ in 0..30_000 {
        let cmd = any_cmd(&mut random);
        let mut payload = nearly(&mut random, cmd);
        client.raw(cmd, &mut payload);
        while client.event().is_some() {}
    }
    let before = setup.worker.visible();
    setup.crash();
    assert_eq!(setup.worker.visible(), before);
}

#[test]
fn a_ring_that_is_overwritten_harms_only_its_program() {
    let _alone = alone();
    let setup = Setup::new();
    let victim = setup.open();
    for seed in 1..=8u64 {
        let client = setup.open();
        let len = drvhost_channel::memory::verify(&client.memory).unwrap() as usize;
        let map = Mapping::sealed(&client.memory, len).unwrap();
        let mut random = Random(0x5eed_0003 * seed);
        for _ in 0..20_000 {
            // Mostly where words and heads are.
            let slot = random.below(17) as usize * (1 << 20) + random.below(17) as usize * 4096;
            let at = (slot + random.below(320) as usize) & !3;
            let value = match random.below(3) {
                0 => random.below(6) as u32,
                _ => random.next() as u32,
            };
            if at + 4 <= len {
                // SAFETY: inside the mapping and aligned; both sides expect it to change.
                unsafe { map.as_ptr().add(at).cast::<u32>().write_volatile(value) };
            }
        }
        assert!(rustix::fs::ftruncate(&client.memory, 0).is_err());
        assert!(
            victim
                .call(ioctl::GET_CAP, &drm_get_cap::default(), &[])
                .is_ok()
        );
        drop(map);
    }
    eventually("their files are closed", || {
        setup.device.describe().recorded == 1
    });
    assert!(victim.create_dumb(8, 8).is_ok());
}

#[test]
fn quotas_hold_and_come_back() {
    let _alone = alone();
    let setup = Setup::with(Limits {
        memory_per_user: 1 << 20,
        files_per_user: 3,
        objects_per_file: 8,
        connections_per_user: 4,
        ..Limits::default()
    });
    let client = setup.open();
    assert_eq!(client.create_dumb(1024, 1024).unwrap_err(), -12);
    let dumb = client.create_dumb(512, 256).unwrap();
    assert_eq!(client.create_dumb(512, 512).unwrap_err(), -12);
    assert_eq!(client.blob(&vec![0; 600 << 10]).unwrap_err(), -12);
    let blob = client.blob(&[0; 100]).unwrap();
    client.destroy_blob(blob).unwrap();
    client.gem_close(dumb.handle).unwrap();
    for _ in 0..8 {
        client.create_dumb(16, 16).unwrap();
    }
    assert_eq!(client.create_dumb(16, 16).unwrap_err(), -12);
    let more = [setup.open(), setup.open()];
    let refused = Client::open(setup.dir.path(), "card0").unwrap_err();
    assert_eq!(refused, -24);
    drop(more);
    eventually("files come back", || {
        Client::open(setup.dir.path(), "card0").is_ok()
    });
    // Too many connections: closed at once, the others go on.
    let held: Vec<_> = (0..4).map(|_| dial(setup.dir.path())).collect();
    let mut buffer = [0; 16];
    let fifth = dial(setup.dir.path());
    let end = packet::receive(&fifth, &mut buffer, RecvFlags::empty());
    assert_eq!(end.unwrap().0, 0);
    drop(held);
    eventually("connections come back", || {
        let socket = dial(setup.dir.path());
        let parts = [IoSlice::new(b"x")];
        let _ = packet::send(&socket, &parts, &[], SendFlags::empty());
        matches!(packet::receive(&socket, &mut [0; 64], RecvFlags::empty()), Ok((len, _)) if len > 0)
    });
}

#[test]
fn a_hostile_worker_gets_errors() {
    let _alone = alone();
    let setup = Setup::new();
    let client = setup.open();
    let upcalls = setup.device.upcalls();
    let mut random = Random(0x5eed_0004);
    for _ in 0..5000 {
        let len = random.below(100);
        let mut bytes = random.bytes(len);
        if random.below(2) == 0 && bytes.len() >= 8 {
            bytes[..4].copy_from_slice(&(random.below(4) as u32).to_le_bytes());
            bytes[4..8].copy_from_slice(&(len as u32).to_le_bytes());
        }
        let _ = upcalls.post_event(random.below(6), &bytes);
        let _ = upcalls.buffer_open(random.next());
        upcalls.buffer_put(random.below(9));
        upcalls.fence_put(random.below(9));
        let _ = upcalls.file_create(random.next() as u32);
        assert!(
            upcalls
                .buffer_create(0, u64::MAX - random.below(9))
                .is_err()
        );
    }
    while client.event().is_some() {}
    // A flood of events that nobody asked for is bounded.
    let file = (1..9).find(|file| upcalls.post_event(*file, &flip_event(40, 1, 1)).is_ok());
    for n in 0..10_000 {
        let _ = upcalls.post_event(file.unwrap(), &flip_event(40, n, 1));
    }
    assert!(std::iter::from_fn(|| client.event()).count() <= 257);
    assert!(client.create_dumb(8, 8).is_ok());
}

#[test]
fn a_thousand_restarts_leave_nothing_behind() {
    let _alone = alone();
    let mut setup = Setup::new();
    let client = setup.open();
    let dumb = client.create_dumb(32, 32).unwrap();
    let fb = client.add_fb(&dumb).unwrap();
    client.set_crtc(40, fb, &[50], 7).unwrap();
    let before = (descriptors(), setup.worker.visible());
    for _ in 0..1000 {
        client.flip(40, fb, 1).unwrap();
        assert!(setup.crash().lost.is_empty());
        assert!(client.event().is_some());
        assert!(client.event().is_none());
    }
    assert_eq!((descriptors(), setup.worker.visible()), before);
}

#[test]
fn who_may_not_open_is_told() {
    let _alone = alone();
    let setup = Setup::new();
    // Everybody may look, nobody may open what is not there.
    let open = Ask {
        op: OPEN,
        ..Ask::default()
    };
    for name in ["", "card", "card00", "../card0", "card0\0", "renderD129"] {
        let answer = ask(setup.dir.path(), open, name.as_bytes(), &[]);
        assert_eq!(answer.head.result, -2, "{name:?}");
    }
}
