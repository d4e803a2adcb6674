// SPDX-License-Identifier: MIT
//! Random payloads against the server's end, and random programs against the client's.
//!
//! `FUZZ_ITERATIONS` and `FUZZ_SEED` set how many and which; the deep run is `--ignored`.

use super::{Memory, Random};
use crate::uapi::{Errno, ioctl};
use crate::wire::{
    Count, Descriptor, EncodeError, Flow, MAX_PAYLOAD, Message, TABLE, encode, finish,
};

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => default,
    }
}

/// A number: mostly a core one, with a random size and direction one time in four.
fn random_cmd(random: &mut Random) -> u32 {
    let base = match random.below(16) {
        0 => random.next() as u32,
        1 => (0x6440 + random.below(0x60) as u32) | (random.next() as u32 & 0xffff_0000),
        _ => TABLE[random.below(TABLE.len())].cmd,
    };
    match random.below(4) {
        0 => (base & 0xffff) | (random.next() as u32 & 0xffff_0000),
        _ => base,
    }
}

/// A payload for `cmd`: noise, or noise with counts that make its length right (or nearly).
fn random_payload(random: &mut Random, cmd: u32, payload: &mut Vec<u8>) {
    let descriptor = crate::wire::describe(cmd);
    let base = descriptor.map_or(ioctl::size(cmd), |d| d.fixed);
    let len = match random.below(8) {
        0 => random.below(64),
        1 => random.below(base + 1),
        _ => base + random.below(256),
    };
    payload.clear();
    payload.resize(len, 0);
    random.fill(payload);
    let Some(descriptor) = descriptor.filter(|d| len >= d.fixed && random.below(8) > 0) else {
        if descriptor.is_none() && random.below(2) == 0 {
            payload.resize(ioctl::size(cmd), 0);
        }
        return;
    };
    let mut needed = descriptor.fixed;
    let mut counts = [0; 4];
    let mut ends = [0; 4];
    for (i, array) in descriptor.arrays.iter().enumerate() {
        counts[i] = match array.count {
            Count::Field { offset, width } => {
                let at = descriptor.wire_offset(offset).expect("in the fixed part");
                let before = descriptor.arrays[..i]
                    .iter()
                    .position(|a| a.count == array.count);
                let count = before.map_or_else(|| random.below(12), |i| counts[i]);
                payload[at..at + width].copy_from_slice(&(count as u64).to_le_bytes()[..width]);
                count
            }
            Count::Sum(of) => {
                let end: usize = ends[of];
                if end > payload.len() {
                    return;
                }
                let mut sum = 0;
                for value in payload[end - counts[of] * 4..end].chunks_exact_mut(4) {
                    value[1..].fill(0);
                    value[0] %= 8;
                    sum += usize::from(value[0]);
                }
                let at = descriptor.fixed - 8;
                payload[at..at + 4].copy_from_slice(&(sum as u32).to_le_bytes());
                sum
            }
        };
        needed += counts[i] * array.element;
        ends[i] = needed;
        if payload.len() < needed {
            payload.resize(needed, 0x5a);
        }
    }
    payload.resize(needed, 0);
    match random.below(8) {
        0 => payload.push(1),
        1 => {
            payload.pop();
        }
        2 if !payload.is_empty() => {
            let at = random.below(payload.len());
            payload[at] ^= 1 << random.below(8);
        }
        _ => {}
    }
}

/// Decodes and checks what must hold of any message.
fn check_decode(cmd: u32, payload: &mut [u8]) -> bool {
    let copy = payload.to_vec();
    let mut message = match Message::decode(cmd, payload) {
        Ok(message) => message,
        Err(errno) => {
            assert!(matches!(
                errno,
                Errno::EINVAL | Errno::ENOTTY | Errno::E2BIG
            ));
            return false;
        }
    };
    let descriptor = message.descriptor();
    let arrays = descriptor.map_or(&[][..], |d| d.arrays);
    let mut len = descriptor.map_or(copy.len(), |d| d.fixed);
    for (i, array) in arrays.iter().enumerate() {
        let bytes = message.array(i);
        assert_eq!(bytes.len(), message.room(i) * array.element);
        assert_eq!(bytes, &copy[len..len + bytes.len()]);
        len += bytes.len();
    }
    assert_eq!(len, copy.len());
    assert!(message.array(arrays.len()).is_empty());
    // Answered with what it says itself, it is the same.
    let argument = message.argument_bytes();
    let mut whole = [0u8; 256];
    if argument.len() <= whole.len() {
        whole[..argument.len()].copy_from_slice(argument);
        message.set_arg(&whole);
        assert_eq!(message.payload(), copy);
    }
    // Output of any length stays in its array.
    if let Some(i) = arrays
        .iter()
        .position(|a| matches!(a.flow, Flow::Out { .. }))
    {
        let values = [[0x77u8; 4]; 9];
        let _ = message.write_array(i, &values);
        assert_eq!(message.payload().len(), copy.len());
    }
    true
}

fn fuzz_decode(iterations: u64) {
    let mut random = Random(setting("FUZZ_SEED", 0x5eed));
    let mut payload = Vec::new();
    let mut good = 0u64;
    for _ in 0..iterations {
        let cmd = random_cmd(&mut random);
        random_payload(&mut random, cmd, &mut payload);
        good += u64::from(check_decode(cmd, &mut payload));
    }
    assert!(good * 4 > iterations, "too few got past the checks: {good}");
    assert!(good < iterations, "none was refused");
}

/// One random program: any struct, pointers anywhere; then any answer.
fn check_encode(random: &mut Random, memory: &mut Memory, buffer: &mut [u8]) -> bool {
    let cmd = random_cmd(random);
    random.fill(&mut memory.bytes[..64 + 256]);
    if let Some(descriptor) = crate::wire::describe(cmd) {
        aim(random, descriptor, memory);
    }
    let call = match encode(cmd, Memory::BASE, memory, buffer) {
        Ok(call) => call,
        Err(EncodeError::TooSmall(len)) => {
            assert!(len > buffer.len() && len <= MAX_PAYLOAD);
            return false;
        }
        Err(EncodeError::Errno(_)) => return false,
    };
    let reply = &mut buffer[..call.payload_len()];
    assert!(check_decode(call.cmd(), reply), "ours is always accepted");
    if random.below(2) == 0 {
        random.fill(reply);
    }
    let result = random.next() as i64 >> random.below(64);
    let _ = finish(&call, result, reply, memory);
    true
}

/// Makes counts small and pointers good most of the time.
fn aim(random: &mut Random, descriptor: &Descriptor, memory: &mut Memory) {
    for array in descriptor.arrays {
        if random.below(16) > 0 {
            let at = Memory::BASE + 512 + random.below(1024) as u64;
            let at = if random.below(16) > 0 { at } else { 0 };
            memory.put(array.pointer, &at.to_le_bytes());
        }
        if let Count::Field { offset, width } = array.count
            && random.below(16) > 0
        {
            let count = random.below(20) as u64;
            memory.put(offset, &count.to_le_bytes()[..width]);
        }
    }
}

fn fuzz_encode(iterations: u64) {
    let mut random = Random(setting("FUZZ_SEED", 0x5eed));
    let mut memory = Memory::new(4096);
    let mut buffer = vec![0; 4096];
    let mut good = 0u64;
    for _ in 0..iterations {
        good += u64::from(check_encode(&mut random, &mut memory, &mut buffer));
    }
    assert!(good * 4 > iterations, "too few got past the checks: {good}");
}

#[test]
fn random_payloads_are_refused_or_consistent() {
    fuzz_decode(setting("FUZZ_ITERATIONS", 200_000));
}

#[test]
fn random_programs_get_an_error_or_a_payload() {
    fuzz_encode(setting("FUZZ_ITERATIONS", 200_000));
}

#[test]
#[ignore = "the deep run: cargo test --release -- --ignored fuzz"]
fn deep_random_payloads_are_refused_or_consistent() {
    fuzz_decode(setting("FUZZ_ITERATIONS", 10_000_000));
}

#[test]
#[ignore = "the deep run: cargo test --release -- --ignored fuzz"]
fn deep_random_programs_get_an_error_or_a_payload() {
    fuzz_encode(setting("FUZZ_ITERATIONS", 10_000_000));
}
