// SPDX-License-Identifier: MIT
//! Atomic commits.

use super::client::*;
use super::gpu::*;
use crate::kms::blob::bytes_of;
use crate::kms::property::*;
use crate::uapi::*;
use drvhost_abi::Errno;
use drvhost_abi::tables::*;

const SET: u32 = DRM_MODE_ATOMIC_ALLOW_MODESET;
const TEST: u32 = DRM_MODE_ATOMIC_TEST_ONLY;
const LATER: u32 = DRM_MODE_ATOMIC_NONBLOCK;
const EVENT: u32 = DRM_MODE_PAGE_FLIP_EVENT;

struct Scene {
    rig: Rig,
    client: Client,
    crtc: u32,
    plane: u32,
    overlay: u32,
    connector: u32,
    fb: u32,
    mode: u32,
}

fn scene() -> Scene {
    let rig = Rig::new();
    let client = rig.open().atomic_client();
    let (connectors, crtcs) = client.resources();
    let planes = client.planes();
    let (fb, _) = client.fb(&rig, 64, 32, XR24, 0x0011_2233);
    let mode = client.blob(bytes_of(&[small_mode()])).unwrap();
    Scene {
        crtc: crtcs[0],
        plane: planes[0],
        overlay: planes[2],
        connector: connectors[0],
        rig,
        client,
        fb,
        mode,
    }
}

impl Scene {
    fn on(&self) -> Vec<(u32, u32, u64)> {
        let full = [(64u64, 32u64)][0];
        vec![
            (self.connector, CRTC_ID, self.crtc.into()),
            (self.crtc, MODE_ID, self.mode.into()),
            (self.crtc, ACTIVE, 1),
            (self.plane, FB_ID, self.fb.into()),
            (self.plane, CRTC_ID, self.crtc.into()),
            (self.plane, CRTC_W, full.0),
            (self.plane, CRTC_H, full.1),
            (self.plane, SRC_W, full.0 << 16),
            (self.plane, SRC_H, full.1 << 16),
        ]
    }

    fn lit() -> Scene {
        let scene = scene();
        scene.client.atomic(SET, &scene.on()).unwrap();
        // The commit is on the screen.
        scene.rig.host.step(FRAME);
        scene
    }
}

#[test]
fn a_commit_sets_everything_or_nothing() {
    let scene = scene();
    let Scene { client, rig, .. } = &scene;
    assert_eq!(
        client.atomic(0, &scene.on()),
        Err(Errno::EINVAL),
        "a mode set"
    );
    client.atomic(SET | TEST, &scene.on()).unwrap();
    assert_eq!(rig.screens()[0].commits, 0, "only tested");
    client.atomic(SET, &scene.on()).unwrap();
    assert_eq!(rig.screens()[0].pixels[100], 0x0011_2233);
    assert_eq!(client.value(scene.crtc, MODE_ID), Some(scene.mode.into()));
    assert_eq!(client.value(scene.plane, FB_ID), Some(scene.fb.into()));
    assert_eq!(client.value(scene.plane, IN_FENCE_FD), Some(u64::MAX));
    let off = [
        (scene.connector, CRTC_ID, 0),
        (scene.crtc, MODE_ID, 0),
        (scene.crtc, ACTIVE, 0),
        (scene.plane, FB_ID, 0),
        (scene.plane, CRTC_ID, 0),
    ];
    client.atomic(SET, &off).unwrap();
    assert!(!rig.screens()[0].active);
}

#[test]
fn errors_are_linux_s() {
    let scene = Scene::lit();
    let Scene { client, .. } = &scene;
    let (crtc, plane, overlay) = (scene.crtc, scene.plane, scene.overlay);
    let fb = u64::from(scene.fb);
    let short = client.blob(vec![0; 5]).unwrap();
    let dark = client
        .blob(bytes_of(&[drm_mode_modeinfo::default()]))
        .unwrap();
    for (what, flags, props, expected) in [
        ("no object", 0, vec![(9, FB_ID, 0)], Errno::ENOENT),
        ("no property", 0, vec![(plane, ACTIVE, 0)], Errno::ENOENT),
        ("immutable", 0, vec![(plane, TYPE, 0)], Errno::EINVAL),
        ("range", 0, vec![(crtc, ACTIVE, 2)], Errno::EINVAL),
        ("no framebuffer", 0, vec![(plane, FB_ID, 5)], Errno::EINVAL),
        (
            "not a CRTC",
            0,
            vec![(plane, CRTC_ID, plane.into())],
            Errno::EINVAL,
        ),
        ("fb alone", 0, vec![(overlay, FB_ID, fb)], Errno::EINVAL),
        (
            "crtc alone",
            0,
            vec![(overlay, CRTC_ID, crtc.into())],
            Errno::EINVAL,
        ),
        ("dpms", 0, vec![(scene.connector, DPMS, 3)], Errno::EINVAL),
        (
            "short blob",
            SET,
            vec![(crtc, MODE_ID, short.into())],
            Errno::EINVAL,
        ),
        (
            "bad mode",
            SET,
            vec![(crtc, MODE_ID, dark.into())],
            Errno::EINVAL,
        ),
        (
            "active, no mode",
            SET,
            vec![(crtc, MODE_ID, 0)],
            Errno::EINVAL,
        ),
        (
            "unfed",
            SET,
            vec![(scene.connector, CRTC_ID, 0)],
            Errno::EINVAL,
        ),
        ("scaled", 0, vec![(plane, SRC_W, 32 << 16)], Errno::ERANGE),
        ("outside", 0, vec![(plane, SRC_X, 1 << 16)], Errno::ENOSPC),
        (
            "overflow",
            0,
            vec![(plane, CRTC_X, i32::MAX as u64)],
            Errno::ERANGE,
        ),
        ("fence", 0, vec![(plane, IN_FENCE_FD, 3)], Errno::EINVAL),
        (
            "gamma",
            0,
            vec![(crtc, GAMMA_LUT, short.into())],
            Errno::EINVAL,
        ),
        (
            "clips",
            0,
            vec![(plane, FB_DAMAGE_CLIPS, short.into())],
            Errno::EINVAL,
        ),
        ("power", 0, vec![(crtc, ACTIVE, 0)], Errno::EINVAL),
        ("flags", 1 << 20, vec![], Errno::EINVAL),
        (
            "test and event",
            TEST | EVENT,
            vec![(crtc, ACTIVE, 1)],
            Errno::EINVAL,
        ),
        ("event for nothing", EVENT, vec![], Errno::EINVAL),
    ] {
        assert_eq!(client.atomic(flags, &props), Err(expected), "{what}");
    }
    let plain = scene.rig.open();
    assert_eq!(plain.atomic(0, &[]), Err(Errno::EACCES), "no master");
}

#[test]
fn flips_take_their_turn() {
    let scene = Scene::lit();
    let Scene { client, rig, .. } = &scene;
    let flip = |fb: u32, user_data| {
        let props = [(scene.plane, FB_ID, fb.into())];
        client.atomic_with(LATER | EVENT, &props, user_data, &[])
    };
    let (other, _) = client.fb(rig, 64, 32, XR24, 0x0044_5566);
    flip(other, 1).unwrap();
    assert_eq!(flip(scene.fb, 2), Err(Errno::EBUSY));
    assert_eq!(
        client.flip(scene.crtc, scene.fb, EVENT, 2),
        Err(Errno::EBUSY)
    );
    assert!(rig.events(client.cookie).is_empty());
    rig.drawn();
    rig.host.step(FRAME);
    rig.host.wait_until(|seen| seen.events.len() == 1);
    let event = drm_event_vblank::read_from(&rig.events(client.cookie)[0]);
    assert_eq!(event.base.type_, DRM_EVENT_FLIP_COMPLETE);
    assert_eq!((event.user_data, event.crtc_id), (1, scene.crtc));
    assert_eq!(
        (event.sequence, event.tv_sec, event.tv_usec),
        (1002, 1, 20000)
    );
    flip(scene.fb, 2).unwrap();
    // A closing CRTC lets nobody wait.
    let off = [(scene.crtc, ACTIVE, 0)];
    super::modeset::stepping(rig, || client.atomic(SET, &off)).unwrap();
    assert_eq!(rig.events(client.cookie).len(), 2);
}

#[test]
fn fences_go_in_and_out() {
    let scene = Scene::lit();
    let Scene { client, rig, .. } = &scene;
    let (other, _) = client.fb(rig, 64, 32, XR24, 0x0044_5566);
    let id = rig.host.make_fence();
    let fence = ObjectRef {
        kind: ObjectKind::Fence as u32,
        place: 1,
        id,
    };
    let props = [
        (scene.plane, FB_ID, other.into()),
        (scene.plane, IN_FENCE_FD, 7),
        (scene.crtc, OUT_FENCE_PTR, 0x1000),
    ];
    let out = client.atomic_with(LATER, &props, 0, &[fence]).unwrap();
    assert_eq!((out.len(), out[0].place), (1, 2));
    let again = [(scene.plane, FB_ID, scene.fb.into())];
    rig.host.step(5 * FRAME);
    assert_eq!(
        client.atomic(LATER, &again),
        Err(Errno::EBUSY),
        "the fence is open"
    );
    assert_eq!(rig.screens()[0].pixels[0], 0x0011_2233);
    rig.host.signal(id);
    let out = out[0].id;
    rig.host
        .step_until(FRAME, |seen| seen.signalled.contains(&out));
    assert_eq!(rig.screens()[0].pixels[0], 0x0044_5566);
    // A blocking commit waits for its fence itself.
    let id = rig.host.make_fence();
    rig.host.signal(id);
    let fence = ObjectRef { id, ..fence };
    let props = [
        (scene.plane, FB_ID, scene.fb.into()),
        (scene.plane, IN_FENCE_FD, 7),
    ];
    super::modeset::stepping(rig, || client.atomic_with(0, &props, 0, &[fence])).unwrap();
    assert_eq!(rig.screens()[0].pixels[0], 0x0011_2233);
    // The thread that waited for the first may still be on its way out.
    rig.host.wait_until(|seen| seen.live_fences() == 0);
}

#[test]
fn clips_limit_what_is_drawn() {
    let scene = Scene::lit();
    let Scene { client, rig, .. } = &scene;
    let (other, _) = client.fb(rig, 64, 32, XR24, 0x0044_5566);
    let clip = drm_mode_rect {
        x1: 1,
        y1: 2,
        x2: 3,
        y2: 4,
    };
    let clips = client.blob(bytes_of(&[clip])).unwrap();
    let props = [
        (scene.plane, FB_ID, other.into()),
        (scene.plane, FB_DAMAGE_CLIPS, clips.into()),
    ];
    client.atomic(LATER, &props).unwrap();
    rig.drawn();
    let screen = &rig.screens()[0];
    assert_eq!(screen.damage, [crate::rect::Rect::new(1, 2, 2, 2)]);
    assert_eq!(screen.pixels[2 * 64 + 1], 0x0044_5566);
    assert_eq!(screen.pixels[0], 0x0011_2233);
}

#[test]
fn blobs_belong_to_their_makers() {
    let scene = scene();
    let Scene { client, rig, .. } = &scene;
    let other = rig.open();
    let destroy = |client: &Client, blob_id| {
        let arg = drm_mode_destroy_blob { blob_id };
        client.call(ioctl::MODE_DESTROYPROPBLOB, arg).map(|_| ())
    };
    assert_eq!(destroy(&other, scene.mode), Err(Errno::EPERM));
    assert_eq!(destroy(&other, 77), Err(Errno::ENOENT));
    client.atomic(SET, &scene.on()).unwrap();
    assert_eq!(destroy(client, scene.mode), Ok(()));
    assert_eq!(
        destroy(client, scene.mode),
        Err(Errno::EPERM),
        "in use, not ours"
    );
    assert_eq!(client.blob(vec![]), Err(Errno::EINVAL));
    let arg = drm_mode_get_blob {
        blob_id: scene.mode,
        ..Default::default()
    };
    assert_eq!(
        client.call(ioctl::MODE_GETPROPBLOB, arg).unwrap().length,
        68
    );
}
