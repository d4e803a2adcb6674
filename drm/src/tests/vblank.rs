// SPDX-License-Identifier: MIT
//! Waiting for vertical blanks, and flips.

use super::client::*;
use super::gpu::*;
use super::modeset::{lit, stepping};
use crate::uapi::drm_vblank_seq_type::*;
use crate::uapi::*;
use drvhost_abi::Errno;

fn wait(client: &Client, type_: u32, sequence: u32) -> Result<drm_wait_vblank_reply, Errno> {
    let request = drm_wait_vblank_request {
        type_,
        sequence,
        signal: 42,
    };
    let mut argument = vec![0; 24];
    request.write_to(&mut argument);
    let reply = client.raw(ioctl::WAIT_VBLANK, argument, &[], None, false);
    reply
        .result
        .map(|_| drm_wait_vblank_reply::read_from(&reply.payload))
}

#[test]
fn blocking_waits_return_at_the_blank() {
    let rig = Rig::new();
    let (client, _, _, _) = lit(&rig);
    let now = wait(&client, _DRM_VBLANK_RELATIVE, 0).unwrap();
    assert_eq!((now.sequence, now.tval_sec, now.tval_usec), (1000, 1, 0));
    let next = stepping(&rig, || wait(&client, _DRM_VBLANK_RELATIVE, 2)).unwrap();
    assert!(next.sequence >= 1002);
    let past = wait(&client, _DRM_VBLANK_ABSOLUTE, 1001).unwrap();
    assert!(past.sequence >= next.sequence);
    let missed = _DRM_VBLANK_ABSOLUTE | _DRM_VBLANK_NEXTONMISS;
    let next = stepping(&rig, || wait(&client, missed, 1001)).unwrap();
    assert!(next.sequence > past.sequence);
    for (what, type_, expected) in [
        ("signal", _DRM_VBLANK_SIGNAL, Errno::EINVAL),
        ("unknown", 1 << 7, Errno::EINVAL),
        (
            "off",
            _DRM_VBLANK_RELATIVE | _DRM_VBLANK_SECONDARY,
            Errno::EINVAL,
        ),
        ("no CRTC", _DRM_VBLANK_RELATIVE | 5 << 1, Errno::EINVAL),
    ] {
        assert_eq!(wait(&client, type_, 0).unwrap_err(), expected, "{what}");
    }
    let far = || wait(&client, _DRM_VBLANK_RELATIVE, 1 << 20);
    assert_eq!(
        stepping(&rig, far).unwrap_err(),
        Errno::EBUSY,
        "three seconds"
    );
}

#[test]
fn events_come_at_their_blank_and_once() {
    let rig = Rig::new();
    let (client, crtc, _, _) = lit(&rig);
    let event = _DRM_VBLANK_RELATIVE | _DRM_VBLANK_EVENT;
    assert_eq!(wait(&client, event, 2).unwrap().sequence, 1002);
    let queue = drm_crtc_queue_sequence {
        crtc_id: crtc,
        flags: DRM_CRTC_SEQUENCE_RELATIVE,
        sequence: 1,
        user_data: 7,
    };
    let queued = client.call(ioctl::CRTC_QUEUE_SEQUENCE, queue).unwrap();
    assert_eq!(queued.sequence, 1001);
    rig.host.step(FRAME);
    rig.host.wait_until(|seen| !seen.events.is_empty());
    let first = drm_event_crtc_sequence::read_from(&rig.events(client.cookie)[0]);
    assert_eq!((first.user_data, first.sequence), (7, 1001));
    assert_eq!(first.time_ns, 1_010_000_000);
    rig.host.step(FRAME);
    rig.host.wait_until(|seen| seen.events.len() == 2);
    let second = drm_event_vblank::read_from(&rig.events(client.cookie)[1]);
    assert_eq!((second.user_data, second.sequence), (42, 1002));
    rig.host.step(10 * FRAME);
    let arg = drm_crtc_get_sequence {
        crtc_id: crtc,
        ..Default::default()
    };
    let now = client.call(ioctl::CRTC_GET_SEQUENCE, arg).unwrap();
    assert_eq!(
        (now.active, now.sequence, now.sequence_ns),
        (1, 1012, 1_120_000_000)
    );
    assert_eq!(rig.events(client.cookie).len(), 2);
}

#[test]
fn too_many_events_are_refused() {
    let rig = Rig::new();
    let (client, _, _, _) = lit(&rig);
    let event = _DRM_VBLANK_RELATIVE | _DRM_VBLANK_EVENT;
    for _ in 0..128 {
        wait(&client, event, 5).unwrap();
    }
    assert_eq!(wait(&client, event, 5).unwrap_err(), Errno::ENOMEM);
}

#[test]
fn stopping_a_crtc_lets_nobody_wait() {
    let rig = Rig::new();
    let (client, crtc, _, _) = lit(&rig);
    wait(&client, _DRM_VBLANK_RELATIVE | _DRM_VBLANK_EVENT, 100).unwrap();
    client.set_crtc(crtc, 0, None, &[]).unwrap();
    assert_eq!(rig.events(client.cookie).len(), 1);
    let off = wait(&client, _DRM_VBLANK_RELATIVE, 0);
    assert_eq!(off.unwrap_err(), Errno::EINVAL);
}

#[test]
fn page_flips() {
    let rig = Rig::new();
    let (client, crtc, fb, _) = lit(&rig);
    let (other, _) = client.fb(&rig, 64, 32, XR24, 0x0044_5566);
    let (small, _) = client.fb(&rig, 32, 32, XR24, 0);
    let (thin, _) = client.fb(&rig, 64, 32, RG16, 0);
    rig.host.step(FRAME);
    let event = DRM_MODE_PAGE_FLIP_EVENT;
    let (_, crtcs) = client.resources();
    for (what, result, expected) in [
        ("flags", client.flip(crtc, fb, 1 << 9, 0), Errno::EINVAL),
        ("target", client.flip(crtc, fb, 4, 0), Errno::EINVAL),
        ("no CRTC", client.flip(5, fb, 0, 0), Errno::ENOENT),
        ("no framebuffer", client.flip(crtc, 5, 0, 0), Errno::ENOENT),
        ("dark", client.flip(crtcs[1], fb, 0, 0), Errno::EBUSY),
        ("small", client.flip(crtc, small, 0, 0), Errno::ENOSPC),
        ("format", client.flip(crtc, thin, 0, 0), Errno::EINVAL),
    ] {
        assert_eq!(result, Err(expected), "{what}");
    }
    client.flip(crtc, other, event, 9).unwrap();
    assert_eq!(client.flip(crtc, fb, event, 10), Err(Errno::EBUSY));
    rig.drawn();
    rig.host.step(FRAME);
    rig.host.wait_until(|seen| seen.events.len() == 1);
    // Without waiting it is done at once.
    let now = DRM_MODE_PAGE_FLIP_ASYNC | event;
    client.flip(crtc, fb, now, 11).unwrap();
    assert_eq!(rig.events(client.cookie).len(), 2);
    // What a closed file waited for is not sent.
    client.flip(crtc, other, event, 12).unwrap();
    drop(client);
    rig.host.step(FRAME);
    let next = rig.open();
    let (connectors, crtcs) = next.resources();
    let (fb, _) = next.fb(&rig, 64, 32, XR24, 1);
    let mode = Some(small_mode());
    let show = || next.set_crtc(crtcs[0], fb, mode, &connectors[..1]);
    stepping(&rig, show).unwrap();
    next.flip(crtcs[0], fb, event, 13).unwrap();
    rig.drawn();
    rig.host.step(FRAME);
    rig.host.wait_until(|seen| seen.events.len() == 3);
    let last = drm_event_vblank::read_from(&rig.events(next.cookie)[0]);
    assert_eq!(last.user_data, 13);
}

#[test]
fn flips_do_not_wait_for_the_drawing() {
    let rig = Rig::new();
    let (client, crtc, fb, _) = lit(&rig);
    let (other, _) = client.fb(&rig, 64, 32, XR24, 0x0044_5566);
    rig.host.step(FRAME);
    let screens = rig.screens();
    // The device can't draw now, and the call returns all the same.
    client
        .flip(crtc, other, DRM_MODE_PAGE_FLIP_EVENT, 1)
        .unwrap();
    rig.host.step(3 * FRAME);
    assert_eq!(client.flip(crtc, fb, 0, 2), Err(Errno::EBUSY), "not drawn");
    assert!(rig.events(client.cookie).is_empty());
    assert_eq!(screens[0].pixels[0], 0x0011_2233);
    drop(screens);
    rig.drawn();
    assert_eq!(rig.screens()[0].pixels[0], 0x0044_5566);
    assert!(rig.events(client.cookie).is_empty(), "not before the blank");
    // A blocking commit waits for it.
    let mode = Some(tiny_mode());
    let (connectors, _) = client.resources();
    let (small, _) = client.fb(&rig, 32, 32, XR24, 0x0077_8899);
    let show = || client.set_crtc(crtc, small, mode, &connectors[..1]);
    stepping(&rig, show).unwrap();
    let event = drm_event_vblank::read_from(&rig.events(client.cookie)[0]);
    assert_eq!(event.user_data, 1);
    assert!(event.sequence >= 1005, "{}", event.sequence);
    assert_eq!(rig.screens()[0].pixels[0], 0x0077_8899);
}
