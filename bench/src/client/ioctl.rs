// SPDX-License-Identifier: MIT
//! One ioctl, as a C program makes it: through libc, where the preload library sits.

use drvhost_drm::uapi::Pod;
use drvhost_drm::uapi::ioctl::size;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Makes a call; interrupted ones are made again.
///
/// # Safety
/// Addresses inside `argument` are those of buffers as long as its counts say.
pub unsafe fn ioctl<T: Pod>(file: impl AsFd, cmd: u32, argument: &mut T) -> io::Result<i32> {
    assert_eq!(
        size(cmd),
        size_of::<T>(),
        "the number says how long the argument is"
    );
    loop {
        let fd = file.as_fd().as_raw_fd();
        // SAFETY: `argument` is as long as the number says; the caller answers for what it
        // points to.
        let result = unsafe { libc::ioctl(fd, cmd.into(), std::ptr::from_mut(argument)) };
        if result >= 0 {
            return Ok(result);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
