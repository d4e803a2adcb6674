// SPDX-License-Identifier: MIT
//! The core ioctls: layouts from `drm.h` and `drm_mode.h`, permissions and error numbers as
//! Linux 6.12 has them.
//!
//! Sizes are asserted at compile time three ways: the number written here, the struct's, and the
//! one inside the ioctl number. So are the order of numbers and each layout's soundness.

use core::mem::offset_of;

use super::descriptor::{Array, Count, Descriptor, DescriptorPassing, Fill, Flow, Permissions};
use crate::uapi::ioctl;
use crate::uapi::*;

/// An ioctl whose struct travels as it is; builders below add what else there is to say.
macro_rules! plain {
    ($name:ident, $type:ty, $size:literal) => {{
        const {
            assert!(size_of::<$type>() == $size);
            assert!(ioctl::size(ioctl::$name) == $size);
        }
        Descriptor {
            name: stringify!($name),
            cmd: ioctl::$name,
            segments: if $size == 0 { &[] } else { &[(0, $size)] },
            fixed: $size,
            arrays: &[],
            permissions: Permissions {
                master: false,
                auth: false,
                render_allow: false,
                root_only: false,
            },
            may_block: false,
            passing: None,
        }
    }};
}

/// An array: pointer field, count field (with its type), element type, flow.
macro_rules! array {
    ($type:ty, $pointer:ident [$count:ident: $width:ty; $element:ty], $flow:expr) => {
        Array {
            pointer: offset_of!($type, $pointer),
            count: Count::Field {
                offset: offset_of!($type, $count),
                width: size_of::<$width>(),
            },
            element: size_of::<$element>(),
            flow: $flow,
        }
    };
}

impl Descriptor {
    /// The struct holds pointers: its other pieces, their total length, and what is pointed to.
    const fn split(
        mut self,
        segments: &'static [(usize, usize)],
        fixed: usize,
        arrays: &'static [Array],
    ) -> Self {
        self.segments = segments;
        self.fixed = fixed;
        self.arrays = arrays;
        self
    }

    const fn master(mut self) -> Self {
        self.permissions.master = true;
        self
    }

    const fn auth(mut self) -> Self {
        self.permissions.auth = true;
        self
    }

    const fn render(mut self) -> Self {
        self.permissions.render_allow = true;
        self
    }

    /// What is left of the drivers before KMS: for root as the authenticated master.
    const fn legacy(mut self) -> Self {
        self.permissions.root_only = true;
        self.auth().master()
    }

    const fn blocks(mut self) -> Self {
        self.may_block = true;
        self
    }

    const fn passes(mut self, passing: DescriptorPassing) -> Self {
        self.passing = Some(passing);
        self
    }
}

const fn input(limit: u32, too_long: Errno) -> Flow {
    Flow::In {
        limit,
        too_long,
        null: Some(Errno::EFAULT),
    }
}

const fn output(fill: Fill) -> Flow {
    Flow::Out {
        fill,
        nullable: false,
    }
}

/// Kernel memory is the limit of these.
const HANDLES: Flow = input(u32::MAX, Errno::ENOMEM);
/// Timeline points: without a pointer they are all zero.
const POINTS: Flow = Flow::In {
    limit: u32::MAX,
    too_long: Errno::ENOMEM,
    null: None,
};
/// Text of `VERSION`: each may be left out.
const TEXT: Flow = Flow::Out {
    fill: Fill::Partial,
    nullable: true,
};
/// Dirty rectangles. Linux refuses a count without a pointer before it looks at either.
const CLIPS: Flow = Flow::In {
    limit: DRM_MODE_FB_DIRTY_MAX_CLIPS,
    too_long: Errno::EINVAL,
    null: Some(Errno::EINVAL),
};
const NAME: Flow = input(DRM_CLIENT_NAME_MAX_LEN, Errno::EINVAL);
const PARTIAL: Flow = output(Fill::Partial);
const ALL_OR_NOTHING: Flow = output(Fill::AllOrNothing);
const EXACT: Flow = output(Fill::Exact);
const INVALID_IF_TOO_LONG: Flow = input(u32::MAX, Errno::EINVAL);

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

const FD_AT_8: usize = offset_of!(drm_prime_handle, fd);
const _: () = assert!(FD_AT_8 == offset_of!(drm_syncobj_handle, fd));

/// Every core ioctl, by number.
pub static TABLE: &[Descriptor] = ENTRIES;

const ENTRIES: &[Descriptor] = &[
    plain!(VERSION, drm_version, 64)
        .split(
            &[(0, 24), (32, 8), (48, 8)],
            40,
            &[
                array!(drm_version, name[name_len: __kernel_size_t; u8], TEXT),
                array!(drm_version, date[date_len: __kernel_size_t; u8], TEXT),
                array!(drm_version, desc[desc_len: __kernel_size_t; u8], TEXT),
            ],
        )
        .render(),
    plain!(GET_UNIQUE, drm_unique, 16).split(
        &[(0, 8)],
        8,
        &[array!(
            drm_unique,
            unique[unique_len: __kernel_size_t; u8],
            ALL_OR_NOTHING
        )],
    ),
    plain!(GET_MAGIC, drm_auth, 4),
    plain!(GET_CLIENT, drm_client, 40),
    plain!(GET_STATS, drm_stats, 248),
    plain!(SET_VERSION, drm_set_version, 16).master(),
    plain!(GEM_CLOSE, drm_gem_close, 8).render(),
    plain!(GEM_FLINK, drm_gem_flink, 8).auth(),
    plain!(GEM_OPEN, drm_gem_open, 16).auth(),
    plain!(GET_CAP, drm_get_cap, 16).render(),
    plain!(SET_CLIENT_CAP, drm_set_client_cap, 16),
    // Always refused: what it points to is never read.
    plain!(SET_UNIQUE, drm_unique, 16)
        .split(&[(0, 8)], 8, &[])
        .legacy(),
    plain!(AUTH_MAGIC, drm_auth, 4).master(),
    plain!(BLOCK, drm_block, 4).legacy(),
    plain!(UNBLOCK, drm_block, 4).legacy(),
    plain!(SET_MASTER, (), 0),
    plain!(DROP_MASTER, (), 0),
    plain!(ADD_DRAW, drm_draw, 4).legacy(),
    plain!(RM_DRAW, drm_draw, 4).legacy(),
    plain!(FINISH, drm_lock, 8).auth(),
    plain!(PRIME_HANDLE_TO_FD, drm_prime_handle, 12)
        .render()
        .passes(DescriptorPassing::Out(FD_AT_8)),
    plain!(PRIME_FD_TO_HANDLE, drm_prime_handle, 12)
        .render()
        .passes(DescriptorPassing::In(FD_AT_8)),
    plain!(WAIT_VBLANK, drm_wait_vblank, 24).blocks(),
    plain!(CRTC_GET_SEQUENCE, drm_crtc_get_sequence, 24),
    plain!(CRTC_QUEUE_SEQUENCE, drm_crtc_queue_sequence, 24),
    plain!(UPDATE_DRAW, drm_update_draw, 24).legacy(),
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
    plain!(SYNCOBJ_CREATE, drm_syncobj_create, 8).render(),
    plain!(SYNCOBJ_DESTROY, drm_syncobj_destroy, 8).render(),
    plain!(SYNCOBJ_HANDLE_TO_FD, drm_syncobj_handle, 24)
        .render()
        .passes(DescriptorPassing::Out(FD_AT_8)),
    plain!(SYNCOBJ_FD_TO_HANDLE, drm_syncobj_handle, 24)
        .render()
        .passes(DescriptorPassing::In(FD_AT_8)),
    plain!(SYNCOBJ_WAIT, drm_syncobj_wait, 40)
        .split(
            &[(8, 32)],
            32,
            &[array!(drm_syncobj_wait, handles[count_handles: u32; u32], HANDLES)],
        )
        .render()
        .blocks(),
    plain!(SYNCOBJ_RESET, drm_syncobj_array, 16)
        .split(
            &[(8, 8)],
            8,
            &[array!(drm_syncobj_array, handles[count_handles: u32; u32], HANDLES)],
        )
        .render(),
    plain!(SYNCOBJ_SIGNAL, drm_syncobj_array, 16)
        .split(
            &[(8, 8)],
            8,
            &[array!(drm_syncobj_array, handles[count_handles: u32; u32], HANDLES)],
        )
        .render(),
    plain!(MODE_CREATE_LEASE, drm_mode_create_lease, 24)
        .split(
            &[(8, 16)],
            16,
            &[array!(drm_mode_create_lease, object_ids[object_count: u32; u32], HANDLES)],
        )
        .master()
        .passes(DescriptorPassing::Out(offset_of!(
            drm_mode_create_lease,
            fd
        ))),
    plain!(MODE_LIST_LESSEES, drm_mode_list_lessees, 16)
        .split(
            &[(0, 8)],
            8,
            &[array!(
                drm_mode_list_lessees,
                lessees_ptr[count_lessees: u32; u32],
                PARTIAL
            )],
        )
        .master(),
    plain!(MODE_GET_LEASE, drm_mode_get_lease, 16)
        .split(
            &[(0, 8)],
            8,
            &[array!(
                drm_mode_get_lease,
                objects_ptr[count_objects: u32; u32],
                PARTIAL
            )],
        )
        .master(),
    plain!(MODE_REVOKE_LEASE, drm_mode_revoke_lease, 4).master(),
    plain!(SYNCOBJ_TIMELINE_WAIT, drm_syncobj_timeline_wait, 48)
        .split(
            &[(16, 32)],
            32,
            &[
                array!(drm_syncobj_timeline_wait, handles[count_handles: u32; u32], HANDLES),
                array!(drm_syncobj_timeline_wait, points[count_handles: u32; u64], POINTS),
            ],
        )
        .render()
        .blocks(),
    plain!(SYNCOBJ_QUERY, drm_syncobj_timeline_array, 24)
        .split(
            &[(16, 8)],
            8,
            &[
                array!(drm_syncobj_timeline_array, handles[count_handles: u32; u32], HANDLES),
                array!(
                    drm_syncobj_timeline_array,
                    points[count_handles: u32; u64],
                    PARTIAL
                ),
            ],
        )
        .render(),
    plain!(SYNCOBJ_TRANSFER, drm_syncobj_transfer, 32).render(),
    plain!(SYNCOBJ_TIMELINE_SIGNAL, drm_syncobj_timeline_array, 24)
        .split(
            &[(16, 8)],
            8,
            &[
                array!(drm_syncobj_timeline_array, handles[count_handles: u32; u32], HANDLES),
                array!(drm_syncobj_timeline_array, points[count_handles: u32; u64], POINTS),
            ],
        )
        .render(),
    plain!(MODE_GETFB2, drm_mode_fb_cmd2, 104),
    plain!(SYNCOBJ_EVENTFD, drm_syncobj_eventfd, 24)
        .render()
        .passes(DescriptorPassing::In(offset_of!(drm_syncobj_eventfd, fd))),
    plain!(MODE_CLOSEFB, drm_mode_closefb, 8),
    plain!(SET_CLIENT_NAME, drm_set_client_name, 16)
        .split(
            &[(0, 8)],
            8,
            &[array!(
                drm_set_client_name,
                name[name_len: u64; u8],
                NAME
            )],
        )
        .render(),
];

const _: () = assert!(ENTRIES.len() == ioctl::NAMES.len());

/// Index in the table by function number; 0xff is none.
const BY_NUMBER: [u8; 256] = {
    let mut index = [0xff; 256];
    let mut i = 0;
    while i < ENTRIES.len() {
        let entry = &ENTRIES[i];
        assert!(
            i == 0 || ENTRIES[i - 1].nr() < entry.nr(),
            "ascending, so no number twice"
        );
        assert!(entry.is_sound(), "the layout contradicts the struct");
        assert!(
            entry.passing.is_none() || entry.descriptor_wire_offset().is_some(),
            "the descriptor is in the fixed part"
        );
        index[entry.nr() as usize] = i as u8;
        i += 1;
    }
    index
};

/// What is known about an ioctl, whatever size and direction its caller knows it with. `None`:
/// not a core ioctl; it travels as its struct's bytes.
pub fn describe(cmd: u32) -> Option<&'static Descriptor> {
    if ioctl::type_of(cmd) != ioctl::TYPE {
        return None;
    }
    describe_number(ioctl::nr(cmd))
}

/// The same by function number, which is all that Redox's libc sends.
pub fn describe_number(nr: u8) -> Option<&'static Descriptor> {
    TABLE.get(usize::from(BY_NUMBER[usize::from(nr)]))
}
