// SPDX-License-Identifier: MIT
//! Both ends against each other: for every ioctl, whatever the program asks for, the server sees
//! it, and what the server answers reaches the program as Linux would have put it there.

use proptest::prelude::*;

use super::{Memory, Random};
use crate::uapi::{Errno, ioctl};
use crate::wire::{Array, Count, Descriptor, EncodeError, Flow, Message, TABLE, encode, finish};

/// Where array `index` lies in the program's memory.
const fn place(index: usize) -> usize {
    1024 + index * 4096
}

fn put_count(argument: &mut [u8], array: &Array, count: usize) {
    if let Count::Field { offset, width } = array.count {
        argument[offset..offset + width].copy_from_slice(&(count as u64).to_le_bytes()[..width]);
    }
}

fn count_of(argument: &[u8], array: &Array) -> usize {
    match array.count {
        Count::Field { offset, width } => Descriptor::field_count(argument, offset, width) as usize,
        Count::Sum(_) => 0,
    }
}

/// One round trip. `counts` and `nulls` are by array; `real` is what the server has.
fn round_trip(
    descriptor: &'static Descriptor,
    seed: u64,
    counts: [usize; 4],
    real: [usize; 4],
    nulls: [bool; 4],
    result: i64,
) {
    let name = descriptor.name;
    let mut random = Random(seed);
    let mut memory = Memory::new(place(4));
    random.fill(&mut memory.bytes);
    let size = descriptor.size();
    let mut argument = memory.bytes[..size].to_vec();
    let mut lens = [0; 4];
    for (i, array) in descriptor.arrays.iter().enumerate() {
        put_count(&mut argument, array, counts[i]);
        let at = if nulls[i] {
            0
        } else {
            Memory::BASE + place(i) as u64
        };
        argument[array.pointer..array.pointer + 8].copy_from_slice(&at.to_le_bytes());
    }
    for (i, array) in descriptor.arrays.iter().enumerate() {
        lens[i] = match (array.count, array.flow) {
            (_, Flow::Unused) => 0,
            (Count::Field { .. }, _) => count_of(&argument, array),
            (Count::Sum(_), _) if descriptor.arrays[i - 1].count == array.count => lens[i - 1],
            (Count::Sum(of), _) => {
                // Small counts, where the program has put its own.
                for n in 0..lens[of] {
                    let count = random.below(5) as u32;
                    memory.put(place(of) + n * 4, &count.to_le_bytes());
                }
                (0..lens[of])
                    .map(|n| usize::from(memory.bytes[place(of) + n * 4]))
                    .sum()
            }
        };
    }
    memory.put(0, &argument);
    let before = memory.clone();

    let mut buffer = vec![0xee; 16384];
    let faults = descriptor
        .arrays
        .iter()
        .enumerate()
        .find_map(|(i, array)| match array.flow {
            Flow::In {
                null: Some(errno), ..
            } if nulls[i] && lens[i] > 0 => Some(errno),
            _ => None,
        });
    let call = match (
        encode(descriptor.cmd, Memory::BASE, &memory, &mut buffer),
        faults,
    ) {
        (Ok(call), None) => call,
        (Err(EncodeError::Errno(errno)), Some(expected)) if errno == expected => return,
        (other, expected) => panic!("{name}: {other:?}, expected {expected:?}"),
    };
    assert_eq!(
        memory.bytes, before.bytes,
        "{name}: encoding writes nothing"
    );

    // The server sees what the program wrote.
    let payload = buffer[..call.payload_len()].to_vec();
    let mut message = Message::decode(call.cmd(), payload).unwrap();
    let mut seen = message.argument_bytes().to_vec();
    let reads = ioctl::reads_argument(descriptor.cmd);
    for (i, array) in descriptor.arrays.iter().enumerate() {
        assert_eq!(message.room(i), if reads { lens[i] } else { 0 }, "{name}");
        assert_eq!(seen[array.pointer..array.pointer + 8], [0; 8], "{name}");
        let bytes = &before.bytes[place(i)..place(i) + lens[i] * array.element];
        match array.flow {
            Flow::In { .. } if !nulls[i] => assert_eq!(message.array(i), bytes, "{name}"),
            _ => assert!(message.array(i).iter().all(|b| *b == 0), "{name}"),
        }
    }
    for &(start, len) in descriptor.segments {
        for offset in start..start + len {
            let counts = |array: &Array| match array.count {
                Count::Field { offset: at, width } => (at..at + width).contains(&offset),
                Count::Sum(_) => false,
            };
            if reads && !descriptor.arrays.iter().any(counts) {
                assert_eq!(seen[offset], argument[offset], "{name} @ {offset}");
            }
        }
    }

    // The server answers with other bytes and its real counts.
    random.fill(&mut seen);
    let shares_input = |array: &Array| {
        descriptor
            .arrays
            .iter()
            .any(|other| other.count == array.count && matches!(other.flow, Flow::In { .. }))
    };
    for (i, array) in descriptor.arrays.iter().enumerate() {
        let count = if shares_input(array) {
            lens[i]
        } else {
            real[i]
        };
        put_count(&mut seen, array, count);
    }
    let mut whole = [0u8; 256];
    whole[..size].copy_from_slice(&seen);
    message.set_arg(&whole);
    let mut answers: Vec<Vec<u8>> = Vec::new();
    for (i, array) in descriptor.arrays.iter().enumerate() {
        let mut answer = vec![0; count_of(&seen, array) * array.element];
        random.fill(&mut answer);
        let written = write_bytes(&mut message, i, array.element, &answer);
        assert_eq!(
            written.is_ok(),
            matches!(array.flow, Flow::Out { .. }),
            "{name}"
        );
        answers.push(answer);
    }
    let reply = message.into_payload();
    assert_eq!(reply.len(), call.payload_len(), "{name}");

    // The program gets what Linux would have written.
    let mut expected = before.clone();
    let mut fault = None;
    for (i, array) in descriptor.arrays.iter().enumerate() {
        let Flow::Out { fill, nullable } = array.flow else {
            continue;
        };
        let count = fill.written(lens[i], count_of(&seen, array));
        if result < 0 || count == 0 || fault.is_some() {
            continue;
        }
        if nulls[i] {
            fault = (!nullable).then_some(Errno::EFAULT);
        } else {
            expected.put(place(i), &answers[i][..count * array.element]);
        }
    }
    if ioctl::writes_argument(descriptor.cmd) {
        for &(start, len) in descriptor.segments {
            expected.put(start, &seen[start..start + len]);
        }
        for array in descriptor.arrays {
            if let (Flow::Unused, Count::Field { offset, width }) = (array.flow, array.count) {
                expected.put(offset, &argument[offset..offset + width]);
            }
        }
    }
    let outcome = finish(&call, result, &reply, &mut memory);
    let wanted = match (fault, result) {
        (Some(errno), _) => Err(errno),
        (None, 0..) => Ok(result),
        (None, _) => Err(Errno(-result as i32)),
    };
    assert_eq!(outcome, wanted, "{name}");
    assert!(memory.bytes == expected.bytes, "{name}: memory differs");
}

/// `write_array` with elements of a size known at run time only.
fn write_bytes(
    message: &mut Message<Vec<u8>>,
    index: usize,
    element: usize,
    bytes: &[u8],
) -> Result<(), Errno> {
    fn write<const N: usize>(
        message: &mut Message<Vec<u8>>,
        index: usize,
        bytes: &[u8],
    ) -> Result<(), Errno> {
        let elements: Vec<[u8; N]> = bytes.as_chunks().0.to_vec();
        message.write_array(index, &elements)
    }
    match element {
        1 => write::<1>(message, index, bytes),
        2 => write::<2>(message, index, bytes),
        4 => write::<4>(message, index, bytes),
        8 => write::<8>(message, index, bytes),
        40 => write::<40>(message, index, bytes),
        68 => write::<68>(message, index, bytes),
        _ => panic!("no array has elements of {element} bytes"),
    }
}

proptest! {
    #[test]
    fn every_ioctl_round_trips(
        seed in any::<u64>(),
        counts in any::<[u8; 4]>(),
        real in any::<[u8; 4]>(),
        nulls in any::<[u8; 4]>(),
        errno in prop_oneof![3 => Just(0i64), 1 => Just(7i64), 1 => -133i64..0],
    ) {
        for descriptor in TABLE {
            round_trip(
                descriptor,
                seed,
                counts.map(|n| usize::from(n % 40)),
                real.map(|n| usize::from(n % 40)),
                // Mostly given; with seed-dependent exceptions.
                nulls.map(|n| n % 4 == 0),
                errno,
            );
        }
    }
}
