// SPDX-License-Identifier: MIT
//! System calls that leave `errno` alone, with addresses that nobody checked.

use rustix::io::Errno;
use std::ffi::CStr;

/// Makes a system call.
///
/// # Safety
/// As the call itself: pointers are valid for what the kernel does with them, or it answers
/// `EFAULT`.
#[cfg(target_arch = "x86_64")]
unsafe fn syscall(number: i64, args: [usize; 6]) -> isize {
    let result;
    // SAFETY: the kernel's convention: rcx and r11 are lost, memory may change.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") args[0],
            in("rsi") args[1],
            in("rdx") args[2],
            in("r10") args[3],
            in("r8") args[4],
            in("r9") args[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack)
        );
    }
    result
}

/// As above.
///
/// # Safety
/// As above.
#[cfg(target_arch = "aarch64")]
unsafe fn syscall(number: i64, args: [usize; 6]) -> isize {
    let result;
    // SAFETY: the kernel's convention: only x0 changes, memory may change.
    unsafe {
        std::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") args[0] => result,
            in("x1") args[1],
            in("x2") args[2],
            in("x3") args[3],
            in("x4") args[4],
            in("x5") args[5],
            options(nostack)
        );
    }
    result
}

fn check(result: isize) -> Result<isize, Errno> {
    match result {
        -4095..=-1 => Err(Errno::from_raw_os_error(-result as i32)),
        _ => Ok(result),
    }
}

/// `ioctl`.
///
/// # Safety
/// `arg` is what the request takes; the kernel checks addresses.
pub unsafe fn ioctl(fd: i32, request: u64, arg: usize) -> Result<isize, Errno> {
    // SAFETY: the caller's promise.
    check(unsafe {
        syscall(
            libc::SYS_ioctl,
            [fd as usize, request as usize, arg, 0, 0, 0],
        )
    })
}

/// `openat`.
///
/// # Safety
/// `path` is the program's; the kernel checks the address.
pub unsafe fn openat(dir: i32, path: usize, flags: i32, mode: u32) -> Result<i32, Errno> {
    let args = [dir as usize, path, flags as usize, mode as usize, 0, 0];
    // SAFETY: the caller's promise.
    check(unsafe { syscall(libc::SYS_openat, args) }).map(|fd| fd as i32)
}

/// `fstat`.
pub fn fstat(fd: i32) -> Result<libc::stat64, Errno> {
    let mut stat = std::mem::MaybeUninit::<libc::stat64>::uninit();
    let args = [fd as usize, stat.as_mut_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: the buffer is as large as the kernel's struct; on success it is filled.
    unsafe {
        check(syscall(libc::SYS_fstat, args))?;
        Ok(stat.assume_init())
    }
}

/// `stat`.
pub fn stat(path: &CStr) -> Result<libc::stat64, Errno> {
    let mut stat = std::mem::MaybeUninit::<libc::stat64>::uninit();
    let args = [
        libc::AT_FDCWD as usize,
        path.as_ptr() as usize,
        stat.as_mut_ptr() as usize,
        0,
        0,
        0,
    ];
    // SAFETY: a good string; the buffer is as large as the kernel's struct, and filled on success.
    unsafe {
        check(syscall(libc::SYS_newfstatat, args))?;
        Ok(stat.assume_init())
    }
}

/// `recvfrom` without an address.
///
/// # Safety
/// What is at `to` is overwritten; the kernel checks the address.
pub unsafe fn recvfrom(fd: i32, to: usize, len: usize, flags: i32) -> Result<usize, Errno> {
    let args = [fd as usize, to, len, flags as usize, 0, 0];
    // SAFETY: the caller's promise.
    check(unsafe { syscall(libc::SYS_recvfrom, args) }).map(|len| len as usize)
}

/// The arguments of `mmap`.
#[derive(Clone, Copy, Debug)]
pub struct Mmap {
    /// Where, or zero.
    pub addr: usize,
    /// Bytes.
    pub length: usize,
    /// `PROT_*`.
    pub prot: i32,
    /// `MAP_*`.
    pub flags: i32,
    /// Of what.
    pub fd: i32,
    /// Bytes.
    pub offset: u64,
}

/// `mmap`.
///
/// # Safety
/// With `MAP_FIXED`, what is at the address goes: the program asked for it.
pub unsafe fn mmap(map: &Mmap) -> Result<usize, Errno> {
    let args = [
        map.addr,
        map.length,
        map.prot as usize,
        map.flags as usize,
        map.fd as usize,
        map.offset as usize,
    ];
    // SAFETY: the caller's promise.
    check(unsafe { syscall(libc::SYS_mmap, args) }).map(|addr| addr as usize)
}

/// Whether this thread runs on its signal stack now, or nobody says.
pub fn on_signal_stack() -> bool {
    let mut now = std::mem::MaybeUninit::<libc::stack_t>::uninit();
    let args = [0, now.as_mut_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: changes nothing; the struct is the kernel's, and filled on success.
    unsafe {
        check(syscall(libc::SYS_sigaltstack, args)).is_err()
            || now.assume_init().ss_flags & libc::SS_ONSTACK != 0
    }
}

/// Copies between this process's own addresses by the kernel, which checks both.
pub fn copy(to: u64, from: u64, len: usize, reads: bool) -> Result<usize, Errno> {
    let (near, far) = if reads { (to, from) } else { (from, to) };
    let near = [near as usize, len];
    let far = [far as usize, len];
    let number = if reads {
        libc::SYS_process_vm_readv
    } else {
        libc::SYS_process_vm_writev
    };
    let pid = rustix::process::getpid().as_raw_nonzero().get() as usize;
    let args = [pid, near.as_ptr() as usize, 1, far.as_ptr() as usize, 1, 0];
    // SAFETY: both vectors (address, length) live over the call; bad addresses are EFAULT.
    check(unsafe { syscall(number, args) }).map(|len| len as usize)
}
