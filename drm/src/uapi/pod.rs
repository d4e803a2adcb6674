// SPDX-License-Identifier: MIT
//! Structs of the uAPI as bytes and back, at any alignment.
//!
//! `zerocopy` would check this at compile time, but its traits can't be implemented for another
//! crate's structs; so this is a marker of our own, with one list of the structs it holds for.

use core::mem::MaybeUninit;
use core::ops::Range;

use drm_sys::*;

/// A plain struct or integer: every byte pattern of its size is a valid value.
///
/// # Safety
///
/// The type is `repr(C)` or a primitive; any initialised bytes are a valid value of it (integers,
/// raw pointers, and arrays and structs of these); and every padding byte lies in
/// [`Pod::PADDING`].
pub unsafe trait Pod: Copy + 'static {
    /// Where the type has padding, which has no value and must not be read.
    const PADDING: &'static [Range<usize>] = &[];

    /// The value that the first bytes of `bytes` spell. Bytes past them are ignored; missing ones
    /// read as zero, as Linux extends a short argument.
    fn read_from(bytes: &[u8]) -> Self {
        let mut value = MaybeUninit::<Self>::zeroed();
        let len = bytes.len().min(size_of::<Self>());
        // SAFETY: `len` bounds both sides, which can't overlap: `value` is ours.
        unsafe {
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), value.as_mut_ptr().cast::<u8>(), len);
        }
        // SAFETY: every byte is initialised (zeroed, then copied over), and the trait's contract
        // makes any bytes a valid value.
        unsafe { value.assume_init() }
    }

    /// Writes the value over the first bytes of `bytes`, as many as fit. Padding is written as
    /// zero.
    fn write_to(&self, bytes: &mut [u8]) {
        let len = bytes.len().min(size_of::<Self>());
        let from = core::ptr::from_ref(self).cast::<u8>();
        let mut start = 0;
        for gap in Self::PADDING {
            copy_range(from, bytes, start..gap.start.min(len));
            bytes[gap.start.min(len)..gap.end.min(len)].fill(0);
            start = gap.end;
        }
        copy_range(from, bytes, start..len);
    }
}

/// Copies `range` of a value that starts at `from` to the same range of `bytes`.
fn copy_range(from: *const u8, bytes: &mut [u8], range: Range<usize>) {
    let Some(to) = bytes.get_mut(range.clone()) else {
        return;
    };
    // SAFETY: the only caller passes a range inside the value and outside its padding, so these
    // bytes are initialised; `to` has the range's length and can't overlap a shared value.
    unsafe {
        core::ptr::copy_nonoverlapping(from.add(range.start), to.as_mut_ptr(), to.len());
    }
}

// SAFETY: bytes have no padding, and any byte is valid.
unsafe impl<const N: usize> Pod for [u8; N] {}

macro_rules! pod {
    ($($type:ty: $size:literal $(, padding $($start:literal .. $end:literal),+)?;)*) => {
        $(
            const _: () = assert!(size_of::<$type>() == $size);
            // SAFETY: integers, arrays of integers and raw pointers in `repr(C)`; the padding
            // follows from the fields' sizes, and the total is asserted above.
            unsafe impl Pod for $type {
                $(const PADDING: &'static [Range<usize>] = &[$($start..$end),+];)?
            }
        )*
    };
}

pod! {
    u8: 1;
    i8: 1;
    u16: 2;
    i16: 2;
    u32: 4;
    i32: 4;
    u64: 8;
    i64: 8;
    drm_auth: 4;
    drm_client: 40;
    drm_clip_rect: 8;
    drm_color_ctm: 72;
    drm_color_ctm_3x4: 96;
    drm_color_lut: 8;
    drm_color_lut32: 16;
    drm_crtc_get_sequence: 24;
    drm_crtc_queue_sequence: 24;
    drm_event: 8;
    drm_event_crtc_sequence: 32;
    drm_event_vblank: 32;
    drm_format_modifier: 24;
    drm_format_modifier_blob: 24;
    drm_gem_change_handle: 8;
    drm_gem_close: 8;
    drm_gem_flink: 8;
    drm_gem_open: 16;
    drm_get_cap: 16;
    drm_mode_atomic: 56;
    drm_mode_card_res: 64;
    drm_mode_closefb: 8;
    drm_mode_connector_set_property: 16;
    drm_mode_create_blob: 16;
    drm_mode_create_dumb: 32;
    drm_mode_create_lease: 24;
    drm_mode_crtc: 104;
    drm_mode_crtc_lut: 32;
    drm_mode_crtc_page_flip: 24;
    drm_mode_crtc_page_flip_target: 24;
    drm_mode_cursor: 28;
    drm_mode_cursor2: 36;
    drm_mode_destroy_blob: 4;
    drm_mode_destroy_dumb: 4;
    drm_mode_fb_cmd: 28;
    drm_mode_fb_cmd2: 104, padding 68..72;
    drm_mode_fb_dirty_cmd: 24;
    drm_mode_get_blob: 16;
    drm_mode_get_connector: 80;
    drm_mode_get_encoder: 20;
    drm_mode_get_lease: 16;
    drm_mode_get_plane: 32;
    drm_mode_get_plane_res: 16, padding 12..16;
    drm_mode_get_property: 64;
    drm_mode_list_lessees: 16;
    drm_mode_map_dumb: 16;
    drm_mode_mode_cmd: 72;
    drm_mode_modeinfo: 68;
    drm_mode_obj_get_properties: 32, padding 28..32;
    drm_mode_obj_set_property: 24, padding 20..24;
    drm_mode_property_enum: 40;
    drm_mode_rect: 16;
    drm_mode_revoke_lease: 4;
    drm_mode_set_plane: 48;
    drm_plane_size_hint: 4;
    drm_prime_handle: 12;
    drm_set_client_cap: 16;
    drm_set_client_name: 16;
    drm_set_version: 16;
    drm_syncobj_array: 16;
    drm_syncobj_create: 8;
    drm_syncobj_destroy: 8;
    drm_syncobj_eventfd: 24;
    drm_syncobj_handle: 24;
    drm_syncobj_timeline_array: 24;
    drm_syncobj_timeline_wait: 48;
    drm_syncobj_transfer: 32;
    drm_syncobj_wait: 40;
    drm_unique: 16;
    drm_version: 64, padding 12..16;
    // The union `drm_wait_vblank` is read and written as one of its two members.
    drm_wait_vblank_reply: 24;
    drm_wait_vblank_request: 16;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_argument_reads_as_zero_extended() {
        let value = drm_get_cap::read_from(&[7, 0, 0, 0, 0, 0, 0, 0, 9]);
        assert_eq!((value.capability, value.value), (7, 9));
    }

    #[test]
    fn padding_is_written_as_zero_and_the_rest_as_is() {
        let bytes: Vec<u8> = (1..=104).collect();
        let value = drm_mode_fb_cmd2::read_from(&bytes);
        let mut back = [0xff; 110];
        value.write_to(&mut back);
        assert_eq!(back[..68], bytes[..68]);
        assert_eq!(back[68..72], [0; 4]);
        assert_eq!(back[72..104], bytes[72..]);
        assert_eq!(back[104..], [0xff; 6], "nothing past the value");
    }

    #[test]
    fn a_short_destination_gets_the_first_bytes() {
        let value = drm_version {
            version_major: 1,
            version_minor: 2,
            version_patchlevel: 3,
            name_len: 4,
            ..Default::default()
        };
        let mut back = [0xff; 14];
        value.write_to(&mut back);
        assert_eq!(back, [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0]);
    }
}
