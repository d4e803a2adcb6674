// SPDX-License-Identifier: MIT
//! Random calls of several files: no panic, and nothing is left when they close.

use super::client::*;
use crate::wire::{Count, TABLE};
use drvhost_abi::tables::*;

/// A small generator: the same seed gives the same calls for ever.
struct TestRng(u64);

impl TestRng {
    fn next_u32(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb) >> 32) as u32
    }
}

/// A number a program might send: mostly small or an id, at times a border.
fn number(rng: &mut TestRng) -> u32 {
    match rng.next_u32() % 16 {
        0..=5 => rng.next_u32() % 4,
        6..=8 => 32 + rng.next_u32() % 16,
        9..=11 => 0x10000 + rng.next_u32() % 6,
        12 => 1 << (rng.next_u32() % 32),
        13 => u32::MAX - rng.next_u32() % 3,
        14 => 64 << (rng.next_u32() % 2 * 16),
        _ => rng.next_u32(),
    }
}

/// An argument with small counts, and arrays that fit them.
fn argument(rng: &mut TestRng, index: usize) -> (u32, Vec<u8>) {
    let descriptor = &TABLE[index];
    let mut argument = vec![0u8; descriptor.size()];
    for word in argument.chunks_exact_mut(4) {
        word.copy_from_slice(&number(rng).to_le_bytes());
    }
    let mut arrays: Vec<Vec<u8>> = Vec::new();
    for array in descriptor.arrays {
        let count = match array.count {
            Count::Field { offset, width } => {
                let known = u32::from_le_bytes(argument[offset..offset + 4].try_into().unwrap());
                let count = if known <= 256 { known } else { known % 4 };
                argument[offset..offset + width].fill(0);
                argument[offset..offset + 4].copy_from_slice(&count.to_le_bytes());
                count as usize
            }
            Count::Sum(of) => {
                let counts = arrays[of].chunks_exact_mut(4);
                counts
                    .map(|count| {
                        let small = u32::from_le_bytes(count.try_into().unwrap()) % 6;
                        count.copy_from_slice(&small.to_le_bytes());
                        small as usize
                    })
                    .sum()
            }
        };
        let words = (count * array.element).div_ceil(4);
        let mut bytes: Vec<u8> = (0..words).flat_map(|_| number(rng).to_le_bytes()).collect();
        bytes.truncate(count * array.element);
        arrays.push(bytes);
    }
    let mut payload = vec![0; descriptor.fixed];
    descriptor.gather(&argument, &mut payload);
    if let Some(at) = descriptor.total_offset() {
        let total = arrays[2].len() as u32 / 4;
        payload[at..at + 4].copy_from_slice(&total.to_le_bytes());
    }
    payload.extend(arrays.concat());
    (descriptor.cmd, payload)
}

/// Calls that sleep until something happens that nothing here makes happen.
fn may_sleep(cmd: u32) -> bool {
    use crate::uapi::ioctl::*;
    [
        WAIT_VBLANK,
        SYNCOBJ_WAIT,
        SYNCOBJ_TIMELINE_WAIT,
        SYNCOBJ_TRANSFER,
    ]
    .contains(&cmd)
}

fn run(seed: u64, rounds: usize) {
    let mut rng = TestRng(seed);
    let rig = Rig::new();
    let (connectors, crtcs, planes) = {
        let client = rig.open().atomic_client();
        let (connectors, crtcs) = client.resources();
        (connectors, crtcs, client.planes())
    };
    let mut files: Vec<Client> = Vec::new();
    let mut leased = 0;
    for _ in 0..rounds {
        if files.len() < 4 || rng.next_u32().is_multiple_of(200) {
            let node = rng.next_u32() % 8 / 7;
            let flags = rng.next_u32() % 4;
            let client = rig.open_as(node, flags);
            if node == 0 && rng.next_u32().is_multiple_of(2) {
                client.cap(crate::uapi::DRM_CLIENT_CAP_ATOMIC, 1).unwrap();
            }
            if flags & OPEN_HOST != 0 && node == 0 {
                let (fb, _) = client.fb(&rig, 64, 32, super::gpu::XR24, 9);
                let mode = Some(super::gpu::small_mode());
                let result = client.replay_crtc(crtcs[0], fb, mode, &connectors[..1]);
                assert_eq!(result, Ok(()), "{planes:?}");
            }
            files.push(client);
        }
        if rng.next_u32().is_multiple_of(150) {
            files.remove(rng.next_u32() as usize % files.len());
            continue;
        }
        let client = &files[rng.next_u32() as usize % files.len()];
        let index = rng.next_u32() as usize % TABLE.len();
        let (cmd, payload) = argument(&mut rng, index);
        if may_sleep(cmd) {
            continue;
        }
        // Commits that wait for a vertical blank do so on replay only in name.
        let replay =
            crate::wire::describe(cmd).unwrap().may_block || rng.next_u32().is_multiple_of(4);
        let reply = client.raw(cmd, payload, &[], None, replay);
        for object in reply.objects {
            leased += usize::from(object.kind == ObjectKind::File as u32);
        }
        rig.host.step(u64::from(rng.next_u32() % 20_000_000));
    }
    drop(files);
    let mut seen = rig.host.seen();
    let opened = core::mem::take(&mut seen.files);
    drop(seen);
    assert_eq!(opened.len(), leased);
    for (_, file) in opened {
        // SAFETY: the core gave this box to the host, and nobody else releases it.
        drop(unsafe { Box::from_raw(file as *mut crate::plugin::DrmFile) });
    }
    // A picture whose framebuffer was closed, not removed, outlives its file; as a cursor does.
    let host = rig.open_as(0, OPEN_HOST);
    for crtc in crtcs {
        assert_eq!(host.replay_crtc(crtc, 0, None, &[]), Ok(()));
    }
    drop(host);
    let state = rig.instance.device.lock();
    assert!(state.files.is_empty(), "seed {seed}");
    assert_eq!(state.gems.live(), 0, "seed {seed}");
    assert!(state.masters.all.is_empty(), "seed {seed}");
    drop(state);
    assert_eq!(rig.host.seen().live_buffers(), 0, "seed {seed}");
}

#[test]
fn random_calls_do_no_harm() {
    for seed in 0..6 {
        run(seed, 4000);
    }
}

/// The same at length.
#[test]
#[ignore = "takes minutes"]
fn random_calls_do_no_harm_at_length() {
    for seed in 6..=255 {
        run(seed, 20_000);
    }
}
