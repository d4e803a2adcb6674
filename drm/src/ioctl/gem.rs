// SPDX-License-Identifier: MIT
//! Buffer objects: handles, global names, PRIME, dumb buffers.

use crate::call::{Answer, Call};
use crate::device::State;
use crate::file::FileId;
use crate::gem::{Gem, PAGE, add_handle};
use crate::uapi::*;
use drvhost_abi::Errno;
use drvhost_abi::tables::ObjectKind;
use std::sync::Arc;

impl State {
    /// The object of a handle: `ENOENT` if there is none.
    pub fn gem(&mut self, file: FileId, handle: u32) -> Result<Arc<Gem>, Errno> {
        let handles = &self.file(file)?.handles;
        handles.get(&handle).cloned().ok_or(Errno::ENOENT)
    }

    /// Ends a handle: `EINVAL` if there is none.
    pub fn close_handle(&mut self, file: FileId, handle: u32) -> Result<(), Errno> {
        let handles = &mut self.file(file)?.handles;
        let gem = handles.remove(&handle).ok_or(Errno::EINVAL)?;
        let mut held = self.files.values().flat_map(|file| file.handles.values());
        if !held.any(|other| Arc::ptr_eq(other, &gem)) {
            self.gems.forget_name(&gem);
        }
        Ok(())
    }
}

/// `GEM_CLOSE`.
pub fn close(call: &mut Call<'_>) -> Answer {
    let arg: drm_gem_close = call.msg.arg();
    call.lock().close_handle(call.file, arg.handle)?;
    Ok(0)
}

/// `GEM_FLINK`.
pub fn flink(call: &mut Call<'_>) -> Answer {
    let mut arg: drm_gem_flink = call.msg.arg();
    let mut state = call.lock();
    let gem = state.gem(call.file, arg.handle)?;
    arg.name = state.gems.name(&gem, call.want)?;
    drop(state);
    call.msg.set_arg(&arg);
    Ok(0)
}

/// `GEM_OPEN`.
pub fn open(call: &mut Call<'_>) -> Answer {
    let mut arg: drm_gem_open = call.msg.arg();
    let mut state = call.lock();
    let gem = state.gems.by_name(arg.name).ok_or(Errno::ENOENT)?;
    arg.size = gem.size;
    arg.handle = add_handle(&mut state.file(call.file)?.handles, gem, call.want)?;
    drop(state);
    call.msg.set_arg(&arg);
    Ok(0)
}

/// `PRIME_HANDLE_TO_FD`.
pub fn handle_to_fd(call: &mut Call<'_>) -> Answer {
    let arg: drm_prime_handle = call.msg.arg();
    if arg.flags & !(DRM_CLOEXEC | DRM_RDWR) != 0 {
        return Err(Errno::EINVAL);
    }
    let gem = call.lock().gem(call.file, arg.handle)?;
    call.give(ObjectKind::Buffer, 0, gem.buffer().id());
    Ok(0)
}

/// `PRIME_FD_TO_HANDLE`: a buffer that the file has a handle for already gets no second one.
pub fn fd_to_handle(call: &mut Call<'_>) -> Answer {
    let mut arg: drm_prime_handle = call.msg.arg();
    let Some((_, id)) = call.buffers.first() else {
        // Another kind of descriptor is none of ours.
        return Err(if call.fences.is_empty() {
            Errno::EBADF
        } else {
            Errno::EINVAL
        });
    };
    let mut state = call.lock();
    let gem = state.gems.import(&call.device.host, *id)?;
    let handles = &mut state.file(call.file)?.handles;
    let known = handles.iter().find(|(_, held)| Arc::ptr_eq(held, &gem));
    arg.handle = match known.map(|(handle, _)| *handle) {
        Some(handle) if call.want.is_none_or(|want| want == handle) => handle,
        _ => add_handle(handles, gem, call.want)?,
    };
    drop(state);
    call.msg.set_arg(&arg);
    Ok(0)
}

/// `MODE_CREATE_DUMB`.
pub fn create_dumb(call: &mut Call<'_>) -> Answer {
    let mut arg: drm_mode_create_dumb = call.msg.arg();
    let (pitch, size) = dumb_size(arg.width, arg.height, arg.bpp)?;
    let mut state = call.lock();
    let gem = state.gems.create(&call.device.host, size)?;
    arg.size = size;
    arg.pitch = pitch;
    arg.handle = add_handle(&mut state.file(call.file)?.handles, gem, call.want)?;
    drop(state);
    call.msg.set_arg(&arg);
    Ok(0)
}

/// Bytes per row, and in all (whole pages), of a dumb buffer.
fn dumb_size(width: u32, height: u32, bpp: u32) -> Result<(u32, u64), Errno> {
    if width == 0 || height == 0 || bpp == 0 {
        return Err(Errno::EINVAL);
    }
    let bits_room = bpp.checked_add(8).ok_or(Errno::EINVAL)? - 1;
    let checked = width
        .checked_mul(bits_room / 8)
        .and_then(|stride| height.checked_mul(stride))
        .filter(|size| *size <= u32::MAX - 4095);
    checked.ok_or(Errno::EINVAL)?;
    let pitch = (u64::from(width) * u64::from(bpp)).div_ceil(8);
    let size = (pitch * u64::from(height)).next_multiple_of(PAGE);
    Ok((u32::try_from(pitch).map_err(|_| Errno::EINVAL)?, size))
}

/// `MODE_MAP_DUMB`.
pub fn map_dumb(call: &mut Call<'_>) -> Answer {
    let mut arg: drm_mode_map_dumb = call.msg.arg();
    let gem = call.lock().gem(call.file, arg.handle)?;
    if gem.imported {
        return Err(Errno::EINVAL);
    }
    arg.offset = gem.offset;
    call.msg.set_arg(&arg);
    Ok(0)
}

/// `MODE_DESTROY_DUMB`.
pub fn destroy_dumb(call: &mut Call<'_>) -> Answer {
    let arg: drm_mode_destroy_dumb = call.msg.arg();
    call.lock().close_handle(call.file, arg.handle)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dumb_sizes_are_linux_s() {
        for (width, height, bpp, expected) in [
            (1024, 768, 32, Ok((4096, 3145728))),
            (1, 1, 1, Ok((1, 4096))),
            (3, 1, 12, Ok((5, 4096))),
            (0, 1, 32, Err(Errno::EINVAL)),
            (1, 0, 32, Err(Errno::EINVAL)),
            (1, 1, 0, Err(Errno::EINVAL)),
            (1, 1, u32::MAX, Err(Errno::EINVAL)),
            (u32::MAX, 1, 32, Err(Errno::EINVAL)),
            (65536, 65536, 8, Err(Errno::EINVAL)),
            (u32::MAX, 1, 8, Err(Errno::EINVAL)),
        ] {
            assert_eq!(
                dumb_size(width, height, bpp),
                expected,
                "{width}x{height}@{bpp}"
            );
        }
    }
}
