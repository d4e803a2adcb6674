// SPDX-License-Identifier: MIT
//! A driver in Rust in a worker process: every service of the host and of the device.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // helpers of tests, too

mod common;

use common::{Bench, args, ioctl, open, plugin};
use drvhost_abi::Errno;
use drvhost_abi::tables::{NodeKind, ObjectKind, ObjectRef};
use drvhost_channel::memory::Mapping;
use drvhost_channel::program;
use drvhost_channel::ring::{Head, Ring, RingClient, Slots};
use drvhost_port::{CallError, Ioctl, Worker};
use drvhost_worker::{Cause, LinkError, Status};
use plugin_tiny_rust as tiny;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, socketpair};
use std::sync::Arc;

fn word(value: u64) -> [u8; 8] {
    value.to_le_bytes()
}

#[test]
fn calls_go_through() {
    let bench = Bench::real();
    let link = bench.bound(&plugin("tiny_rust"), &[("greeting", "hello")]);
    let kinds: Vec<_> = link.nodes().iter().map(|node| node.kind).collect();
    assert_eq!(kinds, [NodeKind::Card, NodeKind::Render]);
    assert_eq!(link.nodes()[0].driver, "tiny");
    open(&link, 1, 10).unwrap();
    let mut payload = *b"abc";
    assert_eq!(ioctl(&link, 10, tiny::ECHO, &mut payload).unwrap().value, 1);
    assert_eq!(&payload, b"bcd");
    assert_eq!(ioctl(&link, 10, tiny::PARAM, &mut []).unwrap().value, 5);
    let errno = |errno| Err(CallError::Errno(errno));
    assert_eq!(ioctl(&link, 10, 99, &mut []), errno(Errno::ENOTTY));
    assert_eq!(ioctl(&link, 11, tiny::ECHO, &mut []), errno(Errno::EBADF));
    assert_eq!(open(&link, 2, 11), Err(CallError::Errno(Errno::ENXIO)));
    assert_eq!(open(&link, 0, 10), Err(CallError::Errno(Errno::EEXIST)));
    link.release(10);
    assert_eq!(ioctl(&link, 10, tiny::ECHO, &mut []), errno(Errno::EBADF));
    assert_eq!(link.outstanding(), 0);
    let lines = bench.lines.lock().unwrap().clone();
    assert!(
        lines
            .iter()
            .any(|line| line.target == "tiny" && line.text == "probed"),
        "{lines:?}"
    );
    link.remove();
    let exit = link.wait();
    assert_eq!((exit.status, exit.cause), (Status::Code(0), Cause::Removed));
    assert_eq!(open(&link, 0, 12), Err(CallError::Died));
}

#[test]
fn buffers_events_fences_and_registers() {
    let bench = Bench::real();
    let link = bench.bound(&plugin("tiny_rust"), &[]);
    open(&link, 0, 1).unwrap();
    let made = ioctl(&link, 1, tiny::BUFFER, &mut word(5000)).unwrap();
    let buffer = ObjectRef {
        kind: ObjectKind::Buffer as u32,
        place: 0,
        id: made.value,
    };
    assert_eq!(made.objects, [buffer]);
    let state = bench.host.state.lock().unwrap();
    let (fd, size) = &state.objects[&made.value];
    assert_eq!(*size, 8192);
    let map = Mapping::sealed(fd, 8192).unwrap();
    // SAFETY: the mapping is 8192 bytes long.
    assert_eq!(unsafe { map.as_ptr().read_volatile() }, 0x5a);
    drop(state);
    let mapped = link.mmap(1, 4096, 4096, true).unwrap();
    assert_eq!((mapped.buffer, mapped.offset), (made.value, 4096));
    // A replayed call gets the buffer that it made before.
    let again = Ioctl {
        cmd: tiny::BUFFER,
        buffer: made.value,
        ..Ioctl::default()
    };
    assert_eq!(
        link.ioctl(1, &again, &mut word(5000)).unwrap().value,
        made.value
    );
    let larger = link.ioctl(1, &again, &mut word(9000));
    assert_eq!(larger, Err(CallError::Errno(Errno::EINVAL)));

    ioctl(&link, 1, tiny::EVENT, &mut b"event".to_vec()).unwrap();
    bench
        .host
        .wait(|state| state.events == [(1, b"event".to_vec())]);
    let fence = ioctl(&link, 1, tiny::FENCE, &mut []).unwrap().value;
    bench.host.wait(|state| state.puts.contains(&fence));
    let id = ioctl(&link, 1, tiny::REGISTER, &mut word(0x500))
        .unwrap()
        .value;
    assert_eq!(id & 0xfff0, 0xb0c0, "the DISPI id register");
    let dma = ioctl(&link, 1, tiny::DMA, &mut []).unwrap().value;
    bench.host.wait(|state| state.puts.contains(&dma));
    let report = link.report();
    assert!(
        report.accesses.iter().any(|access| access.offset == 0x500),
        "{report:?}"
    );
    assert_eq!(report.calls.last().unwrap().cmd, tiny::DMA);
    // The file's buffer goes with it.
    link.release(1);
    bench.host.wait(|state| state.puts.contains(&made.value));
}

#[test]
fn waits_follow_a_stepped_clock() {
    let bench = Bench::stepped();
    let clock = bench.config.clock.clone();
    let link = bench.bound(&plugin("tiny_rust"), &[]);
    open(&link, 0, 1).unwrap();
    let deadline = clock.now() + 1000;
    let fence = bench.host.fence();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| ioctl(&link, 1, tiny::WAIT, &mut word(deadline)).unwrap());
        let fenced = scope.spawn(|| {
            let object = ObjectRef {
                kind: ObjectKind::Fence as u32,
                place: 0,
                id: fence.id,
            };
            let call = Ioctl {
                cmd: tiny::FENCE_WAIT,
                objects: vec![object],
                ..Ioctl::default()
            };
            link.ioctl(1, &call, &mut word(deadline))
        });
        clock.advance(600);
        // Other calls go on meanwhile.
        ioctl(&link, 1, tiny::ECHO, &mut []).unwrap();
        clock.advance(600);
        assert_eq!(waiter.join().unwrap().value, deadline + 200);
        assert_eq!(
            fenced.join().unwrap(),
            Err(CallError::Errno(Errno::ETIMEDOUT))
        );
    });
}

#[test]
fn a_fence_that_comes_twice_is_put_once_both_uses_ended() {
    let bench = Bench::stepped();
    let link = bench.bound(&plugin("tiny_rust"), &[]);
    open(&link, 0, 1).unwrap();
    let (fence, unknown) = (bench.host.fence(), 1 << 40);
    let object = |id| ObjectRef {
        kind: ObjectKind::Fence as u32,
        place: 0,
        id,
    };
    let call = |objects: &[ObjectRef]| {
        let call = Ioctl {
            cmd: tiny::FENCE_WAIT,
            objects: objects.to_vec(),
            ..Ioctl::default()
        };
        link.ioctl(1, &call, &mut word(0))
            .map(|answer| answer.value)
    };
    let timed_out = Err(CallError::Errno(Errno::ETIMEDOUT));
    // The driver ends one of two uses: the fence is still its own.
    assert_eq!(call(&[object(fence.id); 2]), timed_out);
    assert_eq!(call(&[object(fence.id)]), timed_out);
    let puts = |state: &common::HostState| state.puts.iter().filter(|id| **id == fence.id).count();
    // A call with a fence that is none keeps none of the others.
    let refused = call(&[object(fence.id), object(unknown)]);
    assert_eq!(refused, Err(CallError::Errno(Errno::ENOENT)));
    // Messages keep their order: what was put before this has arrived with it.
    let last = ioctl(&link, 1, tiny::FENCE, &mut []).unwrap().value;
    bench.host.wait(|state| state.puts.contains(&last));
    assert_eq!(puts(&bench.host.state.lock().unwrap()), 0);
}

#[test]
fn many_waiting_calls_do_not_block_others() {
    let bench = Bench::stepped();
    let clock = bench.config.clock.clone();
    let link = bench.bound(&plugin("tiny_rust"), &[]);
    open(&link, 0, 1).unwrap();
    let deadline = clock.now() + 1000;
    std::thread::scope(|scope| {
        let wait = || ioctl(&link, 1, tiny::WAIT, &mut word(deadline)).unwrap();
        let waiters: Vec<_> = (0..50).map(|_| scope.spawn(wait)).collect();
        for _ in 0..100 {
            ioctl(&link, 1, tiny::ECHO, &mut []).unwrap();
        }
        clock.advance(1000);
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

#[test]
fn a_client_is_served_directly() {
    let bench = Bench::real();
    let link = bench.bound(&plugin("tiny_rust"), &[]);
    let ring = Ring::create(Slots::Program).unwrap();
    let flags = SocketFlags::CLOEXEC;
    let (client, worker) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    let calls = Arc::new(RingClient::new(Ring::open(&ring, Slots::Program).unwrap()));
    link.serve(&args(1, 5), ring, worker).unwrap();
    let call = |cmd, payload: &mut [u8]| {
        let head = Head {
            op: program::CALL,
            cmd,
            file: 99,
            flags: 1,
            ..Head::default()
        };
        calls
            .call(&head, &[], payload, &|| true)
            .map(|(answer, _)| answer.result)
    };
    let mut payload = *b"abc";
    assert_eq!(call(tiny::ECHO, &mut payload), Ok(1));
    assert_eq!(&payload, b"bcd");
    assert_eq!(call(tiny::EVENT, &mut b"event".to_vec()), Ok(0));
    let mut event = [0; 16];
    let (len, _) = rustix::net::recv(&client, &mut event, RecvFlags::empty()).unwrap();
    assert_eq!(&event[..len], b"event");
    // The host can make calls on the file too.
    assert_eq!(ioctl(&link, 5, tiny::ECHO, &mut []).unwrap().value, 1);
    drop(client);
    // The worker closes the ring and the file when the client is gone.
    while !calls.is_closed() || ioctl(&link, 5, tiny::ECHO, &mut []).is_ok() {
        std::thread::yield_now();
    }
    assert!(bench.host.state.lock().unwrap().events.is_empty());
}

#[test]
fn a_refusal_is_told() {
    let bench = Bench::real();
    let link = bench.spare(&plugin("tiny_rust"));
    let error = bench.bind(&link, &[("refuse", "yes")]).unwrap_err();
    assert!(
        matches!(
            error,
            LinkError::Probe {
                errno: Errno::ENODEV,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(link.wait().status, Status::Code(0));
}

#[test]
fn a_plugin_of_another_layout_is_refused() {
    let bench = Bench::real();
    let link = drvhost_worker::Link::spawn(&bench.config).unwrap();
    let error = link.load(&plugin("alien")).unwrap_err().to_string();
    assert!(error.contains("libplugin_alien.so"), "{error}");
    assert!(error.contains("not a Rust plugin of this ABI"), "{error}");
    link.wait();
}

#[test]
fn a_dropped_link_leaves_no_process() {
    let bench = Bench::real();
    let link = bench.spare(&plugin("tiny_rust"));
    let pid = rustix::process::Pid::from_raw(link.pid().cast_signed()).unwrap();
    drop(link);
    assert_eq!(
        rustix::process::test_kill_process(pid),
        Err(rustix::io::Errno::SRCH)
    );
}

#[test]
fn firmware_and_new_files() {
    let bench = Bench::real();
    let link = bench.bound(&plugin("tiny_rust"), &[]);
    open(&link, 0, 1000).unwrap();
    let firmware = |name: &str| ioctl(&link, 1000, tiny::FIRMWARE, &mut name.as_bytes().to_vec());
    assert_eq!(firmware("tiny/firmware.bin").unwrap().value, 100);
    for name in [
        "other.bin",
        "../tiny/firmware.bin",
        "/etc/passwd",
        "tiny//firmware.bin",
        "",
    ] {
        assert_eq!(
            firmware(name),
            Err(CallError::Errno(Errno::ENOENT)),
            "{name:?}"
        );
    }
    let made = ioctl(&link, 1000, tiny::NEW_FILE, &mut []).unwrap();
    assert_eq!(made.objects[0].kind, ObjectKind::File as u32);
    assert_eq!(
        ioctl(&link, made.value, tiny::ECHO, &mut []).unwrap().value,
        1
    );
    link.release(made.value);
    assert!(ioctl(&link, made.value, tiny::ECHO, &mut []).is_err());
}
