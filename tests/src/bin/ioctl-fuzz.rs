// SPDX-License-Identifier: MIT
//! Sends malformed ioctls to a node: wrong sizes and directions, unknown numbers, bad pointers,
//! counts that overflow. `ioctl-fuzz NODE SEED COUNT [NR]` prints how many had which result; with
//! a number (hexadecimal) it sends that ioctl alone.

use anyhow::{Context, Result};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
use std::collections::BTreeMap;
use std::os::fd::AsRawFd;

/// Bytes that good pointers point into; behind it is nothing.
const ARENA: usize = 1 << 20;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Memory with a hole behind it.
fn arena() -> Result<*mut u8> {
    // SAFETY: a new mapping; its second half is made inaccessible and never used.
    unsafe {
        let all = mmap_anonymous(
            std::ptr::null_mut(),
            ARENA * 2,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )?;
        let hole = all.cast::<u8>().add(ARENA);
        rustix::mm::mprotect(hole.cast(), ARENA, rustix::mm::MprotectFlags::empty())?;
        Ok(all.cast())
    }
}

/// A word as callers get them wrong.
fn word(random: &mut Random, arena: u64) -> u64 {
    match random.below(8) {
        0 => 0,
        1 => random.below(8),
        2 => random.below(0x2_0000),
        3 => arena + random.below(ARENA as u64),
        4 => arena + ARENA as u64 - random.below(64),
        5 => u64::MAX - random.below(16),
        6 => random.below(1 << 31) << 32 | random.below(64),
        _ => random.next(),
    }
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let node = args.next().context("usage: ioctl-fuzz NODE SEED COUNT")?;
    let mut random = Random(args.next().context("no seed")?.parse()?);
    let count: u64 = args.next().context("no count")?.parse()?;
    let only = args
        .next()
        .map(|text| u64::from_str_radix(&text, 16))
        .transpose()?;
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open(&node)
        .context(node)?;
    let arena = arena()?;
    let mut results: BTreeMap<String, u64> = BTreeMap::new();
    for _ in 0..count {
        // One field in three of a real ioctl's number is wrong.
        let nr = if random.below(4) == 0 {
            random.below(256)
        } else {
            CORE[random.below(CORE.len() as u64) as usize]
        };
        let nr = only.unwrap_or(nr);
        let size = match random.below(3) {
            0 => random.below(1 << 14),
            _ => random.below(128),
        };
        let kind = if random.below(16) == 0 {
            random.below(256)
        } else {
            u64::from(b'd')
        };
        let request = random.below(4) << 30 | size << 16 | kind << 8 | nr;
        for at in (0..256).step_by(8) {
            let value = word(&mut random, arena as u64);
            // SAFETY: inside the arena.
            unsafe { arena.add(at).cast::<u64>().write_unaligned(value) };
        }
        if WAITS.contains(&nr) {
            // Nobody signals what it would wait for: no time-outs.
            // SAFETY: inside the arena.
            unsafe { std::ptr::write_bytes(arena, 0, 64) };
        }
        let address = match random.below(8) {
            0 => word(&mut random, arena as u64),
            _ => arena as u64,
        };
        // SAFETY: any number and pointer must be safe to give to an ioctl: that is the test. What
        // it may write to is the arena, which nothing else uses, or memory it must refuse.
        let result = unsafe { libc::ioctl(file.as_raw_fd(), request as libc::c_ulong, address) };
        let text = if result >= 0 {
            "ok".to_owned()
        } else {
            std::io::Error::last_os_error().to_string()
        };
        *results.entry(text).or_default() += 1;
    }
    for (text, count) in results {
        println!("{count:8} {text}");
    }
    Ok(())
}

/// Numbers of the core's ioctls.
const CORE: [u64; 72] = [
    0x00, 0x01, 0x02, 0x05, 0x06, 0x07, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x11, 0x1e, 0x1f, 0x2d, 0x2e,
    0x3a, 0x3b, 0x3c, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae,
    0xaf, 0xb0, 0xb1, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xbb, 0xbc, 0xbd, 0xbe,
    0xbf, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xcb, 0xcc, 0xcd, 0xce,
    0xcf, 0xd0, 0xd1, 0x40, 0x55, 0x9f, 0xff, 0xd2,
];

/// Those that wait.
const WAITS: [u64; 4] = [0x3a, 0x3c, 0xc3, 0xca];
