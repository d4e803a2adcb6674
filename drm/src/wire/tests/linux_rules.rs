// SPDX-License-Identifier: MIT
//! Linux's rules at the program's end: sizes, directions, bad addresses, limits, partial output.

use super::Memory;
use crate::uapi::ioctl::{self, Dir};
use crate::uapi::*;
use crate::wire::{EncodeError, MAX_PAYLOAD, Message, encode, finish};

fn memory_with(argument: &impl Pod, size: usize) -> Memory {
    let mut memory = Memory::new(8192);
    let mut bytes = vec![0; size];
    argument.write_to(&mut bytes);
    memory.put(0, &bytes);
    memory
}

fn failure(cmd: u32, memory: &Memory) -> EncodeError {
    let mut buffer = vec![0; MAX_PAYLOAD];
    encode(cmd, Memory::BASE, memory, &mut buffer).unwrap_err()
}

#[test]
fn a_short_struct_is_extended_and_only_its_part_comes_back() {
    let cmd = ioctl::number(Dir::ReadWrite, 0x0c, 8);
    let mut memory = memory_with(&5u64, 8);
    memory.put(8, &[0xaa; 8]);
    let mut buffer = [0xff; 64];
    let call = encode(cmd, Memory::BASE, &memory, &mut buffer).unwrap();
    assert_eq!(call.cmd(), ioctl::GET_CAP);
    assert_eq!(
        buffer[..16],
        [5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    );
    let mut reply = buffer[..16].to_vec();
    reply[0] = 6;
    reply[8] = 1;
    assert_eq!(finish(&call, 0, &reply, &mut memory), Ok(0));
    assert_eq!(memory.bytes[..8], [6, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(memory.bytes[8..16], [0xaa; 8]);
}

#[test]
fn a_long_struct_must_be_readable_and_keeps_its_rest() {
    let cmd = ioctl::number(Dir::ReadWrite, 0x0c, 600);
    let mut memory = Memory::new(600);
    memory.bytes.fill(0xaa);
    let mut buffer = [0; 64];
    let call = encode(cmd, Memory::BASE, &memory, &mut buffer).unwrap();
    assert_eq!(call.payload_len(), 16);
    finish(&call, 0, &[1; 16], &mut memory).unwrap();
    assert_eq!(memory.bytes[..16], [1; 16]);
    assert!(memory.bytes[16..].iter().all(|b| *b == 0xaa));
    memory.bytes.truncate(599);
    assert_eq!(failure(cmd, &memory), Errno::EFAULT.into());
}

#[test]
fn directions_are_what_both_numbers_allow() {
    // GEM_CLOSE is write-only in the table: nothing comes back, whatever the caller says.
    let cmd = ioctl::number(Dir::ReadWrite, 0x09, 8);
    let mut memory = memory_with(&drm_gem_close { handle: 3, pad: 0 }, 8);
    let mut buffer = [0; 64];
    let call = encode(cmd, Memory::BASE, &memory, &mut buffer).unwrap();
    finish(&call, 0, &[9; 8], &mut memory).unwrap();
    assert_eq!(memory.bytes[..8], [3, 0, 0, 0, 0, 0, 0, 0]);

    // GET_MAGIC is read-only: nothing goes out, and a longer struct is filled up with zeros.
    let cmd = ioctl::number(Dir::ReadWrite, 0x02, 12);
    let mut memory = Memory::new(12);
    memory.bytes.fill(0xaa);
    let call = encode(cmd, Memory::BASE, &memory, &mut buffer).unwrap();
    assert_eq!(buffer[..4], [0; 4]);
    finish(&call, 0, &[7; 4], &mut memory).unwrap();
    assert_eq!(memory.bytes, [7, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0]);

    // A caller who lets nothing be read sends zeros.
    let cmd = ioctl::number(Dir::None, 0x0c, 16);
    let call = encode(cmd, 0, &memory, &mut buffer).unwrap();
    assert_eq!(buffer[..16], [0; 16]);
    assert_eq!(finish(&call, 0, &[1; 16], &mut memory), Ok(0));
}

#[test]
fn bad_addresses_fault() {
    let memory = Memory::new(64);
    let mut buffer = [0; 256];
    for address in [0, 1, Memory::BASE - 1, Memory::BASE + 60, u64::MAX] {
        let result = encode(ioctl::GET_CAP, address, &memory, &mut buffer);
        assert_eq!(result.unwrap_err(), Errno::EFAULT.into());
    }
    let long = ioctl::number(Dir::ReadWrite, 0x0c, 16383);
    let result = encode(long, u64::MAX - 20, &memory, &mut buffer);
    assert_eq!(result.unwrap_err(), Errno::EFAULT.into());
}

#[test]
fn input_arrays_fail_as_linux_fails() {
    let null = |count| drm_mode_create_blob {
        length: count,
        ..Default::default()
    };
    let blob = memory_with(&null(4), 16);
    assert_eq!(
        failure(ioctl::MODE_CREATEPROPBLOB, &blob),
        Errno::EFAULT.into()
    );
    let blob = memory_with(&null(u32::MAX), 16);
    assert_eq!(
        failure(ioctl::MODE_CREATEPROPBLOB, &blob),
        Errno::ENOMEM.into()
    );

    let dirty = drm_mode_fb_dirty_cmd {
        num_clips: 257,
        clips_ptr: 1,
        ..Default::default()
    };
    let memory = memory_with(&dirty, 24);
    assert_eq!(failure(ioctl::MODE_DIRTYFB, &memory), Errno::EINVAL.into());

    let points = drm_syncobj_timeline_array {
        handles: Memory::BASE + 64,
        points: 0,
        count_handles: 2,
        flags: 0,
    };
    let memory = memory_with(&points, 24);
    let mut buffer = [0xff; 64];
    let call = encode(
        ioctl::SYNCOBJ_TIMELINE_SIGNAL,
        Memory::BASE,
        &memory,
        &mut buffer,
    )
    .unwrap();
    assert_eq!(call.payload_len(), 8 + 8 + 16);
    assert_eq!(buffer[16..32], [0; 16], "no points are points of zero");

    let atomic = drm_mode_atomic {
        count_objs: 2,
        objs_ptr: Memory::BASE + 64,
        count_props_ptr: Memory::BASE + 128,
        props_ptr: Memory::BASE,
        prop_values_ptr: Memory::BASE,
        ..Default::default()
    };
    let mut memory = memory_with(&atomic, 56);
    memory.put(128, &[0xff; 8]);
    assert_eq!(failure(ioctl::MODE_ATOMIC, &memory), Errno::EINVAL.into());
}

#[test]
fn output_arrays_are_clamped_to_a_payload() {
    let argument = drm_mode_card_res {
        count_fbs: u32::MAX,
        count_crtcs: u32::MAX,
        count_connectors: u32::MAX,
        count_encoders: u32::MAX,
        ..Default::default()
    };
    let memory = memory_with(&argument, 64);
    let mut buffer = vec![0; MAX_PAYLOAD];
    let call = encode(ioctl::MODE_GETRESOURCES, Memory::BASE, &memory, &mut buffer).unwrap();
    let message = Message::decode(call.cmd(), &buffer[..call.payload_len()]).unwrap();
    assert!(message.room(0) > 60_000);

    let argument = drm_mode_get_connector {
        count_props: u32::MAX,
        ..Default::default()
    };
    let memory = memory_with(&argument, 80);
    let call = encode(ioctl::MODE_GETCONNECTOR, Memory::BASE, &memory, &mut buffer).unwrap();
    let message = Message::decode(call.cmd(), &buffer[..call.payload_len()]).unwrap();
    assert_eq!(message.room(2), message.room(3), "they share a count");
}

#[test]
fn output_follows_each_arrays_own_rule() {
    // (room, real) and what of a property's values, a connector's modes and a blob comes back.
    for (room, real, partial, all_or_nothing, exact) in [
        (0, 3, 0, 0, 0),
        (2, 3, 2, 0, 0),
        (3, 3, 3, 3, 3),
        (4, 3, 3, 3, 0),
    ] {
        use crate::wire::Fill;
        assert_eq!(Fill::Partial.written(room, real), partial);
        assert_eq!(Fill::AllOrNothing.written(room, real), all_or_nothing);
        assert_eq!(Fill::Exact.written(room, real), exact);
    }
}

#[test]
fn a_failed_call_writes_the_struct_back_but_no_array() {
    let argument = drm_mode_get_blob {
        blob_id: 1,
        length: 4,
        data: Memory::BASE + 64,
    };
    let mut memory = memory_with(&argument, 16);
    memory.put(64, &[0xaa; 4]);
    let mut buffer = [0; 64];
    let call = encode(ioctl::MODE_GETPROPBLOB, Memory::BASE, &memory, &mut buffer).unwrap();
    let mut reply = buffer[..call.payload_len()].to_vec();
    reply[0] = 2;
    assert_eq!(finish(&call, -2, &reply, &mut memory), Err(Errno::ENOENT));
    assert_eq!(memory.bytes[0], 2);
    assert_eq!(memory.bytes[64..68], [0xaa; 4]);
    assert_eq!(finish(&call, 0, &reply[1..], &mut memory), Err(Errno::EIO));
    assert_eq!(
        finish(&call, i64::MIN, &reply, &mut memory),
        Err(Errno::EIO)
    );
}

#[test]
fn getcrtc_ignores_its_connectors_as_linux_does() {
    let argument = drm_mode_crtc {
        set_connectors_ptr: 0xdead,
        count_connectors: 0xffff_fff0,
        crtc_id: 36,
        ..Default::default()
    };
    let mut memory = memory_with(&argument, 104);
    let mut buffer = [0; 128];
    let call = encode(ioctl::MODE_GETCRTC, Memory::BASE, &memory, &mut buffer).unwrap();
    assert_eq!(call.payload_len(), 96);
    let mut reply = buffer[..96].to_vec();
    reply[8] = 77;
    finish(&call, 0, &reply, &mut memory).unwrap();
    let back = drm_mode_crtc::read_from(&memory.bytes);
    assert_eq!(back.count_connectors, 0xffff_fff0);
    assert_eq!((back.set_connectors_ptr, back.fb_id), (0xdead, 77));
}

#[test]
fn text_may_be_left_out_and_other_output_may_not() {
    let argument = drm_version {
        name_len: 8,
        ..Default::default()
    };
    let mut memory = memory_with(&argument, 64);
    let mut buffer = [0; 128];
    let call = encode(ioctl::VERSION, Memory::BASE, &memory, &mut buffer).unwrap();
    let mut message = Message::decode(call.cmd(), buffer[..call.payload_len()].to_vec()).unwrap();
    let mut version = message.arg::<drm_version>();
    version.name_len = 5;
    message.set_arg(&version);
    message.write_array(0, b"dispi").unwrap();
    assert_eq!(finish(&call, 0, message.payload(), &mut memory), Ok(0));

    let argument = drm_mode_get_plane_res {
        plane_id_ptr: 0,
        count_planes: 1,
    };
    let mut memory = memory_with(&argument, 16);
    let call = encode(
        ioctl::MODE_GETPLANERESOURCES,
        Memory::BASE,
        &memory,
        &mut buffer,
    )
    .unwrap();
    let mut reply = buffer[..call.payload_len()].to_vec();
    assert_eq!(finish(&call, 0, &reply, &mut memory), Err(Errno::EFAULT));
    reply[0] = 0;
    assert_eq!(
        finish(&call, 0, &reply, &mut memory),
        Ok(0),
        "nothing to write"
    );
}

#[test]
fn descriptors_are_found_and_replaced() {
    let argument = drm_prime_handle {
        handle: 0,
        flags: 0,
        fd: 12,
    };
    let memory = memory_with(&argument, 12);
    let mut buffer = [0; 64];
    let call = encode(
        ioctl::PRIME_FD_TO_HANDLE,
        Memory::BASE,
        &memory,
        &mut buffer,
    )
    .unwrap();
    assert_eq!(call.descriptor_in(&buffer), Some(12));
    assert!(!call.set_descriptor_out(&mut buffer, 5));
    let call = encode(
        ioctl::PRIME_HANDLE_TO_FD,
        Memory::BASE,
        &memory,
        &mut buffer,
    )
    .unwrap();
    assert_eq!(call.descriptor_in(&buffer), None);
    assert!(call.set_descriptor_out(&mut buffer, 5));
    assert_eq!(drm_prime_handle::read_from(&buffer).fd, 5);
}

#[test]
fn other_numbers_travel_as_they_are_and_other_types_not_at_all() {
    let cmd = ioctl::number(Dir::ReadWrite, 0x40, 5);
    let mut memory = Memory::new(64);
    memory.put(0, &[1, 2, 3, 4, 5, 6]);
    let mut buffer = [0; 64];
    let call = encode(cmd, Memory::BASE, &memory, &mut buffer).unwrap();
    assert_eq!((call.cmd(), call.payload_len()), (cmd, 5));
    assert_eq!(buffer[..5], [1, 2, 3, 4, 5]);
    finish(&call, 0, &[9; 5], &mut memory).unwrap();
    assert_eq!(memory.bytes[..6], [9, 9, 9, 9, 9, 6]);

    assert_eq!(failure(0x5401, &memory), Errno::ENOTTY.into());
    assert_eq!(
        encode(ioctl::GET_CAP, Memory::BASE, &memory, &mut [0; 15]).unwrap_err(),
        EncodeError::TooSmall(16)
    );
}
