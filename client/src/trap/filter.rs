// SPDX-License-Identifier: MIT
//! The filter: a program for the kernel's packet filter machine.
//!
//! Trapped, unless a descriptor argument bears our mark ([`crate::raw::MARK`]):
//! * `ioctl` of DRM's type;
//! * `mmap` of a file at 4 GiB or more, where fake offsets are;
//! * `fstat`, which tells a device by its number;
//! * `open` and `openat` for reading and writing that create nothing.
//!
//! Calls of another machine's convention (32-bit programs) pass: they have other numbers.

use crate::raw::MARK;
use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_RSH, BPF_W,
    SECCOMP_RET_ALLOW, SECCOMP_RET_TRAP, sock_filter,
};

/// What the filter says with a trap, to tell it from a program's own.
pub const DATA: u32 = 0xd7;

/// `AUDIT_ARCH_X86_64` of `linux/audit.h`.
const ARCH: u32 = 0xc000_003e;
/// Offsets in `struct seccomp_data`.
const NUMBER_AT: u32 = 0;
const ARCH_AT: u32 = 4;

const fn low(argument: u32) -> u32 {
    16 + 8 * argument
}

const fn high(argument: u32) -> u32 {
    low(argument) + 4
}

const ALLOW: sock_filter = ret(SECCOMP_RET_ALLOW);
const TRAP: sock_filter = ret(SECCOMP_RET_TRAP | DATA);

const fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    }
}

const fn ret(value: u32) -> sock_filter {
    statement(BPF_RET | BPF_K, value)
}

const fn load(offset: u32) -> sock_filter {
    statement(BPF_LD | BPF_W | BPF_ABS, offset)
}

/// Goes on if equal, else skips `skip`.
const fn equal_else(value: u32, skip: u8) -> sock_filter {
    sock_filter {
        code: (BPF_JMP | BPF_JEQ | BPF_K) as u16,
        jt: 0,
        jf: skip,
        k: value,
    }
}

/// The filter.
pub const PROGRAM: &[sock_filter] = &[
    load(ARCH_AT),
    equal_else(ARCH, 1),
    // Goes on past the return.
    sock_filter {
        code: (BPF_JMP | libc::BPF_JA) as u16,
        jt: 0,
        jf: 0,
        k: 1,
    },
    ALLOW,
    load(NUMBER_AT),
    // ioctl
    equal_else(libc::SYS_ioctl as u32, 9),
    load(high(0)),
    equal_else(MARK, 1),
    ALLOW,
    load(low(1)),
    statement(BPF_ALU | BPF_RSH | BPF_K, 8),
    statement(BPF_ALU | BPF_AND | BPF_K, 0xff),
    equal_else(b'd' as u32, 1),
    TRAP,
    ALLOW,
    // mmap
    equal_else(libc::SYS_mmap as u32, 10),
    load(high(5)),
    equal_else(0, 1),
    ALLOW,
    load(high(4)),
    equal_else(MARK, 1),
    ALLOW,
    load(low(4)),
    equal_else(u32::MAX, 1),
    ALLOW,
    TRAP,
    // fstat
    equal_else(libc::SYS_fstat as u32, 4),
    load(high(0)),
    equal_else(MARK, 1),
    ALLOW,
    TRAP,
    // openat
    equal_else(libc::SYS_openat as u32, 8),
    load(high(0)),
    equal_else(MARK, 1),
    ALLOW,
    load(low(2)),
    statement(BPF_ALU | BPF_AND | BPF_K, OPEN_BITS),
    equal_else(libc::O_RDWR as u32, 1),
    TRAP,
    ALLOW,
    // open
    equal_else(OPEN, 4),
    load(low(1)),
    statement(BPF_ALU | BPF_AND | BPF_K, OPEN_BITS),
    equal_else(libc::O_RDWR as u32, 1),
    TRAP,
    ALLOW,
];

/// Access mode and creation: what is `O_RDWR` alone.
const OPEN_BITS: u32 = (libc::O_ACCMODE | libc::O_CREAT) as u32;

#[cfg(target_arch = "x86_64")]
const OPEN: u32 = libc::SYS_open as u32;
/// Newer machines have no `open`.
#[cfg(not(target_arch = "x86_64"))]
const OPEN: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the filter as the kernel's machine would.
    fn run(arch: u32, number: u32, args: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend(number.to_le_bytes());
        data.extend(arch.to_le_bytes());
        data.extend([0; 8]);
        args.iter().for_each(|arg| data.extend(arg.to_le_bytes()));
        let (mut at, mut accumulator) = (0, 0u32);
        loop {
            let step = &PROGRAM[at];
            at += 1;
            match u32::from(step.code) {
                code if code == BPF_LD | BPF_W | BPF_ABS => {
                    let from = step.k as usize;
                    accumulator = u32::from_le_bytes(data[from..from + 4].try_into().unwrap());
                }
                code if code == BPF_ALU | BPF_AND | BPF_K => accumulator &= step.k,
                code if code == BPF_ALU | BPF_RSH | BPF_K => accumulator >>= step.k,
                code if code == BPF_JMP | BPF_JEQ | BPF_K => {
                    at += usize::from(if accumulator == step.k {
                        step.jt
                    } else {
                        step.jf
                    });
                }
                code if code == BPF_JMP | libc::BPF_JA => at += step.k as usize,
                code if code == BPF_RET | BPF_K => return step.k,
                code => panic!("code {code}"),
            }
        }
    }

    #[test]
    fn what_is_trapped() {
        let marked = |fd: u32| u64::from(MARK) << 32 | u64::from(fd);
        let drm = u64::from(drvhost_drm::uapi::ioctl::VERSION);
        let (read_write, create) = (libc::O_RDWR as u64, libc::O_CREAT as u64);
        let cloexec = libc::O_CLOEXEC as u64;
        let none = u64::from(u32::MAX);
        let table: &[(i64, [u64; 6], bool)] = &[
            (libc::SYS_ioctl, [3, drm, 0, 0, 0, 0], true),
            (libc::SYS_ioctl, [3, 0x6400, 0, 0, 0, 0], true),
            (libc::SYS_ioctl, [marked(3), drm, 0, 0, 0, 0], false),
            (libc::SYS_ioctl, [3, 0x5401, 0, 0, 0, 0], false),
            (libc::SYS_mmap, [0, 1, 2, 3, 4, 0x1000], false),
            (libc::SYS_mmap, [0, 1, 2, 3, 4, 1 << 32], true),
            (libc::SYS_mmap, [0, 1, 2, 3, marked(4), 1 << 32], false),
            (libc::SYS_mmap, [0, 1, 2, 3, none, 1 << 32], false),
            (libc::SYS_fstat, [3, 0, 0, 0, 0, 0], true),
            (libc::SYS_fstat, [marked(3), 0, 0, 0, 0, 0], false),
            (
                libc::SYS_openat,
                [none, 0, read_write | cloexec, 0, 0, 0],
                true,
            ),
            (
                libc::SYS_openat,
                [none, 0, read_write | create, 0, 0, 0],
                false,
            ),
            (libc::SYS_openat, [none, 0, cloexec, 0, 0, 0], false),
            (libc::SYS_openat, [marked(3), 0, read_write, 0, 0, 0], false),
            (OPEN.into(), [0, read_write, 0, 0, 0, 0], true),
            (OPEN.into(), [0, 0, 0, 0, 0, 0], false),
            (libc::SYS_read, [3, 0, 0, 0, 0, 0], false),
            (libc::SYS_close, [3, 0, 0, 0, 0, 0], false),
        ];
        for (number, args, trapped) in table {
            let expected = if *trapped {
                SECCOMP_RET_TRAP | DATA
            } else {
                SECCOMP_RET_ALLOW
            };
            assert_eq!(
                run(ARCH, *number as u32, *args),
                expected,
                "{number} {args:x?}"
            );
            assert_eq!(run(ARCH ^ 1, *number as u32, *args), SECCOMP_RET_ALLOW);
        }
    }
}
