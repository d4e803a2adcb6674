// SPDX-License-Identifier: MIT
//! 0x00 to 0x3f: the file, authentication, buffers and vertical blanking.

use super::builders::*;
use crate::uapi::ioctl;
use crate::uapi::*;
use crate::wire::descriptor::{Array, Count, Descriptor, DescriptorPassing, Permissions};
use core::mem::offset_of;

pub(super) const ENTRIES: &[Descriptor] = &[
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
];
