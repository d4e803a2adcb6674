// SPDX-License-Identifier: MIT
//! The bytes that Redox's libc sends: offsets in the fixed part, and the arrays' elements, for
//! every number that it knows (as of August 2026) and the later ones that follow its rule.

use core::mem::offset_of;

use super::Memory;
use crate::uapi::{Pod, ioctl, *};
use crate::wire::{Message, TABLE, describe_number, encode};

/// A struct's fields by name with the offset each has in the fixed part.
macro_rules! fields {
    ($type:ty: $($field:ident @ $at:literal),* $(,)?) => {
        &[$((offset_of!($type, $field), $at, stringify!($field))),*]
    };
}

type Case = (
    u32,
    usize,
    &'static [(usize, usize, &'static str)],
    &'static [usize],
);

#[rustfmt::skip]
const CASES: &[Case] = &[
    (ioctl::VERSION, 40, fields!(drm_version: version_major @ 0, version_minor @ 4, version_patchlevel @ 8, name_len @ 16, date_len @ 24, desc_len @ 32), &[1, 1, 1]),
    (ioctl::GET_UNIQUE, 8, fields!(drm_unique: unique_len @ 0), &[1]),
    (ioctl::SET_VERSION, 16, fields!(drm_set_version: drm_di_major @ 0, drm_di_minor @ 4, drm_dd_major @ 8, drm_dd_minor @ 12), &[]),
    (ioctl::GET_CAP, 16, fields!(drm_get_cap: capability @ 0, value @ 8), &[]),
    (ioctl::SET_CLIENT_CAP, 16, fields!(drm_set_client_cap: capability @ 0, value @ 8), &[]),
    (ioctl::MODE_GETRESOURCES, 32, fields!(drm_mode_card_res: count_fbs @ 0, count_crtcs @ 4, count_connectors @ 8, count_encoders @ 12, min_width @ 16, max_width @ 20, min_height @ 24, max_height @ 28), &[4, 4, 4, 4]),
    (ioctl::MODE_GETCRTC, 96, fields!(drm_mode_crtc: count_connectors @ 0, crtc_id @ 4, fb_id @ 8, x @ 12, y @ 16, gamma_size @ 20, mode_valid @ 24, mode @ 28), &[4]),
    (ioctl::MODE_SETCRTC, 96, fields!(drm_mode_crtc: count_connectors @ 0, crtc_id @ 4, fb_id @ 8, x @ 12, y @ 16, gamma_size @ 20, mode_valid @ 24, mode @ 28), &[4]),
    (ioctl::MODE_CURSOR, 28, fields!(drm_mode_cursor: flags @ 0, crtc_id @ 4, x @ 8, y @ 12, width @ 16, height @ 20, handle @ 24), &[]),
    (ioctl::MODE_GETENCODER, 20, fields!(drm_mode_get_encoder: encoder_id @ 0, encoder_type @ 4, crtc_id @ 8, possible_crtcs @ 12, possible_clones @ 16), &[]),
    (ioctl::MODE_GETCONNECTOR, 48, fields!(drm_mode_get_connector: count_modes @ 0, count_props @ 4, count_encoders @ 8, encoder_id @ 12, connector_id @ 16, connector_type @ 20, connector_type_id @ 24, connection @ 28, mm_width @ 32, mm_height @ 36, subpixel @ 40, pad @ 44), &[4, 68, 4, 8]),
    (ioctl::MODE_GETPROPERTY, 48, fields!(drm_mode_get_property: prop_id @ 0, flags @ 4, name @ 8, count_values @ 40, count_enum_blobs @ 44), &[8, 40]),
    (ioctl::MODE_SETPROPERTY, 16, fields!(drm_mode_connector_set_property: value @ 0, prop_id @ 8, connector_id @ 12), &[]),
    (ioctl::MODE_GETPROPBLOB, 8, fields!(drm_mode_get_blob: blob_id @ 0, length @ 4), &[1]),
    (ioctl::MODE_GETFB, 28, fields!(drm_mode_fb_cmd: fb_id @ 0, width @ 4, height @ 8, pitch @ 12, bpp @ 16, depth @ 20, handle @ 24), &[]),
    (ioctl::MODE_ADDFB, 28, fields!(drm_mode_fb_cmd: fb_id @ 0, width @ 4, height @ 8, pitch @ 12, bpp @ 16, depth @ 20, handle @ 24), &[]),
    (ioctl::MODE_RMFB, 4, &[(0, 0, "fb_id")], &[]),
    (ioctl::MODE_PAGE_FLIP, 24, fields!(drm_mode_crtc_page_flip_target: crtc_id @ 0, fb_id @ 4, flags @ 8, sequence @ 12, user_data @ 16), &[]),
    (ioctl::MODE_DIRTYFB, 16, fields!(drm_mode_fb_dirty_cmd: fb_id @ 0, flags @ 4, color @ 8, num_clips @ 12), &[8]),
    (ioctl::MODE_CREATE_DUMB, 32, fields!(drm_mode_create_dumb: height @ 0, width @ 4, bpp @ 8, flags @ 12, handle @ 16, pitch @ 20, size @ 24), &[]),
    (ioctl::MODE_MAP_DUMB, 16, fields!(drm_mode_map_dumb: handle @ 0, pad @ 4, offset @ 8), &[]),
    (ioctl::MODE_DESTROY_DUMB, 4, fields!(drm_mode_destroy_dumb: handle @ 0), &[]),
    (ioctl::MODE_GETPLANERESOURCES, 4, fields!(drm_mode_get_plane_res: count_planes @ 0), &[4]),
    (ioctl::MODE_GETPLANE, 24, fields!(drm_mode_get_plane: plane_id @ 0, crtc_id @ 4, fb_id @ 8, possible_crtcs @ 12, gamma_size @ 16, count_format_types @ 20), &[4]),
    (ioctl::MODE_SETPLANE, 48, fields!(drm_mode_set_plane: plane_id @ 0, crtc_id @ 4, fb_id @ 8, flags @ 12, crtc_x @ 16, crtc_y @ 20, crtc_w @ 24, crtc_h @ 28, src_x @ 32, src_y @ 36, src_h @ 40, src_w @ 44), &[]),
    (ioctl::MODE_ADDFB2, 104, fields!(drm_mode_fb_cmd2: fb_id @ 0, width @ 4, height @ 8, pixel_format @ 12, flags @ 16, handles @ 20, pitches @ 36, offsets @ 52, modifier @ 72), &[]),
    (ioctl::MODE_OBJ_GETPROPERTIES, 12, fields!(drm_mode_obj_get_properties: count_props @ 0, obj_id @ 4, obj_type @ 8), &[4, 8]),
    (ioctl::MODE_CURSOR2, 36, fields!(drm_mode_cursor2: flags @ 0, crtc_id @ 4, x @ 8, y @ 12, width @ 16, height @ 20, handle @ 24, hot_x @ 28, hot_y @ 32), &[]),
    (ioctl::MODE_GETFB2, 104, fields!(drm_mode_fb_cmd2: fb_id @ 0, width @ 4, height @ 8, pixel_format @ 12, flags @ 16, handles @ 20, pitches @ 36, offsets @ 52, modifier @ 72), &[]),
    (ioctl::MODE_CLOSEFB, 8, fields!(drm_mode_closefb: fb_id @ 0, pad @ 4), &[]),
    // Later additions.
    (ioctl::MODE_SETGAMMA, 8, fields!(drm_mode_crtc_lut: crtc_id @ 0, gamma_size @ 4), &[2, 2, 2]),
    (ioctl::SET_CLIENT_NAME, 8, fields!(drm_set_client_name: name_len @ 0), &[1]),
    // By the same rule, where libc does not know the number.
    (ioctl::GEM_CLOSE, 8, fields!(drm_gem_close: handle @ 0, pad @ 4), &[]),
    (ioctl::SET_MASTER, 0, &[], &[]),
    (ioctl::DROP_MASTER, 0, &[], &[]),
    (ioctl::WAIT_VBLANK, 24, fields!(drm_wait_vblank_reply: type_ @ 0, sequence @ 4, tval_sec @ 8, tval_usec @ 16), &[]),
    (ioctl::MODE_OBJ_SETPROPERTY, 24, fields!(drm_mode_obj_set_property: value @ 0, prop_id @ 8, obj_id @ 12, obj_type @ 16), &[]),
    (ioctl::MODE_ATOMIC, 32, fields!(drm_mode_atomic: flags @ 0, count_objs @ 4, reserved @ 8, user_data @ 16), &[4, 4, 4, 8]),
    (ioctl::MODE_CREATEPROPBLOB, 8, fields!(drm_mode_create_blob: length @ 0, blob_id @ 4), &[1]),
    (ioctl::MODE_DESTROYPROPBLOB, 4, fields!(drm_mode_destroy_blob: blob_id @ 0), &[]),
    (ioctl::SYNCOBJ_WAIT, 32, fields!(drm_syncobj_wait: timeout_nsec @ 0, count_handles @ 8, flags @ 12, first_signaled @ 16, pad @ 20, deadline_nsec @ 24), &[4]),
    (ioctl::SYNCOBJ_TIMELINE_WAIT, 32, fields!(drm_syncobj_timeline_wait: timeout_nsec @ 0, count_handles @ 8, flags @ 12, first_signaled @ 16, pad @ 20, deadline_nsec @ 24), &[4, 8]),
    (ioctl::MODE_CREATE_LEASE, 16, fields!(drm_mode_create_lease: object_count @ 0, flags @ 4, lessee_id @ 8, fd @ 12), &[4]),
];

#[test]
fn fixed_parts_are_where_redox_puts_them() {
    for &(cmd, fixed, fields, elements) in CASES {
        let descriptor = describe_number(ioctl::nr(cmd)).unwrap();
        let name = descriptor.name;
        assert_eq!(descriptor.cmd, cmd, "{name}");
        assert_eq!(descriptor.fixed, fixed, "{name}");
        for &(offset, at, field) in fields {
            assert_eq!(descriptor.wire_offset(offset), Some(at), "{name}.{field}");
        }
        let of_table: Vec<usize> = descriptor.arrays.iter().map(|a| a.element).collect();
        assert_eq!(of_table, elements, "{name}");
    }
}

#[test]
fn numbers_are_those_of_the_headers() {
    // As programs built with the C headers send them.
    for (cmd, number) in [
        (ioctl::VERSION, 0xc040_6400),
        (ioctl::GET_MAGIC, 0x8004_6402),
        (ioctl::GEM_CLOSE, 0x4008_6409),
        (ioctl::GET_CAP, 0xc010_640c),
        (ioctl::SET_MASTER, 0x0000_641e),
        (ioctl::PRIME_HANDLE_TO_FD, 0xc00c_642d),
        (ioctl::WAIT_VBLANK, 0xc018_643a),
        (ioctl::MODE_GETRESOURCES, 0xc040_64a0),
        (ioctl::MODE_GETCONNECTOR, 0xc050_64a7),
        (ioctl::MODE_RMFB, 0xc004_64af),
        (ioctl::MODE_ADDFB2, 0xc068_64b8),
        (ioctl::MODE_ATOMIC, 0xc038_64bc),
        (ioctl::MODE_CREATE_LEASE, 0xc018_64c6),
    ] {
        assert_eq!(cmd, number);
    }
}

#[test]
fn the_table_agrees_with_the_named_numbers() {
    for (entry, (cmd, name)) in TABLE.iter().zip(ioctl::NAMES) {
        assert_eq!((entry.cmd, entry.name), (*cmd, *name));
    }
}

#[test]
fn a_connector_is_encoded_byte_for_byte() {
    let mut memory = Memory::new(4096);
    let at = |offset| Memory::BASE + offset;
    let argument = drm_mode_get_connector {
        encoders_ptr: at(1000),
        modes_ptr: 0,
        props_ptr: at(2000),
        prop_values_ptr: at(3000),
        count_modes: 1,
        count_props: 2,
        count_encoders: 3,
        connector_id: 0x2a,
        ..Default::default()
    };
    let mut bytes = [0; 80];
    argument.write_to(&mut bytes);
    memory.put(0, &bytes);
    let mut buffer = [0xff; 256];
    let call = encode(ioctl::MODE_GETCONNECTOR, Memory::BASE, &memory, &mut buffer).unwrap();
    let mut expected = vec![0; 48 + 3 * 4 + 68 + 2 * 4 + 2 * 8];
    expected[0] = 1;
    expected[4] = 2;
    expected[8] = 3;
    expected[16] = 0x2a;
    assert_eq!(buffer[..call.payload_len()], expected);
}

#[test]
fn atomic_carries_the_sum_of_its_counts() {
    let mut memory = Memory::new(4096);
    let argument = drm_mode_atomic {
        flags: DRM_MODE_ATOMIC_NONBLOCK,
        count_objs: 2,
        objs_ptr: Memory::BASE + 100,
        count_props_ptr: Memory::BASE + 200,
        props_ptr: Memory::BASE + 300,
        prop_values_ptr: Memory::BASE + 400,
        reserved: 0,
        user_data: 0x1122_3344_5566_7788,
    };
    let mut bytes = [0; 56];
    argument.write_to(&mut bytes);
    memory.put(0, &bytes);
    for (at, values) in [(100, &[7u32, 9][..]), (200, &[2, 1]), (300, &[20, 21, 22])] {
        for (i, value) in values.iter().enumerate() {
            memory.put(at + i * 4, &value.to_le_bytes());
        }
    }
    for (i, value) in [u64::MAX, 1, 2].iter().enumerate() {
        memory.put(400 + i * 8, &value.to_le_bytes());
    }
    let mut buffer = [0xff; 256];
    let call = encode(ioctl::MODE_ATOMIC, Memory::BASE, &memory, &mut buffer).unwrap();
    let payload = &mut buffer[..call.payload_len()];
    assert_eq!(payload.len(), 32 + 8 + 8 + 12 + 24);
    assert_eq!(payload[..8], [0, 2, 0, 0, 2, 0, 0, 0]);
    assert_eq!(
        payload[16..32],
        [
            0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 3, 0, 0, 0, 0, 0, 0, 0
        ]
    );
    let message = Message::decode(call.cmd(), &payload[..]).unwrap();
    assert!(message.elements::<u32>(0).eq([7, 9]));
    assert!(message.elements::<u32>(1).eq([2, 1]));
    assert!(message.elements::<u32>(2).eq([20, 21, 22]));
    assert!(message.elements::<u64>(3).eq([u64::MAX, 1, 2]));
    assert_eq!(message.arg::<drm_mode_atomic>().objs_ptr, 0);

    // A total that is not the sum is refused.
    payload[24] = 2;
    let shorter = &payload[..payload.len() - 12];
    assert_eq!(
        Message::decode(call.cmd(), shorter).unwrap_err(),
        Errno::EINVAL
    );
}
