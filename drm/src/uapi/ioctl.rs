// SPDX-License-Identifier: MIT
//! Ioctl numbers: `dir << 30 | size << 16 | 'd' << 8 | nr`, as `asm-generic/ioctl.h` makes them.

use drm_sys::*;

/// The type byte of every DRM ioctl, `'d'`.
pub const TYPE: u8 = DRM_IOCTL_BASE;

/// Which way the argument travels, seen from the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dir {
    /// No argument (`_IO`).
    None,
    /// The kernel reads it (`_IOW`).
    Write,
    /// The kernel fills it (`_IOR`).
    Read,
    /// Both (`_IOWR`).
    ReadWrite,
}

impl Dir {
    /// The two bits of the number.
    pub const fn bits(self) -> u32 {
        match self {
            Dir::None => 0,
            Dir::Write => 1,
            Dir::Read => 2,
            Dir::ReadWrite => 3,
        }
    }
}

/// Makes a number. `size` is the struct's, below 16384.
pub const fn number(dir: Dir, nr: u8, size: usize) -> u32 {
    assert!(size < 1 << 14, "an ioctl's argument is below 16 KiB");
    dir.bits() << 30 | (size as u32) << 16 | (TYPE as u32) << 8 | nr as u32
}

/// The function number.
pub const fn nr(cmd: u32) -> u8 {
    cmd as u8
}

/// The type byte.
pub const fn type_of(cmd: u32) -> u8 {
    (cmd >> 8) as u8
}

/// The argument's size in bytes as the caller knows it.
pub const fn size(cmd: u32) -> usize {
    (cmd >> 16 & 0x3fff) as usize
}

/// The caller lets the kernel read the argument.
pub const fn reads_argument(cmd: u32) -> bool {
    cmd >> 30 & 1 != 0
}

/// The caller lets the kernel write the argument.
pub const fn writes_argument(cmd: u32) -> bool {
    cmd >> 31 != 0
}

/// The number belongs to the driver, not to the core (0x40 to 0x9f).
pub const fn is_driver_private(nr: u8) -> bool {
    nr as u32 >= DRM_COMMAND_BASE && (nr as u32) < DRM_COMMAND_END
}

macro_rules! numbers {
    ($($name:ident = $dir:ident $nr:literal, $type:ty;)*) => {
        $(
            #[doc = concat!("`", stringify!($nr), "`, argument `", stringify!($type), "`.")]
            pub const $name: u32 = number(Dir::$dir, $nr, size_of::<$type>());
        )*

        /// The names of `drm.h`, for logs and `drvhost`.
        pub const NAMES: &[(u32, &str)] = &[$(($name, stringify!($name))),*];
    };
}

numbers! {
    VERSION = ReadWrite 0x00, drm_version;
    GET_UNIQUE = ReadWrite 0x01, drm_unique;
    GET_MAGIC = Read 0x02, drm_auth;
    GET_CLIENT = ReadWrite 0x05, drm_client;
    GET_STATS = Read 0x06, drm_stats;
    SET_VERSION = ReadWrite 0x07, drm_set_version;
    GEM_CLOSE = Write 0x09, drm_gem_close;
    GEM_FLINK = ReadWrite 0x0a, drm_gem_flink;
    GEM_OPEN = ReadWrite 0x0b, drm_gem_open;
    GET_CAP = ReadWrite 0x0c, drm_get_cap;
    SET_CLIENT_CAP = Write 0x0d, drm_set_client_cap;
    SET_UNIQUE = Write 0x10, drm_unique;
    AUTH_MAGIC = Write 0x11, drm_auth;
    BLOCK = ReadWrite 0x12, drm_block;
    UNBLOCK = ReadWrite 0x13, drm_block;
    SET_MASTER = None 0x1e, ();
    DROP_MASTER = None 0x1f, ();
    ADD_DRAW = ReadWrite 0x27, drm_draw;
    RM_DRAW = ReadWrite 0x28, drm_draw;
    FINISH = Write 0x2c, drm_lock;
    PRIME_HANDLE_TO_FD = ReadWrite 0x2d, drm_prime_handle;
    PRIME_FD_TO_HANDLE = ReadWrite 0x2e, drm_prime_handle;
    WAIT_VBLANK = ReadWrite 0x3a, drm_wait_vblank;
    CRTC_GET_SEQUENCE = ReadWrite 0x3b, drm_crtc_get_sequence;
    CRTC_QUEUE_SEQUENCE = ReadWrite 0x3c, drm_crtc_queue_sequence;
    UPDATE_DRAW = Write 0x3f, drm_update_draw;
    MODE_GETRESOURCES = ReadWrite 0xa0, drm_mode_card_res;
    MODE_GETCRTC = ReadWrite 0xa1, drm_mode_crtc;
    MODE_SETCRTC = ReadWrite 0xa2, drm_mode_crtc;
    MODE_CURSOR = ReadWrite 0xa3, drm_mode_cursor;
    MODE_GETGAMMA = ReadWrite 0xa4, drm_mode_crtc_lut;
    MODE_SETGAMMA = ReadWrite 0xa5, drm_mode_crtc_lut;
    MODE_GETENCODER = ReadWrite 0xa6, drm_mode_get_encoder;
    MODE_GETCONNECTOR = ReadWrite 0xa7, drm_mode_get_connector;
    MODE_ATTACHMODE = ReadWrite 0xa8, drm_mode_mode_cmd;
    MODE_DETACHMODE = ReadWrite 0xa9, drm_mode_mode_cmd;
    MODE_GETPROPERTY = ReadWrite 0xaa, drm_mode_get_property;
    MODE_SETPROPERTY = ReadWrite 0xab, drm_mode_connector_set_property;
    MODE_GETPROPBLOB = ReadWrite 0xac, drm_mode_get_blob;
    MODE_GETFB = ReadWrite 0xad, drm_mode_fb_cmd;
    MODE_ADDFB = ReadWrite 0xae, drm_mode_fb_cmd;
    MODE_RMFB = ReadWrite 0xaf, u32;
    MODE_PAGE_FLIP = ReadWrite 0xb0, drm_mode_crtc_page_flip;
    MODE_DIRTYFB = ReadWrite 0xb1, drm_mode_fb_dirty_cmd;
    MODE_CREATE_DUMB = ReadWrite 0xb2, drm_mode_create_dumb;
    MODE_MAP_DUMB = ReadWrite 0xb3, drm_mode_map_dumb;
    MODE_DESTROY_DUMB = ReadWrite 0xb4, drm_mode_destroy_dumb;
    MODE_GETPLANERESOURCES = ReadWrite 0xb5, drm_mode_get_plane_res;
    MODE_GETPLANE = ReadWrite 0xb6, drm_mode_get_plane;
    MODE_SETPLANE = ReadWrite 0xb7, drm_mode_set_plane;
    MODE_ADDFB2 = ReadWrite 0xb8, drm_mode_fb_cmd2;
    MODE_OBJ_GETPROPERTIES = ReadWrite 0xb9, drm_mode_obj_get_properties;
    MODE_OBJ_SETPROPERTY = ReadWrite 0xba, drm_mode_obj_set_property;
    MODE_CURSOR2 = ReadWrite 0xbb, drm_mode_cursor2;
    MODE_ATOMIC = ReadWrite 0xbc, drm_mode_atomic;
    MODE_CREATEPROPBLOB = ReadWrite 0xbd, drm_mode_create_blob;
    MODE_DESTROYPROPBLOB = ReadWrite 0xbe, drm_mode_destroy_blob;
    SYNCOBJ_CREATE = ReadWrite 0xbf, drm_syncobj_create;
    SYNCOBJ_DESTROY = ReadWrite 0xc0, drm_syncobj_destroy;
    SYNCOBJ_HANDLE_TO_FD = ReadWrite 0xc1, drm_syncobj_handle;
    SYNCOBJ_FD_TO_HANDLE = ReadWrite 0xc2, drm_syncobj_handle;
    SYNCOBJ_WAIT = ReadWrite 0xc3, drm_syncobj_wait;
    SYNCOBJ_RESET = ReadWrite 0xc4, drm_syncobj_array;
    SYNCOBJ_SIGNAL = ReadWrite 0xc5, drm_syncobj_array;
    MODE_CREATE_LEASE = ReadWrite 0xc6, drm_mode_create_lease;
    MODE_LIST_LESSEES = ReadWrite 0xc7, drm_mode_list_lessees;
    MODE_GET_LEASE = ReadWrite 0xc8, drm_mode_get_lease;
    MODE_REVOKE_LEASE = ReadWrite 0xc9, drm_mode_revoke_lease;
    SYNCOBJ_TIMELINE_WAIT = ReadWrite 0xca, drm_syncobj_timeline_wait;
    SYNCOBJ_QUERY = ReadWrite 0xcb, drm_syncobj_timeline_array;
    SYNCOBJ_TRANSFER = ReadWrite 0xcc, drm_syncobj_transfer;
    SYNCOBJ_TIMELINE_SIGNAL = ReadWrite 0xcd, drm_syncobj_timeline_array;
    MODE_GETFB2 = ReadWrite 0xce, drm_mode_fb_cmd2;
    SYNCOBJ_EVENTFD = ReadWrite 0xcf, drm_syncobj_eventfd;
    MODE_CLOSEFB = ReadWrite 0xd0, drm_mode_closefb;
    SET_CLIENT_NAME = ReadWrite 0xd1, drm_set_client_name;
}
