// SPDX-License-Identifier: MIT
//! The filter: a program for the kernel's packet filter machine.
//!
//! Trapped, if made from inside the program's own code:
//! * `ioctl` of DRM's type;
//! * `mmap` of a file at 4 GiB or more, where fake offsets are;
//! * `fstat`, which tells a device by its number;
//! * `open` and `openat` for reading and writing that create nothing.
//!
//! A filter outlives `exec`; the program that follows may have no handler, and would be killed.
//! It lies at other addresses, so nothing of it is trapped. Where addresses are not random, only
//! the first two are: no ordinary program makes them.
//!
//! Calls of another machine's convention (32-bit programs) pass: they have other numbers.

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JGE, BPF_JGT, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_RSH,
    BPF_W, SECCOMP_RET_ALLOW, SECCOMP_RET_TRAP, sock_filter,
};
use std::ops::Range;

/// What the filter says with a trap, to tell it from a program's own.
pub const DATA: u32 = 0xd7;

/// `AUDIT_ARCH_X86_64` of `linux/audit.h`.
const ARCH: u32 = 0xc000_003e;
// Offsets in `struct seccomp_data`.
const NUMBER_AT: u32 = 0;
const ARCH_AT: u32 = 4;
const ADDRESS_AT: u32 = 8;

/// Access mode and creation: what is `O_RDWR` alone.
const OPEN_BITS: u32 = (libc::O_ACCMODE | libc::O_CREAT) as u32;

const fn low(argument: u32) -> u32 {
    16 + 8 * argument
}

const fn high(argument: u32) -> u32 {
    low(argument) + 4
}

/// Where a jump leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Allow,
    Trap,
    /// Past this many steps.
    Skip(u8),
}

/// A step, its jumps still by name.
#[derive(Clone, Copy, Debug)]
struct Step {
    code: u32,
    k: u32,
    then: To,
    otherwise: To,
}

const NEXT: To = To::Skip(0);

const fn plain(code: u32, k: u32) -> Step {
    Step {
        code,
        k,
        then: NEXT,
        otherwise: NEXT,
    }
}

const fn load(offset: u32) -> Step {
    plain(BPF_LD | BPF_W | BPF_ABS, offset)
}

const fn and(mask: u32) -> Step {
    plain(BPF_ALU | BPF_AND | BPF_K, mask)
}

const fn test(code: u32, k: u32, then: To, otherwise: To) -> Step {
    Step {
        code: BPF_JMP | code | BPF_K,
        k,
        then,
        otherwise,
    }
}

const fn equal(k: u32, then: To, otherwise: To) -> Step {
    test(BPF_JEQ, k, then, otherwise)
}

/// Makes the filter for a program's code. `all`: also what ordinary programs do.
pub fn program(code: &Range<u64>, all: bool) -> Vec<sock_filter> {
    let mut calls: Vec<(i64, Vec<Step>)> = vec![
        (
            libc::SYS_ioctl,
            vec![
                load(low(1)),
                plain(BPF_ALU | BPF_RSH | BPF_K, 8),
                and(0xff),
                equal(u32::from(b'd'), To::Trap, To::Allow),
            ],
        ),
        (
            libc::SYS_mmap,
            vec![
                load(high(5)),
                equal(0, To::Allow, NEXT),
                load(low(4)),
                equal(u32::MAX, To::Allow, To::Trap),
            ],
        ),
    ];
    if all {
        let opens = |flags| {
            vec![
                load(low(flags)),
                and(OPEN_BITS),
                equal(libc::O_RDWR as u32, To::Trap, To::Allow),
            ]
        };
        calls.push((libc::SYS_fstat, vec![equal(0, To::Trap, To::Trap)]));
        calls.push((libc::SYS_openat, opens(2)));
        #[cfg(target_arch = "x86_64")]
        calls.push((libc::SYS_open, opens(1)));
    }
    let mut steps = vec![
        load(ARCH_AT),
        equal(ARCH, NEXT, To::Allow),
        // First the number, alone: of other calls the kernel then knows that they always pass.
        load(NUMBER_AT),
    ];
    let count = calls.len();
    for (index, (number, _)) in calls.iter().enumerate() {
        let left = (count - 1 - index) as u8;
        let otherwise = if left == 0 { To::Allow } else { NEXT };
        steps.push(equal(*number as u32, To::Skip(left), otherwise));
    }
    let parts = parts(code);
    for (index, (top, start, end)) in parts.iter().enumerate() {
        let left = (parts.len() - 1 - index) as u8;
        let fails = |steps| {
            if left == 0 {
                To::Allow
            } else {
                To::Skip(steps)
            }
        };
        steps.extend([
            load(ADDRESS_AT + 4),
            equal(*top, NEXT, fails(3)),
            load(ADDRESS_AT),
            test(BPF_JGE, *start, NEXT, fails(1)),
            test(BPF_JGT, *end, fails(0), To::Skip(left * 5)),
        ]);
    }
    steps.push(load(NUMBER_AT));
    for (number, body) in calls {
        steps.push(equal(number as u32, NEXT, To::Skip(body.len() as u8)));
        steps.extend(body);
    }
    assemble(&steps)
}

/// The code's addresses by their upper halves, each with the first and last lower half.
fn parts(code: &Range<u64>) -> Vec<(u32, u32, u32)> {
    let last = code.end.saturating_sub(1).max(code.start);
    let tops = code.start >> 32..=last >> 32;
    tops.map(|top| {
        let start = if top == code.start >> 32 {
            code.start as u32
        } else {
            0
        };
        let end = if top == last >> 32 {
            last as u32
        } else {
            u32::MAX
        };
        (top as u32, start, end)
    })
    .collect()
}

/// Steps, then the two returns that jumps lead to.
fn assemble(steps: &[Step]) -> Vec<sock_filter> {
    let (allow, trap) = (steps.len(), steps.len() + 1);
    let distance = |at: usize, to: To| match to {
        To::Skip(count) => count,
        // A filter is far shorter than a jump can be long; the tests hold it to that.
        To::Allow => (allow - at - 1) as u8,
        To::Trap => (trap - at - 1) as u8,
    };
    let mut program: Vec<_> = steps
        .iter()
        .enumerate()
        .map(|(at, step)| sock_filter {
            code: step.code as u16,
            jt: distance(at, step.then),
            jf: distance(at, step.otherwise),
            k: step.k,
        })
        .collect();
    for value in [SECCOMP_RET_ALLOW, SECCOMP_RET_TRAP | DATA] {
        program.push(sock_filter {
            code: (BPF_RET | BPF_K) as u16,
            jt: 0,
            jf: 0,
            k: value,
        });
    }
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a filter as the kernel's machine would. `None`: allowed without a look at more than
    /// the number.
    fn run(program: &[sock_filter], arch: u32, number: u32, address: u64, args: [u64; 6]) -> bool {
        let mut data = Vec::new();
        data.extend(number.to_le_bytes());
        data.extend(arch.to_le_bytes());
        data.extend(address.to_le_bytes());
        args.iter().for_each(|arg| data.extend(arg.to_le_bytes()));
        let (mut at, mut accumulator) = (0, 0u32);
        loop {
            let step = &program[at];
            at += 1;
            let jump = |yes| usize::from(if yes { step.jt } else { step.jf });
            match u32::from(step.code) {
                code if code == BPF_LD | BPF_W | BPF_ABS => {
                    let from = step.k as usize;
                    accumulator = u32::from_le_bytes(data[from..from + 4].try_into().unwrap());
                }
                code if code == BPF_ALU | BPF_AND | BPF_K => accumulator &= step.k,
                code if code == BPF_ALU | BPF_RSH | BPF_K => accumulator >>= step.k,
                code if code == BPF_JMP | BPF_JEQ | BPF_K => at += jump(accumulator == step.k),
                code if code == BPF_JMP | BPF_JGE | BPF_K => at += jump(accumulator >= step.k),
                code if code == BPF_JMP | BPF_JGT | BPF_K => at += jump(accumulator > step.k),
                code if code == BPF_RET | BPF_K => return step.k == SECCOMP_RET_TRAP | DATA,
                code => panic!("code {code}"),
            }
        }
    }

    #[test]
    fn what_is_trapped() {
        let drm = u64::from(drvhost_drm::uapi::ioctl::VERSION);
        let (read_write, create) = (libc::O_RDWR as u64, libc::O_CREAT as u64);
        let cloexec = libc::O_CLOEXEC as u64;
        let none = u64::from(u32::MAX);
        // The call; whether it is trapped; whether also where addresses are not random.
        let table: &[(i64, [u64; 6], bool, bool)] = &[
            (libc::SYS_ioctl, [3, drm, 0, 0, 0, 0], true, true),
            (libc::SYS_ioctl, [3, 0x6400, 0, 0, 0, 0], true, true),
            (libc::SYS_ioctl, [3, 0x5401, 0, 0, 0, 0], false, false),
            (libc::SYS_mmap, [0, 1, 2, 3, 4, 0x1000], false, false),
            (libc::SYS_mmap, [0, 1, 2, 3, 4, 1 << 32], true, true),
            (libc::SYS_mmap, [0, 1, 2, 3, none, 1 << 32], false, false),
            (libc::SYS_fstat, [3, 0, 0, 0, 0, 0], true, false),
            (
                libc::SYS_openat,
                [none, 0, read_write | cloexec, 0, 0, 0],
                true,
                false,
            ),
            (
                libc::SYS_openat,
                [none, 0, read_write | create, 0, 0, 0],
                false,
                false,
            ),
            (libc::SYS_openat, [none, 0, cloexec, 0, 0, 0], false, false),
            (libc::SYS_open, [0, read_write, 0, 0, 0, 0], true, false),
            (libc::SYS_open, [0, 0, 0, 0, 0, 0], false, false),
            (libc::SYS_read, [3, 0, 0, 0, 0, 0], false, false),
            (libc::SYS_close, [3, 0, 0, 0, 0, 0], false, false),
        ];
        for code in [
            0x5555_5555_5000..0x5555_5556_0000u64,
            0x5555_ffff_f000..0x5556_0000_1000,
            0x40_1000..0x40_2000,
        ] {
            for all in [true, false] {
                let program = program(&code, all);
                assert!(program.len() < 80, "jumps are short");
                for (number, args, trapped, always) in table {
                    let run = |arch, address| run(&program, arch, *number as u32, address, *args);
                    let expected = if all { *trapped } else { *always };
                    for inside in [code.start, code.end - 1, (code.start + code.end) / 2] {
                        assert_eq!(run(ARCH, inside), expected, "{number} {args:x?} {inside:x}");
                        assert!(!run(ARCH ^ 1, inside));
                    }
                    for outside in [code.start - 1, code.end, 0, u64::MAX, code.start ^ 1 << 40] {
                        assert!(!run(ARCH, outside), "{number} {outside:x}");
                    }
                }
            }
        }
    }
}
