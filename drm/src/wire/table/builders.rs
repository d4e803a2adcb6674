// SPDX-License-Identifier: MIT
//! How an entry of the table is written: a struct that travels as it is, then what else there is.

use core::mem::offset_of;

use crate::uapi::*;
use crate::wire::descriptor::{Array, Descriptor, DescriptorPassing, Fill, Flow};

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
    pub(super) const fn split(
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

    pub(super) const fn master(mut self) -> Self {
        self.permissions.master = true;
        self
    }

    pub(super) const fn auth(mut self) -> Self {
        self.permissions.auth = true;
        self
    }

    pub(super) const fn render(mut self) -> Self {
        self.permissions.render_allow = true;
        self
    }

    /// What is left of the drivers before KMS: for root as the authenticated master.
    pub(super) const fn legacy(mut self) -> Self {
        self.permissions.root_only = true;
        self.auth().master()
    }

    pub(super) const fn blocks(mut self) -> Self {
        self.may_block = true;
        self
    }

    pub(super) const fn passes(mut self, passing: DescriptorPassing) -> Self {
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
pub(super) const HANDLES: Flow = input(u32::MAX, Errno::ENOMEM);
/// Timeline points: without a pointer they are all zero.
pub(super) const POINTS: Flow = Flow::In {
    limit: u32::MAX,
    too_long: Errno::ENOMEM,
    null: None,
};
/// Text of `VERSION`: each may be left out.
pub(super) const TEXT: Flow = Flow::Out {
    fill: Fill::Partial,
    nullable: true,
};
/// Dirty rectangles. Linux refuses a count without a pointer before it looks at either.
pub(super) const CLIPS: Flow = Flow::In {
    limit: DRM_MODE_FB_DIRTY_MAX_CLIPS,
    too_long: Errno::EINVAL,
    null: Some(Errno::EINVAL),
};
pub(super) const NAME: Flow = input(DRM_CLIENT_NAME_MAX_LEN, Errno::EINVAL);
pub(super) const PARTIAL: Flow = output(Fill::Partial);
pub(super) const ALL_OR_NOTHING: Flow = output(Fill::AllOrNothing);
pub(super) const EXACT: Flow = output(Fill::Exact);
pub(super) const INVALID_IF_TOO_LONG: Flow = input(u32::MAX, Errno::EINVAL);
/// Where the file descriptor lies in what carries one for a buffer or a syncobj.
pub(super) const FD_AT_8: usize = offset_of!(drm_prime_handle, fd);
const _: () = assert!(FD_AT_8 == offset_of!(drm_syncobj_handle, fd));

pub(super) use {array, plain};
