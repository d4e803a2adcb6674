// SPDX-License-Identifier: MIT
//! Legacy mode sets, planes, cursors, gamma, framebuffers: pixels and error numbers.

use super::client::*;
use super::gpu::*;
use crate::rect::Rect;
use crate::uapi::*;
use drvhost_abi::Errno;

/// A master with a picture of one colour on the first CRTC.
pub fn lit(rig: &Rig) -> (Client, u32, u32, Pixels) {
    let client = rig.open();
    client.cap(DRM_CLIENT_CAP_UNIVERSAL_PLANES, 1).unwrap();
    let (connectors, crtcs) = client.resources();
    let (fb, pixels) = client.fb(rig, 64, 32, XR24, 0x0011_2233);
    let mode = Some(small_mode());
    client
        .set_crtc(crtcs[0], fb, mode, &connectors[..1])
        .unwrap();
    (client, crtcs[0], fb, pixels)
}

#[test]
fn a_mode_set_shows_pixels() {
    let rig = Rig::new();
    let (client, crtc, fb, _) = lit(&rig);
    {
        let screen = &rig.screens()[0];
        assert!(screen.active && screen.size == (64, 32));
        assert!(screen.pixels.iter().all(|pixel| *pixel == 0x0011_2233));
    }
    let arg = drm_mode_crtc {
        crtc_id: crtc,
        ..Default::default()
    };
    let now = client.call(ioctl::MODE_GETCRTC, arg).unwrap();
    assert_eq!((now.fb_id, now.mode_valid, now.gamma_size), (fb, 1, 256));
    assert_eq!(now.mode, small_mode());
    client.set_crtc(crtc, 0, None, &[]).unwrap();
    assert!(!rig.screens()[0].active);
}

#[test]
fn mode_set_errors() {
    let rig = Rig::new();
    let (client, crtc, fb, _) = lit(&rig);
    let (connectors, _) = client.resources();
    let mode = small_mode();
    let invalid = drm_mode_modeinfo { clock: 0, ..mode };
    let wide = drm_mode_modeinfo {
        hdisplay: 65,
        ..mode
    };
    let one = &connectors[..1];
    for (what, result, expected) in [
        (
            "no CRTC",
            client.set_crtc(1, fb, Some(mode), one),
            Errno::ENOENT,
        ),
        (
            "no framebuffer",
            client.set_crtc(crtc, 77, Some(mode), one),
            Errno::ENOENT,
        ),
        (
            "no connector",
            client.set_crtc(crtc, fb, Some(mode), &[7]),
            Errno::ENOENT,
        ),
        (
            "none",
            client.set_crtc(crtc, fb, Some(mode), &[]),
            Errno::EINVAL,
        ),
        (
            "many",
            client.set_crtc(crtc, fb, Some(mode), &[one[0]; 3]),
            Errno::EINVAL,
        ),
        (
            "without mode",
            client.set_crtc(crtc, 0, None, one),
            Errno::EINVAL,
        ),
        (
            "bad mode",
            client.set_crtc(crtc, fb, Some(invalid), one),
            Errno::EINVAL,
        ),
        (
            "too wide",
            client.set_crtc(crtc, fb, Some(wide), one),
            Errno::ENOSPC,
        ),
    ] {
        assert_eq!(result, Err(expected), "{what}");
    }
    let arg = drm_mode_crtc {
        crtc_id: crtc,
        x: 0x10000,
        ..Default::default()
    };
    assert_eq!(client.call(ioctl::MODE_SETCRTC, arg), Err(Errno::ERANGE));
}

#[test]
fn connectors_are_taken_from_other_crtcs() {
    let rig = Rig::new();
    let (client, _, fb, _) = lit(&rig);
    let (connectors, crtcs) = client.resources();
    let mode = Some(small_mode());
    client
        .set_crtc(crtcs[1], fb, mode, &connectors[..1])
        .unwrap();
    let screens = rig.screens();
    assert!(!screens[0].active && screens[1].active);
}

fn set_plane(
    client: &Client,
    plane: u32,
    crtc: u32,
    fb: u32,
    dst: (i32, i32, u32, u32),
    src: (u32, u32, u32, u32),
) -> Result<(), Errno> {
    let arg = drm_mode_set_plane {
        plane_id: plane,
        crtc_id: crtc,
        fb_id: fb,
        crtc_x: dst.0,
        crtc_y: dst.1,
        crtc_w: dst.2,
        crtc_h: dst.3,
        src_x: src.0 << 16,
        src_y: src.1 << 16,
        src_w: src.2 << 16,
        src_h: src.3 << 16,
        ..Default::default()
    };
    client.call(ioctl::MODE_SETPLANE, arg).map(|_| ())
}

/// Steps the clock while `f` runs in a thread of its own: it may block for a vertical blank.
pub fn stepping<T: Send>(rig: &Rig, f: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let done = scope.spawn(f);
        rig.host.step_until(FRAME, |_| done.is_finished());
        done.join().unwrap()
    })
}

#[test]
fn planes_are_composed() {
    let rig = Rig::new();
    let (client, crtc, _, _) = lit(&rig);
    let planes = client.planes();
    let (red, _) = client.fb(&rig, 16, 16, RG16, 0xf800);
    // Half of it is past the left edge; the damage is where it is seen.
    let put = |dst, src| stepping(&rig, || set_plane(&client, planes[2], crtc, red, dst, src));
    put((-8, 4, 16, 16), (0, 0, 16, 16)).unwrap();
    {
        let screen = &rig.screens()[0];
        assert_eq!(screen.damage, [Rect::new(0, 4, 8, 16)]);
        assert_eq!(screen.pixels[64 * 4 + 7], 0x00ff_0000);
        assert_eq!(screen.pixels[64 * 4 + 8], 0x0011_2233);
        assert_eq!(screen.pixels[64 * 3], 0x0011_2233);
    }
    for (what, dst, src, expected) in [
        ("scaled", (0, 0, 8, 16), (0, 0, 16, 16), Errno::ERANGE),
        ("outside", (0, 0, 16, 16), (1, 0, 16, 16), Errno::ENOSPC),
        ("far", (i32::MAX, 0, 16, 16), (0, 0, 16, 16), Errno::ERANGE),
        ("huge", (0, 0, 1 << 31, 16), (0, 0, 16, 16), Errno::ERANGE),
    ] {
        assert_eq!(put(dst, src), Err(expected), "{what}");
    }
    let off = || set_plane(&client, planes[2], 0, 0, (0, 0, 0, 0), (0, 0, 0, 0));
    stepping(&rig, off).unwrap();
    assert_eq!(rig.screens()[0].pixels[64 * 4], 0x0011_2233);
    // The first plane must cover its CRTC.
    let half = || set_plane(&client, planes[0], crtc, red, (0, 0, 8, 8), (0, 0, 8, 8));
    assert_eq!(stepping(&rig, half), Err(Errno::EINVAL));
}

#[test]
fn alpha_is_premultiplied() {
    let rig = Rig::new();
    let (client, crtc, _, _) = lit(&rig);
    let planes = client.planes();
    let (veil, _) = client.fb(&rig, 8, 8, AR24, 0x8040_0000);
    let put = || set_plane(&client, planes[2], crtc, veil, (0, 0, 8, 8), (0, 0, 8, 8));
    stepping(&rig, put).unwrap();
    // 0x11 * 127 / 255 rounds to 8, and so on.
    assert_eq!(rig.screens()[0].pixels[0], 0x0048_1119);
}

#[test]
fn cursors_move_without_waiting() {
    let rig = Rig::new();
    let (client, crtc, _, _) = lit(&rig);
    let handle = client.dumb(4, 4, 32);
    client.map(&rig, &handle).fill(0xffff_ffff, 4);
    let cursor = |flags, crtc_id, x, y, handle| {
        let arg = drm_mode_cursor {
            flags,
            crtc_id,
            x,
            y,
            width: 4,
            height: 4,
            handle,
        };
        client.call(ioctl::MODE_CURSOR, arg).map(|_| ())
    };
    cursor(DRM_MODE_CURSOR_BO, crtc, 0, 0, handle.handle).unwrap();
    cursor(DRM_MODE_CURSOR_MOVE, crtc, 62, 10, 0).unwrap();
    {
        let screen = &rig.screens()[0];
        assert_eq!(screen.pixels[10 * 64 + 62], 0x00ff_ffff);
        assert_eq!(screen.pixels[0], 0x0011_2233, "moved away");
        assert_eq!(
            screen.damage,
            [Rect::new(0, 0, 4, 4), Rect::new(62, 10, 2, 4)]
        );
    }
    let (_, crtcs) = client.resources();
    for (result, expected) in [
        (cursor(0, crtc, 0, 0, 0), Errno::EINVAL),
        (cursor(4, crtc, 0, 0, 0), Errno::EINVAL),
        (cursor(1, 7, 0, 0, 0), Errno::ENOENT),
        (cursor(1, crtcs[1], 0, 0, 0), Errno::ENXIO),
        (cursor(1, crtc, 0, 0, 99), Errno::ENOENT),
    ] {
        assert_eq!(result, Err(expected));
    }
    cursor(DRM_MODE_CURSOR_BO, crtc, 0, 0, 0).unwrap();
    assert_eq!(rig.screens()[0].pixels[10 * 64 + 62], 0x0011_2233);
    // A cursor goes with the file that set it.
    cursor(DRM_MODE_CURSOR_BO, crtc, 0, 0, handle.handle).unwrap();
    assert_eq!(rig.screens()[0].pixels[10 * 64 + 62], 0x00ff_ffff);
    drop(client);
    assert_eq!(rig.screens()[0].pixels[10 * 64 + 62], 0);
    assert_eq!(rig.host.seen().live_buffers(), 0);
}

#[test]
fn gamma_is_applied() {
    let rig = Rig::new();
    let (client, crtc, _, _) = lit(&rig);
    let lut = |size: u32, crtc_id| drm_mode_crtc_lut {
        crtc_id,
        gamma_size: size,
        ..Default::default()
    };
    let ramp = |f: fn(u16) -> u16| bytes(&(0..256).map(f).collect::<Vec<u16>>());
    let arrays = [ramp(|i| (255 - i) << 8), ramp(|i| i << 8), ramp(|_| 0)];
    let set = |arg, arrays: &[Vec<u8>]| client.full(ioctl::MODE_SETGAMMA, arg, arrays).0.result;
    assert_eq!(set(lut(256, crtc), &arrays), Ok(0));
    assert_eq!(rig.screens()[0].pixels[0], 0x00ee_2200);
    let small = [vec![0; 4], vec![0; 4], vec![0; 4]];
    assert_eq!(set(lut(2, crtc), &small), Err(Errno::EINVAL));
    assert_eq!(set(lut(256, 3), &arrays), Err(Errno::ENOENT));
    let room = [vec![0; 512], vec![0; 512], vec![0; 512]];
    let (reply, _) = client.full(ioctl::MODE_GETGAMMA, lut(256, crtc), &room);
    assert_eq!(reply.payload[8..], arrays.concat());
}

#[test]
fn framebuffers_end_as_their_kind_of_end_says() {
    let rig = Rig::new();
    let (client, crtc, fb, _) = lit(&rig);
    let close = |fb_id| {
        let arg = drm_mode_closefb { fb_id, pad: 0 };
        client.call(ioctl::MODE_CLOSEFB, arg).map(|_| ())
    };
    let shown = || {
        let arg = drm_mode_crtc {
            crtc_id: crtc,
            ..Default::default()
        };
        client.call(ioctl::MODE_GETCRTC, arg).unwrap().fb_id
    };
    assert_eq!(fb, crate::kms::registry::CLIENT_FIRST);
    close(fb).unwrap();
    assert_eq!(close(fb), Err(Errno::ENOENT));
    assert_eq!(shown(), fb, "it stays on the screen");
    let (other, _) = client.fb(&rig, 64, 32, XR24, 5);
    assert_ne!(other, fb, "its number is still taken");
    let (connectors, _) = client.resources();
    let swap = || client.set_crtc(crtc, other, Some(small_mode()), &connectors[..1]);
    stepping(&rig, swap).unwrap();
    client.call(ioctl::MODE_RMFB, other).unwrap();
    assert_eq!(client.call(ioctl::MODE_RMFB, other), Err(Errno::ENOENT));
    assert_eq!(shown(), 0, "it is taken off");
    assert_eq!(rig.screens()[0].pixels[0], 0, "nothing is black");
}

#[test]
fn dirty_parts_are_drawn_again() {
    let rig = Rig::new();
    let (client, _, fb, pixels) = lit(&rig);
    pixels.set(0, 0x00ff_ffff);
    pixels.set(64 * 2 + 3, 0x00aa_aaaa);
    assert_eq!(rig.screens()[0].pixels[0], 0x0011_2233);
    let clip = drm_clip_rect {
        x1: 3,
        y1: 2,
        x2: 5,
        y2: 900,
    };
    let dirty = |fb_id, clips: &[drm_clip_rect]| {
        let arg = drm_mode_fb_dirty_cmd {
            fb_id,
            num_clips: clips.len() as u32,
            ..Default::default()
        };
        let reply = client.full(ioctl::MODE_DIRTYFB, arg, &[bytes(clips)]).0;
        reply.result.map(|_| ())
    };
    dirty(fb, &[clip]).unwrap();
    {
        let screen = &rig.screens()[0];
        assert_eq!(screen.damage, [Rect::new(3, 2, 2, 30)]);
        assert_eq!(screen.pixels[64 * 2 + 3], 0x00aa_aaaa);
        assert_eq!(screen.pixels[0], 0x0011_2233);
    }
    dirty(fb, &[]).unwrap();
    assert_eq!(rig.screens()[0].pixels[0], 0x00ff_ffff);
    assert_eq!(dirty(9, &[]), Err(Errno::ENOENT));
    assert_eq!(dirty(fb, &[clip; 257]), Err(Errno::EINVAL));
}

#[test]
fn dpms_switches_off_and_on() {
    let rig = Rig::new();
    let (client, _, _, _) = lit(&rig);
    let (connectors, _) = client.resources();
    let dpms = |value| {
        let arg = drm_mode_connector_set_property {
            value,
            prop_id: crate::kms::property::DPMS,
            connector_id: connectors[0],
        };
        client.call(ioctl::MODE_SETPROPERTY, arg).map(|_| ())
    };
    dpms(3).unwrap();
    assert!(!rig.screens()[0].active);
    assert_eq!(
        client.value(connectors[0], crate::kms::property::DPMS),
        Some(3)
    );
    dpms(0).unwrap();
    assert!(rig.screens()[0].active);
    assert_eq!(rig.screens()[0].pixels[5], 0x0011_2233);
    assert_eq!(dpms(4), Err(Errno::EINVAL));
}

#[test]
fn a_closed_file_leaves_nothing() {
    let rig = Rig::new();
    let (client, _, _, _) = lit(&rig);
    client.blob(vec![1, 2, 3]).unwrap();
    drop(client);
    assert_eq!(rig.screens()[0].pixels[0], 0);
    assert_eq!(rig.host.seen().live_buffers(), 0);
    let state = rig.instance.device.lock();
    assert!(state.files.is_empty() && state.masters.all.is_empty());
    assert_eq!(state.gems.live(), 0);
}

#[test]
fn connectors_tell_their_modes() {
    let rig = Rig::new();
    let (client, other) = (rig.open(), rig.open());
    let (connectors, _) = client.resources();
    let get = |client: &Client, modes: u32| {
        let arg = drm_mode_get_connector {
            connector_id: connectors[1],
            count_modes: modes,
            ..Default::default()
        };
        let arrays = [vec![], vec![0; 68 * modes as usize], vec![], vec![]];
        client.full(ioctl::MODE_GETCONNECTOR, arg, &arrays)
    };
    for client in [&client, &other] {
        let (_, arg) = get(client, 0);
        assert_eq!(
            (arg.count_modes, arg.count_props, arg.connection),
            (2, 5, 1)
        );
        assert_eq!(arg.connector_type_id, 2);
        let (reply, arg) = get(client, 2);
        assert_eq!(arg.count_modes, 2);
        let first = drm_mode_modeinfo::read_from(&reply.payload[48..]);
        assert_eq!((first.hdisplay, first.vrefresh), (64, 100));
    }
}
