// SPDX-License-Identifier: MIT
//! Random sequences of operations: after a crash and a replay the new driver's state is what the
//! dead one's was, and nothing is reported lost.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use drvhost_drm::uapi::*;
use proptest::prelude::*;
use support::Setup;
use support::client::Client;
use support::display::*;

#[derive(Clone, Debug)]
enum Op {
    Open,
    Close(usize),
    Dumb(usize, u32),
    CloseHandle(usize, u32),
    Share(usize, u32, usize),
    Flink(usize, u32),
    GemOpen(usize, u32),
    AddFb(usize, u32),
    RmFb(usize, usize),
    CloseFb(usize, usize),
    Blob(usize, u8),
    DestroyBlob(usize, usize),
    SetCrtc(usize, usize, usize, u8, u8),
    CrtcOff(usize, usize),
    KeepFb(usize, usize, u8, u8),
    Flip(usize, usize, usize),
    SetPlane(usize, usize, usize, bool),
    Cursor(usize, usize, u32),
    MoveCursor(usize, usize, i32),
    Gamma(usize, usize, u16),
    Property(usize, usize, u64),
    BlobProperty(usize, usize, usize),
    Atomic(usize, Vec<(u8, u8)>),
    Master(usize, bool),
    Magic(usize),
    Syncobj(usize),
    Signal(usize, u32, u64),
    Cap(usize, u64, u64),
    Crash,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let client = 0..3usize;
    let handle = 1..5u32;
    let crtc = 0..2usize;
    let pick = 0..6usize;
    let c = || client.clone();
    let one = prop_oneof![
        2 => Just(Op::Open),
        1 => c().prop_map(Op::Close),
        6 => (c(), 1..4u32).prop_map(|(a, b)| Op::Dumb(a, b)),
        2 => (c(), handle.clone()).prop_map(|(a, b)| Op::CloseHandle(a, b)),
        2 => (c(), handle.clone(), c()).prop_map(|(a, b, d)| Op::Share(a, b, d)),
        1 => (c(), handle.clone()).prop_map(|(a, b)| Op::Flink(a, b)),
        1 => (c(), 1..4u32).prop_map(|(a, b)| Op::GemOpen(a, b)),
        6 => (c(), handle.clone()).prop_map(|(a, b)| Op::AddFb(a, b)),
        2 => (c(), pick.clone()).prop_map(|(a, b)| Op::RmFb(a, b)),
        2 => (c(), pick.clone()).prop_map(|(a, b)| Op::CloseFb(a, b)),
        3 => (c(), 0..9u8).prop_map(|(a, b)| Op::Blob(a, b)),
        2 => (c(), pick.clone()).prop_map(|(a, b)| Op::DestroyBlob(a, b)),
        6 => (c(), crtc.clone(), pick.clone(), 1..4u8, 1..9u8)
            .prop_map(|(a, b, d, e, f)| Op::SetCrtc(a, b, d, e, f)),
        1 => (c(), crtc.clone()).prop_map(|(a, b)| Op::CrtcOff(a, b)),
        1 => (c(), crtc.clone(), 1..4u8, 1..9u8).prop_map(|(a, b, d, e)| Op::KeepFb(a, b, d, e)),
        4 => (c(), crtc.clone(), pick.clone()).prop_map(|(a, b, d)| Op::Flip(a, b, d)),
        3 => (c(), 0..4usize, pick.clone(), any::<bool>())
            .prop_map(|(a, b, d, e)| Op::SetPlane(a, b, d, e)),
        2 => (c(), crtc.clone(), 0..5u32).prop_map(|(a, b, d)| Op::Cursor(a, b, d)),
        1 => (c(), crtc.clone(), 0..9i32).prop_map(|(a, b, d)| Op::MoveCursor(a, b, d)),
        1 => (c(), crtc.clone(), 0..9u16).prop_map(|(a, b, d)| Op::Gamma(a, b, d)),
        1 => (c(), 0..4usize, 0..9u64).prop_map(|(a, b, d)| Op::Property(a, b, d)),
        1 => (c(), crtc.clone(), pick.clone()).prop_map(|(a, b, d)| Op::BlobProperty(a, b, d)),
        6 => (c(), prop::collection::vec((0..16u8, 0..8u8), 1..8))
            .prop_map(|(a, b)| Op::Atomic(a, b)),
        1 => (c(), any::<bool>()).prop_map(|(a, b)| Op::Master(a, b)),
        1 => c().prop_map(Op::Magic),
        1 => c().prop_map(Op::Syncobj),
        1 => (c(), 1..4u32, 0..9u64).prop_map(|(a, b, d)| Op::Signal(a, b, d)),
        1 => (c(), 1..6u64, 0..2u64).prop_map(|(a, b, d)| Op::Cap(a, b, d)),
        2 => Just(Op::Crash),
    ];
    prop::collection::vec(one, 1..60)
}

struct Run {
    setup: Setup,
    clients: Vec<Client>,
    fbs: Vec<u32>,
    blobs: Vec<u32>,
}

impl Run {
    fn fb(&self, pick: usize) -> u32 {
        let back = self.fbs.len().saturating_sub(1 + pick);
        self.fbs.get(back).copied().unwrap_or(0)
    }

    fn a_blob(&self, pick: usize) -> u32 {
        let back = self.blobs.len().saturating_sub(1 + pick);
        self.blobs.get(back).copied().unwrap_or(0)
    }

    /// Does one operation; refusals are as good as successes.
    fn apply(&mut self, op: &Op) {
        let who = match op {
            Op::Open if self.clients.len() < 3 => {
                self.clients.push(self.setup.open());
                return;
            }
            Op::Open => return,
            Op::Crash => {
                self.crash();
                return;
            }
            Op::Close(who) if *who < self.clients.len() => {
                let files = self.setup.device.describe().files.len();
                either(self.clients.remove(*who));
                let device = &self.setup.device;
                support::eventually("closed", || device.describe().files.len() < files);
                let worker = &self.setup.worker;
                // The host's own file is one of them.
                support::eventually("released", || {
                    worker.state.lock().unwrap().files.len() == files
                });
                // Closing is over when the record has let go, which is when it is described.
                support::eventually("recorded", || device.describe().recorded == files - 1);
                return;
            }
            Op::Close(who)
            | Op::Dumb(who, _)
            | Op::CloseHandle(who, _)
            | Op::Share(who, ..)
            | Op::Flink(who, _)
            | Op::GemOpen(who, _)
            | Op::AddFb(who, _)
            | Op::RmFb(who, _)
            | Op::CloseFb(who, _)
            | Op::Blob(who, _)
            | Op::DestroyBlob(who, _)
            | Op::SetCrtc(who, ..)
            | Op::CrtcOff(who, _)
            | Op::KeepFb(who, ..)
            | Op::Flip(who, ..)
            | Op::SetPlane(who, ..)
            | Op::Cursor(who, ..)
            | Op::MoveCursor(who, ..)
            | Op::Gamma(who, ..)
            | Op::Property(who, ..)
            | Op::BlobProperty(who, ..)
            | Op::Atomic(who, _)
            | Op::Master(who, _)
            | Op::Magic(who)
            | Op::Syncobj(who)
            | Op::Signal(who, ..)
            | Op::Cap(who, ..) => *who,
        };
        let Some(client) = self.clients.get(who) else {
            return;
        };
        match op {
            Op::Dumb(_, size) => either(client.create_dumb(size * 16, 16)),
            Op::CloseHandle(_, handle) => either(client.gem_close(*handle)),
            Op::Share(_, handle, to) => {
                if let Some(to) = self.clients.get(*to) {
                    share(client, *handle, to);
                }
            }
            Op::Flink(_, handle) => {
                let flink = drm_gem_flink {
                    handle: *handle,
                    name: 0,
                };
                either(client.call(ioctl::GEM_FLINK, &flink, &[]).ok());
            }
            Op::GemOpen(_, name) => {
                let open = drm_gem_open {
                    name: *name,
                    ..Default::default()
                };
                either(client.call(ioctl::GEM_OPEN, &open, &[]).ok());
            }
            Op::AddFb(_, handle) => {
                let dumb = drm_mode_create_dumb {
                    handle: *handle,
                    width: handle * 16,
                    height: 16,
                    pitch: 64,
                    ..Default::default()
                };
                self.fbs.extend(client.add_fb(&dumb).ok());
            }
            Op::RmFb(_, pick) => either(client.rm_fb(self.fb(*pick))),
            Op::CloseFb(_, pick) => either(client.close_fb(self.fb(*pick))),
            Op::Blob(_, byte) => self.blobs.extend(client.blob(&[*byte; 4]).ok()),
            Op::DestroyBlob(_, pick) => either(client.destroy_blob(self.a_blob(*pick))),
            Op::SetCrtc(_, crtc, pick, connectors, mode) => {
                let connectors = chosen(*connectors);
                either(client.set_crtc(CRTCS[*crtc], self.fb(*pick), &connectors, *mode));
            }
            Op::CrtcOff(_, crtc) => either(client.set_crtc(CRTCS[*crtc], 0, &[], 0)),
            Op::KeepFb(_, crtc, connectors, mode) => {
                let connectors = chosen(*connectors);
                either(client.set_crtc(CRTCS[*crtc], u32::MAX, &connectors, *mode));
            }
            Op::Flip(_, crtc, pick) => {
                either(client.flip(CRTCS[*crtc], self.fb(*pick), 1));
                self.setup.worker.vblank();
                while client.event().is_some() {}
            }
            Op::SetPlane(_, plane, pick, on) => {
                let set = drm_mode_set_plane {
                    plane_id: PLANES[*plane],
                    crtc_id: if *on { 40 } else { 0 },
                    fb_id: if *on { self.fb(*pick) } else { 0 },
                    ..Default::default()
                };
                either(client.call(ioctl::MODE_SETPLANE, &set, &[]).ok());
            }
            Op::Cursor(_, crtc, handle) => {
                let cursor = drm_mode_cursor {
                    flags: DRM_MODE_CURSOR_BO,
                    crtc_id: CRTCS[*crtc],
                    handle: *handle,
                    ..Default::default()
                };
                either(client.call(ioctl::MODE_CURSOR, &cursor, &[]).ok());
            }
            Op::MoveCursor(_, crtc, x) => {
                let cursor = drm_mode_cursor {
                    flags: DRM_MODE_CURSOR_MOVE,
                    crtc_id: CRTCS[*crtc],
                    x: *x,
                    ..Default::default()
                };
                either(client.call(ioctl::MODE_CURSOR, &cursor, &[]).ok());
            }
            Op::Gamma(_, crtc, value) => {
                let lut = drm_mode_crtc_lut {
                    crtc_id: CRTCS[*crtc],
                    gamma_size: 1,
                    ..Default::default()
                };
                let value = value.to_le_bytes();
                let arrays: [&[u8]; 3] = [&value; 3];
                either(client.call(ioctl::MODE_SETGAMMA, &lut, &arrays).ok());
            }
            Op::Property(_, plane, value) => {
                let set = drm_mode_obj_set_property {
                    obj_id: PLANES[*plane],
                    prop_id: ALPHA,
                    value: *value,
                    ..Default::default()
                };
                either(client.call(ioctl::MODE_OBJ_SETPROPERTY, &set, &[]).ok());
            }
            Op::BlobProperty(_, crtc, pick) => {
                let set = drm_mode_obj_set_property {
                    obj_id: CRTCS[*crtc],
                    prop_id: GAMMA_LUT,
                    value: self.a_blob(*pick).into(),
                    ..Default::default()
                };
                either(client.call(ioctl::MODE_OBJ_SETPROPERTY, &set, &[]).ok());
            }
            Op::Atomic(_, picks) => self.atomic(client, picks),
            Op::Master(_, set) => {
                let cmd = if *set {
                    ioctl::SET_MASTER
                } else {
                    ioctl::DROP_MASTER
                };
                client.raw(cmd, &mut []);
            }
            Op::Magic(_) => {
                let magic = client.call(ioctl::GET_MAGIC, &drm_auth::default(), &[]);
                either(
                    self.clients[0]
                        .call(ioctl::AUTH_MAGIC, &magic.unwrap(), &[])
                        .ok(),
                );
            }
            Op::Syncobj(_) => {
                let create = drm_syncobj_create::default();
                either(client.call(ioctl::SYNCOBJ_CREATE, &create, &[]).ok());
            }
            Op::Signal(_, handle, point) => {
                let argument = drm_syncobj_timeline_array {
                    count_handles: 1,
                    ..Default::default()
                };
                let (handle, point) = (handle.to_le_bytes(), point.to_le_bytes());
                let arrays: [&[u8]; 2] = [&handle, &point];
                either(
                    client
                        .call(ioctl::SYNCOBJ_TIMELINE_SIGNAL, &argument, &arrays)
                        .ok(),
                );
            }
            Op::Cap(_, cap, value) => either(client.cap(*cap, *value)),
            Op::Open | Op::Close(_) | Op::Crash => {}
        }
    }

    fn atomic(&self, client: &Client, picks: &[(u8, u8)]) {
        let mut items = Vec::new();
        for &(what, pick) in picks {
            let pick = usize::from(pick);
            let fb = u64::from(self.fb(pick));
            let blob = u64::from(self.a_blob(pick));
            let plane = PLANES[pick % 4];
            let crtc = CRTCS[pick % 2];
            match what {
                0..=3 => items.extend([(plane, FB_ID, fb), (plane, CRTC_ID, 40)]),
                4 => items.extend([(plane, FB_ID, 0), (plane, CRTC_ID, 0)]),
                5..=7 => items.extend([(crtc, MODE_ID, blob), (crtc, ACTIVE, 1)]),
                8 => items.extend([(crtc, MODE_ID, 0), (crtc, ACTIVE, 0)]),
                9 | 10 => items.push((CONNECTORS[pick % 2], CRTC_ID, crtc.into())),
                11 => items.push((plane, ALPHA, pick as u64)),
                12 => items.push((crtc, GAMMA_LUT, blob)),
                // All that a compositor says.
                _ => items.extend([
                    (crtc, MODE_ID, blob),
                    (crtc, ACTIVE, 1),
                    (CONNECTORS[pick % 2], CRTC_ID, crtc.into()),
                    (Display::primary(crtc), FB_ID, fb),
                    (Display::primary(crtc), CRTC_ID, crtc.into()),
                ]),
            }
        }
        items.sort_unstable();
        items.dedup_by_key(|item| (item.0, item.1));
        either(client.atomic(&items, 0x400, 0));
    }

    fn crash(&mut self) {
        let before = self.setup.worker.visible();
        let restored = self.setup.crash();
        assert_eq!(restored.lost, Vec::<String>::new());
        assert_eq!(self.setup.worker.visible(), before);
    }
}

/// Refusals are as good as successes.
fn either<T>(_result: T) {}

fn chosen(bits: u8) -> Vec<u32> {
    let bits = usize::from(bits);
    (0..2)
        .filter(|i| bits >> i & 1 == 1)
        .map(|i| CONNECTORS[i])
        .collect()
}

fn share(from: &Client, handle: u32, to: &Client) {
    use std::os::fd::AsFd;
    let prime = drm_prime_handle {
        handle,
        ..Default::default()
    };
    let cmd = ioctl::PRIME_HANDLE_TO_FD;
    let bytes = drvhost_front::shadow::wire::payload(cmd, &prime, &[]);
    let answer = from.pass(cmd, &bytes, &[]);
    if let Some(fd) = answer.fds.first() {
        to.pass(ioctl::PRIME_FD_TO_HANDLE, &bytes, &[fd.as_fd()]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").map_or(300, |n| n.parse().unwrap_or(300)),
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn replay_restores_what_was(ops in ops()) {
        let setup = Setup::new();
        let mut run = Run { setup, clients: Vec::new(), fbs: Vec::new(), blobs: Vec::new() };
        run.apply(&Op::Open);
        for op in &ops {
            run.apply(op);
        }
        run.crash();
        // The log is bounded by the number of keys there are.
        prop_assert!(run.setup.device.describe().display_steps < 40);
    }
}
