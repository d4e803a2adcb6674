// SPDX-License-Identifier: MIT
//! 0xbf to 0xd1: synchronisation objects, leases, and what came after them.

use super::builders::*;
use crate::uapi::ioctl;
use crate::uapi::*;
use crate::wire::descriptor::{Array, Count, Descriptor, DescriptorPassing, Permissions};
use core::mem::offset_of;

pub(super) const ENTRIES: &[Descriptor] = &[
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
