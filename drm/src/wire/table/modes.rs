// SPDX-License-Identifier: MIT
//! 0xa0 to 0xbe: mode setting.

use super::builders::*;
use crate::uapi::ioctl;
use crate::uapi::*;
use crate::wire::descriptor::{Array, Count, Descriptor, Flow, Permissions};
use core::mem::offset_of;

const LUT: &[(usize, usize)] = &[(0, 8)];
const CRTC: &[(usize, usize)] = &[(8, 96)];

const fn lut(flow: Flow) -> [Array; 3] {
    [
        array!(drm_mode_crtc_lut, red[gamma_size: u32; u16], flow),
        array!(drm_mode_crtc_lut, green[gamma_size: u32; u16], flow),
        array!(drm_mode_crtc_lut, blue[gamma_size: u32; u16], flow),
    ]
}
const LUT_IN: &[Array] = &lut(INVALID_IF_TOO_LONG);
const LUT_OUT: &[Array] = &lut(EXACT);

pub(super) const ENTRIES: &[Descriptor] = &[
    plain!(MODE_GETRESOURCES, drm_mode_card_res, 64).split(
        &[(32, 32)],
        32,
        &[
            array!(drm_mode_card_res, fb_id_ptr[count_fbs: u32; u32], PARTIAL),
            array!(drm_mode_card_res, crtc_id_ptr[count_crtcs: u32; u32], PARTIAL),
            array!(
                drm_mode_card_res,
                connector_id_ptr[count_connectors: u32; u32],
                PARTIAL
            ),
            array!(
                drm_mode_card_res,
                encoder_id_ptr[count_encoders: u32; u32],
                PARTIAL
            ),
        ],
    ),
    plain!(MODE_GETCRTC, drm_mode_crtc, 104).split(
        CRTC,
        96,
        &[array!(
            drm_mode_crtc,
            set_connectors_ptr[count_connectors: u32; u32],
            Flow::Unused
        )],
    ),
    plain!(MODE_SETCRTC, drm_mode_crtc, 104)
        .split(
            CRTC,
            96,
            &[array!(
                drm_mode_crtc,
                set_connectors_ptr[count_connectors: u32; u32],
                INVALID_IF_TOO_LONG
            )],
        )
        .master()
        .blocks(),
    plain!(MODE_CURSOR, drm_mode_cursor, 28).master().blocks(),
    plain!(MODE_GETGAMMA, drm_mode_crtc_lut, 32).split(LUT, 8, LUT_OUT),
    plain!(MODE_SETGAMMA, drm_mode_crtc_lut, 32)
        .split(LUT, 8, LUT_IN)
        .master()
        .blocks(),
    plain!(MODE_GETENCODER, drm_mode_get_encoder, 20),
    plain!(MODE_GETCONNECTOR, drm_mode_get_connector, 80)
        .split(
            &[(32, 48)],
            48,
            &[
                array!(
                    drm_mode_get_connector,
                    encoders_ptr[count_encoders: u32; u32],
                    ALL_OR_NOTHING
                ),
                array!(
                    drm_mode_get_connector,
                    modes_ptr[count_modes: u32; drm_mode_modeinfo],
                    ALL_OR_NOTHING
                ),
                array!(
                    drm_mode_get_connector,
                    props_ptr[count_props: u32; u32],
                    PARTIAL
                ),
                array!(
                    drm_mode_get_connector,
                    prop_values_ptr[count_props: u32; u64],
                    PARTIAL
                ),
            ],
        )
        .blocks(),
    plain!(MODE_ATTACHMODE, drm_mode_mode_cmd, 72).master(),
    plain!(MODE_DETACHMODE, drm_mode_mode_cmd, 72).master(),
    plain!(MODE_GETPROPERTY, drm_mode_get_property, 64).split(
        &[(16, 48)],
        48,
        &[
            array!(
                drm_mode_get_property,
                values_ptr[count_values: u32; u64],
                PARTIAL
            ),
            array!(
                drm_mode_get_property,
                enum_blob_ptr[count_enum_blobs: u32; drm_mode_property_enum],
                PARTIAL
            ),
        ],
    ),
    plain!(MODE_SETPROPERTY, drm_mode_connector_set_property, 16)
        .master()
        .blocks(),
    plain!(MODE_GETPROPBLOB, drm_mode_get_blob, 16).split(
        &[(0, 8)],
        8,
        &[array!(drm_mode_get_blob, data[length: u32; u8], EXACT)],
    ),
    plain!(MODE_GETFB, drm_mode_fb_cmd, 28),
    plain!(MODE_ADDFB, drm_mode_fb_cmd, 28),
    plain!(MODE_RMFB, u32, 4).blocks(),
    plain!(MODE_PAGE_FLIP, drm_mode_crtc_page_flip, 24).master(),
    plain!(MODE_DIRTYFB, drm_mode_fb_dirty_cmd, 24)
        .split(
            &[(0, 16)],
            16,
            &[array!(
                drm_mode_fb_dirty_cmd,
                clips_ptr[num_clips: u32; drm_clip_rect],
                CLIPS
            )],
        )
        .master()
        .blocks(),
    plain!(MODE_CREATE_DUMB, drm_mode_create_dumb, 32),
    plain!(MODE_MAP_DUMB, drm_mode_map_dumb, 16),
    plain!(MODE_DESTROY_DUMB, drm_mode_destroy_dumb, 4),
    plain!(MODE_GETPLANERESOURCES, drm_mode_get_plane_res, 16).split(
        &[(8, 4)],
        4,
        &[array!(
            drm_mode_get_plane_res,
            plane_id_ptr[count_planes: u32; u32],
            PARTIAL
        )],
    ),
    plain!(MODE_GETPLANE, drm_mode_get_plane, 32).split(
        &[(0, 24)],
        24,
        &[array!(
            drm_mode_get_plane,
            format_type_ptr[count_format_types: u32; u32],
            ALL_OR_NOTHING
        )],
    ),
    plain!(MODE_SETPLANE, drm_mode_set_plane, 48)
        .master()
        .blocks(),
    plain!(MODE_ADDFB2, drm_mode_fb_cmd2, 104),
    plain!(MODE_OBJ_GETPROPERTIES, drm_mode_obj_get_properties, 32).split(
        &[(16, 12)],
        12,
        &[
            array!(
                drm_mode_obj_get_properties,
                props_ptr[count_props: u32; u32],
                PARTIAL
            ),
            array!(
                drm_mode_obj_get_properties,
                prop_values_ptr[count_props: u32; u64],
                PARTIAL
            ),
        ],
    ),
    plain!(MODE_OBJ_SETPROPERTY, drm_mode_obj_set_property, 24)
        .master()
        .blocks(),
    plain!(MODE_CURSOR2, drm_mode_cursor2, 36).master().blocks(),
    plain!(MODE_ATOMIC, drm_mode_atomic, 56)
        .split(
            &[(0, 8), (40, 16)],
            32,
            &[
                array!(drm_mode_atomic, objs_ptr[count_objs: u32; u32], INVALID_IF_TOO_LONG),
                array!(
                    drm_mode_atomic,
                    count_props_ptr[count_objs: u32; u32],
                    INVALID_IF_TOO_LONG
                ),
                Array {
                    pointer: offset_of!(drm_mode_atomic, props_ptr),
                    count: Count::Sum(1),
                    element: 4,
                    flow: INVALID_IF_TOO_LONG,
                },
                Array {
                    pointer: offset_of!(drm_mode_atomic, prop_values_ptr),
                    count: Count::Sum(1),
                    element: 8,
                    flow: INVALID_IF_TOO_LONG,
                },
            ],
        )
        .master()
        .blocks(),
    plain!(MODE_CREATEPROPBLOB, drm_mode_create_blob, 16).split(
        &[(8, 8)],
        8,
        &[array!(drm_mode_create_blob, data[length: u32; u8], HANDLES)],
    ),
    plain!(MODE_DESTROYPROPBLOB, drm_mode_destroy_blob, 4),
];
