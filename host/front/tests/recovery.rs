// SPDX-License-Identifier: MIT
//! What programs see when the worker dies under them, case by case.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use drvhost_drm::uapi::*;
use std::os::fd::AsFd;
use support::client::Client;
use support::display::*;
use support::fake::Death;
use support::{Setup, eventually};

/// A client that shows a framebuffer on the first CRTC, and a second framebuffer.
fn showing(setup: &Setup) -> (Client, u32, u32) {
    let client = setup.open();
    let first = client.create_dumb(64, 64).unwrap();
    let second = client.create_dumb(64, 64).unwrap();
    let first = client.add_fb(&first).unwrap();
    let second = client.add_fb(&second).unwrap();
    client.set_crtc(40, first, &[50], 7).unwrap();
    (client, first, second)
}

fn sequence(event: &[u8]) -> u32 {
    drm_event_vblank::read_from(event).sequence
}

#[test]
fn state_is_put_back_and_nothing_is_lost() {
    let mut setup = Setup::new();
    let (client, first, second) = showing(&setup);
    client.cap(2, 1).unwrap();
    // Handles closed while the framebuffer lives on, and their numbers used again.
    client.gem_close(1).unwrap();
    client.create_dumb(32, 32).unwrap();
    // A framebuffer that only the display still knows.
    client.close_fb(first).unwrap();
    // A mode blob destroyed while it is in use.
    let mode = client.blob(b"mode").unwrap();
    let items = [
        (41, MODE_ID, mode.into()),
        (41, ACTIVE, 1),
        (51, CRTC_ID, 41),
        (31, FB_ID, second.into()),
        (31, CRTC_ID, 41),
    ];
    client.atomic(&items, 0x400, 0).unwrap();
    client.destroy_blob(mode).unwrap();
    let before = setup.worker.visible();
    let restored = setup.crash();
    assert_eq!(restored.lost, Vec::<String>::new());
    assert_eq!(restored.files, 1);
    assert_eq!(setup.worker.visible(), before);
    // The host holds nothing on its own.
    setup.crash();
    assert_eq!(setup.worker.visible(), before);
}

#[test]
fn a_call_cut_off_is_made_again() {
    for death in [Death::Before, Death::After] {
        let mut setup = Setup::new();
        let (client, _, second) = showing(&setup);
        setup.worker.die_at(ioctl::MODE_PAGE_FLIP, death);
        std::thread::scope(|scope| {
            let call = scope.spawn(|| client.flip(40, second, 5));
            let worker = setup.worker.clone();
            eventually("the worker is dead", || worker.state.lock().unwrap().dead);
            drvhost_port::Recovery::suspend(&*setup.device);
            setup.resume();
            assert_eq!(call.join().unwrap(), Ok(()));
        });
        assert_eq!(setup.worker.vblank(), 1, "{death:?}");
        assert_eq!(
            drm_event_vblank::read_from(&client.event().unwrap()).user_data,
            5
        );
        assert_eq!(client.event(), None);
        let shown = setup.worker.state.lock().unwrap().display.value(30, FB_ID);
        assert_eq!(shown, second.into());
    }
}

#[test]
fn a_flip_whose_event_came_is_done() {
    let mut setup = Setup::new();
    let (client, _, second) = showing(&setup);
    let death = Death::AfterEvent;
    setup.worker.die_at(ioctl::MODE_PAGE_FLIP, death);
    assert_eq!(client.flip(40, second, 5), Ok(()));
    setup.crash();
    assert!(client.event().is_some());
    assert_eq!(client.event(), None);
    assert_eq!(setup.worker.vblank(), 0, "the flip is not made again");
    let shown = setup.worker.state.lock().unwrap().display.value(30, FB_ID);
    assert_eq!(shown, second.into());
}

#[test]
fn an_owed_flip_event_is_delivered_once_and_sequences_go_on() {
    let mut setup = Setup::new();
    let (client, first, second) = showing(&setup);
    client.flip(40, second, 1).unwrap();
    setup.worker.vblank();
    let before = sequence(&client.event().unwrap());
    client.flip(40, first, 2).unwrap();
    let dead = setup.worker.clone();
    setup.crash();
    let event = client.event().unwrap();
    let flip = drm_event_vblank::read_from(&event);
    assert_eq!((flip.user_data, flip.crtc_id), (2, 40));
    assert!(sequence(&event) > before);
    assert!(flip.tv_sec > 0 || flip.tv_usec > 0);
    // The dead worker's own comes late.
    dead.vblank();
    assert_eq!(client.event(), None);
    let last = sequence(&event);
    client.flip(40, second, 3).unwrap();
    setup.worker.vblank();
    assert!(sequence(&client.event().unwrap()) > last);
    assert_eq!(
        setup
            .worker
            .expected
            .load(std::sync::atomic::Ordering::SeqCst),
        0
    );
}

#[test]
fn a_commit_sends_an_event_for_each_crtc() {
    let mut setup = Setup::new();
    let (client, first, second) = showing(&setup);
    client.set_crtc(41, second, &[51], 7).unwrap();
    let items = [(30, FB_ID, second.into()), (31, FB_ID, first.into())];
    client.atomic(&items, DRM_MODE_PAGE_FLIP_EVENT, 9).unwrap();
    setup.crash();
    let mut crtcs: Vec<u32> = std::iter::from_fn(|| client.event())
        .map(|event| drm_event_vblank::read_from(&event).crtc_id)
        .collect();
    crtcs.sort_unstable();
    assert_eq!(crtcs, [40, 41]);
}

#[test]
fn event_space_is_limited_and_comes_back_by_reading() {
    let setup = Setup::new();
    let (client, first, second) = showing(&setup);
    for round in 0..2 {
        for n in 0..128 {
            let fb = if n % 2 == 0 { first } else { second };
            assert_eq!(client.flip(40, fb, n), Ok(()), "round {round}, flip {n}");
            setup.worker.vblank();
        }
        assert_eq!(client.flip(40, first, 128), Err(-12));
        assert!(client.event().is_some());
        assert_eq!(client.flip(40, first, 129), Ok(()), "round {round}");
        setup.worker.vblank();
        while client.event().is_some() {}
    }
}

#[test]
fn fences_come_and_go_and_owed_ones_are_signalled() {
    let mut setup = Setup::new();
    let (client, first, _) = showing(&setup);
    let mut payload = support::client::commit(
        &[(30, FB_ID, first.into()), (40, OUT_FENCE_PTR, 0x1234)],
        0,
        0,
    );
    let bytes = payload.clone();
    assert_eq!(client.raw(ioctl::MODE_ATOMIC, &mut payload), -78);
    let answer = client.pass(ioctl::MODE_ATOMIC, &bytes, &[]);
    assert_eq!(answer.head.result, 0);
    assert_eq!((answer.notes[0].place, answer.notes[0].value), (1, 0x1234));
    let fence = answer.fds[0].as_fd();
    let signalled = |fence| {
        let mut poll = [rustix::event::PollFd::from_borrowed_fd(
            fence,
            rustix::event::PollFlags::IN,
        )];
        let now = rustix::time::Timespec::default();
        rustix::event::poll(&mut poll, Some(&now)).unwrap() == 1
    };
    assert!(!signalled(fence));
    // It goes back in with another commit.
    let items = [(30, FB_ID, u64::from(first)), (30, IN_FENCE_FD, 99)];
    let bytes = support::client::commit(&items, 0, 0);
    let answer = client.pass(ioctl::MODE_ATOMIC, &bytes, &[fence]);
    assert_eq!(answer.head.result, 0);
    let missing = client.pass(ioctl::MODE_ATOMIC, &bytes, &[]);
    assert_eq!(missing.head.result, -9);
    let null = std::fs::File::open("/dev/null").unwrap();
    let wrong = client.pass(ioctl::MODE_ATOMIC, &bytes, &[null.as_fd()]);
    assert_eq!(wrong.head.result, -22);
    setup.crash();
    assert!(signalled(fence));
}

#[test]
fn buffers_are_shared_between_files_and_survive() {
    let mut setup = Setup::new();
    let (a, b) = (setup.open(), setup.open());
    let dumb = a.create_dumb(16, 16).unwrap();
    let mut prime = drm_prime_handle {
        handle: dumb.handle,
        ..Default::default()
    };
    let bytes = drvhost_front::shadow::wire::payload(ioctl::PRIME_HANDLE_TO_FD, &prime, &[]);
    assert_eq!(a.raw(ioctl::PRIME_HANDLE_TO_FD, &mut bytes.clone()), -78);
    let answer = a.pass(ioctl::PRIME_HANDLE_TO_FD, &bytes, &[]);
    let fd = answer.fds[0].as_fd();
    prime.fd = 17;
    let bytes = drvhost_front::shadow::wire::payload(ioctl::PRIME_FD_TO_HANDLE, &prime, &[]);
    assert_eq!(
        b.pass(ioctl::PRIME_FD_TO_HANDLE, &bytes, &[fd]).head.result,
        0
    );
    let foreign = drvhost_channel::memory::sealed("foreign", 4096).unwrap();
    let refused = b.pass(ioctl::PRIME_FD_TO_HANDLE, &bytes, &[foreign.as_fd()]);
    assert_eq!(refused.head.result, -22);
    let flink = drm_gem_flink {
        handle: dumb.handle,
        name: 0,
    };
    assert_eq!(a.call(ioctl::GEM_FLINK, &flink, &[]).unwrap().name, 1);
    // The maker is gone, the other file's handle keeps the buffer.
    let before = setup.worker.visible().len();
    drop(a);
    eventually("the maker is closed", || {
        setup.worker.visible().len() < before
    });
    let before = setup.worker.visible();
    assert_eq!(setup.crash().lost, Vec::<String>::new());
    assert_eq!(setup.worker.visible(), before);
    drop(b);
    eventually("the buffer is freed", || {
        setup.device.describe().buffers == 0
    });
    assert_eq!(
        setup
            .front
            .accounts()
            .used(0, drvhost_front::quota::Kind::Memory),
        0
    );
}

#[test]
fn masters_and_magics_survive() {
    let mut setup = Setup::new();
    let (first, second, third) = (setup.open(), setup.open(), setup.open());
    let auth = drm_auth::default();
    let magic = second.call(ioctl::GET_MAGIC, &auth, &[]).unwrap();
    first.call(ioctl::AUTH_MAGIC, &magic, &[]).unwrap();
    first.raw(ioctl::DROP_MASTER, &mut []);
    assert_eq!(third.raw(ioctl::SET_MASTER, &mut []), 0);
    let before = setup.worker.visible();
    assert_eq!(setup.crash().lost, Vec::<String>::new());
    assert_eq!(setup.worker.visible(), before);
    third.raw(ioctl::DROP_MASTER, &mut []);
    let before = setup.worker.visible();
    setup.crash();
    assert_eq!(setup.worker.visible(), before, "nobody is master");
}

#[test]
fn a_lease_is_a_file_that_survives() {
    let mut setup = Setup::new();
    let lessor = setup.open();
    let lease = drm_mode_create_lease {
        object_count: 2,
        ..Default::default()
    };
    let objects = drvhost_front::shadow::wire::words(&[40, 50]);
    let bytes = drvhost_front::shadow::wire::payload(ioctl::MODE_CREATE_LEASE, &lease, &[&objects]);
    let mut answer = lessor.pass(ioctl::MODE_CREATE_LEASE, &bytes, &[]);
    assert_eq!(answer.head.result, 0);
    let lessee = Client::attach(setup.dir.path(), answer.fds.remove(0)).unwrap();
    lessee.cap(2, 1).unwrap();
    lessee.create_dumb(8, 8).unwrap();
    let before = setup.worker.visible();
    assert_eq!(setup.crash().lost, Vec::<String>::new());
    assert_eq!(setup.worker.visible(), before);
    drop(lessee);
    eventually("the lease is closed", || {
        setup.device.describe().files.len() == 1
    });
}

#[test]
fn a_removed_device_says_so() {
    let setup = Setup::new();
    let (client, _, second) = showing(&setup);
    let dumb = client.create_dumb(16, 16).unwrap();
    let map = drm_mode_map_dumb {
        handle: dumb.handle,
        ..Default::default()
    };
    let map = client.call(ioctl::MODE_MAP_DUMB, &map, &[]).unwrap();
    let memory = client.mmap(map.offset, dumb.size).fds.remove(0);
    client.flip(40, second, 1).unwrap();
    drvhost_port::Recovery::remove(&*setup.device);
    assert!(client.hung_up());
    assert_eq!(client.event(), None);
    assert_eq!(client.flip(40, second, 1), Err(-19));
    assert_eq!(client.mmap(map.offset, dumb.size).head.result, -19);
    assert_eq!(Client::list(setup.dir.path()), "");
    let size = drvhost_channel::memory::verify(&memory).unwrap();
    assert_eq!(size, 4096);
    let render = Client::open(setup.dir.path(), "renderD128");
    assert_eq!(render.unwrap_err(), -2);
}

#[test]
fn blocked_calls_leave_the_ring_free_and_survive() {
    let mut setup = Setup::new();
    let client = setup.open();
    setup.worker.hold(true);
    std::thread::scope(|scope| {
        let waits: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let wait = drm_wait_vblank_request::default();
                    let mut bytes = [0; 24];
                    wait.write_to(&mut bytes);
                    client.raw(ioctl::WAIT_VBLANK, &mut bytes)
                })
            })
            .collect();
        for _ in 0..10 {
            client.create_dumb(8, 8).unwrap();
        }
        setup.crash();
        for wait in waits {
            assert_eq!(wait.join().unwrap(), 0);
        }
    });
}

#[test]
fn a_screenshot_shows_the_framebuffer() {
    let setup = Setup::new();
    assert!(setup.device.screenshot().is_err());
    let (client, _, _) = showing(&setup);
    let map = drm_mode_map_dumb {
        handle: 1,
        ..Default::default()
    };
    let map = client.call(ioctl::MODE_MAP_DUMB, &map, &[]).unwrap();
    let file = client.mmap(map.offset, 4096).fds.remove(0);
    rustix::io::pwrite(&file, &[1, 2, 3, 0], 4).unwrap();
    setup.worker.kill();
    let picture = setup.device.screenshot().unwrap();
    assert_eq!((picture.width, picture.height), (64, 64));
    assert_eq!(picture.rgb[..6], [0, 0, 0, 3, 2, 1]);
}
