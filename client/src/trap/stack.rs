// SPDX-License-Identifier: MIT
//! Stacks for the handler. A program's signal stack may have 8 KiB, most of it taken by the
//! registers that the kernel saves; a goroutine's stack has less.

use libc::c_void;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicPtr, AtomicU64};

/// Handlers at work at once; more use what stack they have.
const STACKS: usize = 64;
const SIZE: usize = 64 << 10;
/// Zeros above a stack's start: what prints a backtrace reads on there, and finds the end.
const END: usize = 4096;

static MEMORY: AtomicPtr<u8> = AtomicPtr::new(null_mut());
// One bit for each stack in use. A child that is forked meanwhile loses those of other threads.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// What runs there: it gets its argument, and the stack's start and size in bytes.
pub type Function = extern "C" fn(*mut c_void, *mut c_void, usize);

/// Reserves the memory. Untouched, it costs nothing.
pub fn reserve() {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
    let prot = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice.
    let memory = unsafe { mmap_anonymous(null_mut(), STACKS * SIZE, prot, MapFlags::PRIVATE) };
    if let Ok(memory) = memory {
        MEMORY.store(memory.cast(), Release);
    }
}

/// Calls `function` with `argument` and the stack it runs on: one of ours, if one is free. It must
/// not unwind.
pub fn with_room(function: Function, argument: *mut c_void) {
    let memory = MEMORY.load(Acquire);
    let taken = TAKEN.fetch_update(AcqRel, Relaxed, |taken| {
        (taken != u64::MAX).then(|| taken | (taken + 1))
    });
    let (false, Ok(before)) = (memory.is_null(), taken) else {
        return function(argument, null_mut(), 0);
    };
    let index = before.trailing_ones() as usize;
    // SAFETY: inside the reserved memory.
    let (bottom, top) = unsafe {
        (
            memory.add(index * SIZE),
            memory.add((index + 1) * SIZE - END),
        )
    };
    // SAFETY: the top of a stack that is ours alone until its bit is cleared; the function keeps
    // to the C calling convention, so r12 survives it and brings the old stack back.
    unsafe {
        std::arch::asm!(
            "mov r12, rsp",
            "mov rsp, {top}",
            "call {function}",
            "mov rsp, r12",
            top = in(reg) top,
            function = in(reg) function,
            in("rdi") argument,
            in("rsi") bottom,
            in("rdx") SIZE,
            out("r12") _,
            clobber_abi("C"),
        );
    }
    TAKEN.fetch_and(!(1 << index), Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    extern "C" fn note(argument: *mut c_void, bottom: *mut c_void, size: usize) {
        let here = &raw const argument as usize;
        // SAFETY: the test's own.
        let seen = unsafe { &mut *argument.cast::<Vec<(bool, usize)>>() };
        let inside = (bottom as usize..bottom as usize + size).contains(&here);
        seen.push((inside, size));
        if seen.len() < STACKS + 3 {
            with_room(note, argument);
        }
    }

    #[test]
    fn each_call_has_a_stack_until_there_are_none() {
        reserve();
        let mut seen: Vec<(bool, usize)> = Vec::new();
        for _ in 0..2 {
            seen.clear();
            with_room(note, (&raw mut seen).cast());
            assert_eq!(seen.len(), STACKS + 3);
            assert!(seen.iter().take(STACKS).all(|seen| *seen == (true, SIZE)));
            assert!(seen.iter().skip(STACKS).all(|seen| *seen == (false, 0)));
        }
        assert_eq!(TAKEN.load(Acquire), 0);
    }
}
