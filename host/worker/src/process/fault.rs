// SPDX-License-Identifier: MIT
//! Fatal signals: registers and stack go to the flight recorder, then the signal does its work.
//!
//! The handler runs on a stack of its own and calls nothing that locks or allocates. The unwinder
//! finds its tables without a lock (`_dl_find_object`, glibc 2.35); where there are none it stops,
//! and the chain of frame pointers is followed instead.

use crate::wire::recorder::{CrashRecord, REGISTERS, Recorder};
use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

static RECORDER: OnceLock<&'static Recorder> = OnceLock::new();

/// Bytes of a thread's stack for faults.
const STACK: usize = 64 << 10;
/// How far from the stack pointer a frame may lie, in bytes.
const REACH: u64 = 8 << 20;

const SIGNALS: [c_int; 6] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGABRT,
    libc::SIGTRAP,
];

/// Installs the handler.
pub(super) fn install(recorder: &'static Recorder) {
    let _ = RECORDER.set(recorder);
    for signal in SIGNALS {
        // SAFETY: the action is fully set up; the handler is safe in signal context.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handle as *const () as usize;
            // The default comes back by itself, so that the second time is the end.
            action.sa_flags =
                libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESETHAND | libc::SA_NODEFER;
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
}

/// The current thread's stack for faults; gone when dropped.
#[derive(Debug)]
pub(super) struct Stack {
    _memory: Vec<u8>,
}

impl Stack {
    pub(super) fn install() -> Stack {
        let mut memory = Vec::with_capacity(STACK);
        set(memory.as_mut_ptr(), 0);
        Stack { _memory: memory }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        set(std::ptr::null_mut(), libc::SS_DISABLE);
    }
}

fn set(memory: *mut u8, flags: c_int) {
    let stack = libc::stack_t {
        ss_sp: memory.cast(),
        ss_flags: flags,
        ss_size: STACK,
    };
    // SAFETY: the memory stays until `Stack` is dropped, which takes it out of use first.
    unsafe { libc::sigaltstack(&stack, std::ptr::null_mut()) };
}

unsafe extern "C" fn handle(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes both, valid during the call.
    let (code, address, registers) = unsafe {
        (
            (*info).si_code,
            (*info).si_addr() as u64,
            registers(context),
        )
    };
    if let Some(recorder) = RECORDER.get() {
        let record = CrashRecord {
            signal,
            code,
            // Only faults have an address; for others the field holds something else.
            address: if code > 0 { address } else { 0 },
            // SAFETY: no arguments, no failure.
            tid: unsafe { libc::gettid() }.cast_unsigned(),
            registers,
            // An empty vector does not allocate.
            frames: Vec::new(),
        };
        if recorder.crash_begins(&record) {
            backtrace(recorder, &registers);
        }
    }
    // Sent by somebody: it does not come again by itself.
    if code <= 0 {
        // SAFETY: plain system calls; the default action is in place again.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), libc::gettid(), signal) };
    }
}

#[cfg(target_arch = "x86_64")]
unsafe fn registers(context: *mut c_void) -> [u64; REGISTERS] {
    // In the order of `REGISTER_NAMES`.
    const ORDER: [c_int; REGISTERS] = [
        libc::REG_RIP,
        libc::REG_RSP,
        libc::REG_RBP,
        libc::REG_RAX,
        libc::REG_RBX,
        libc::REG_RCX,
        libc::REG_RDX,
        libc::REG_RSI,
        libc::REG_RDI,
        libc::REG_R8,
        libc::REG_R9,
        libc::REG_R10,
        libc::REG_R11,
        libc::REG_R12,
        libc::REG_R13,
        libc::REG_R14,
        libc::REG_R15,
        libc::REG_EFL,
    ];
    // SAFETY: the caller passes what the kernel gave to a handler.
    let context = unsafe { &*context.cast::<libc::ucontext_t>() };
    let saved = &context.uc_mcontext.gregs;
    ORDER.map(|index| saved[index as usize].cast_unsigned())
}

#[cfg(not(target_arch = "x86_64"))]
unsafe fn registers(_context: *mut c_void) -> [u64; REGISTERS] {
    [0; REGISTERS]
}

unsafe extern "C" {
    fn _Unwind_Backtrace(
        step: unsafe extern "C" fn(context: *mut c_void, arg: *mut c_void) -> c_int,
        arg: *mut c_void,
    ) -> c_int;
    fn _Unwind_GetIP(context: *mut c_void) -> usize;
}

struct Walk<'a> {
    recorder: &'a Recorder,
    fault: u64,
    found: u32,
}

unsafe extern "C" fn step(context: *mut c_void, arg: *mut c_void) -> c_int {
    // SAFETY: `arg` is the `Walk` of the call below, `context` the unwinder's.
    let (walk, address) = unsafe { (&mut *arg.cast::<Walk<'_>>(), _Unwind_GetIP(context) as u64) };
    // The handler's own frames come first; what counts starts where the fault was.
    if walk.found == 0 && address != walk.fault {
        return 0;
    }
    walk.found += 1;
    // The fault's own address is there already. Any value but zero ends the walk.
    c_int::from(walk.found > 1 && !walk.recorder.crash_frame(address))
}

fn backtrace(recorder: &Recorder, registers: &[u64; REGISTERS]) {
    let [rip, rsp, rbp, ..] = *registers;
    recorder.crash_frame(rip);
    let mut walk = Walk {
        recorder,
        fault: rip,
        found: 0,
    };
    // SAFETY: `step` is what the unwinder wants; `walk` outlives the call. If the stack is broken
    // and this faults, the signal's default action ends the process: all else is recorded.
    unsafe { _Unwind_Backtrace(step, std::ptr::from_mut(&mut walk).cast()) };
    if walk.found > 1 {
        return;
    }
    // No tables there. After a call to nowhere the return address is on top of the stack.
    let mut frame = rbp;
    let inside = |at: u64| at >= rsp && at - rsp < REACH && at.is_multiple_of(8);
    if walk.found == 0 && inside(rsp) {
        recorder.crash_frame(read(rsp));
    }
    while inside(frame) {
        if !recorder.crash_frame(read(frame + 8)) {
            break;
        }
        let next = read(frame);
        if next <= frame {
            break;
        }
        frame = next;
    }
}

fn read(address: u64) -> u64 {
    let pointer = std::ptr::with_exposed_provenance::<u64>(address as usize);
    // SAFETY: aligned and near the stack pointer; if it is not mapped after all, the process ends
    // by the signal's default action, which is what it was about to do.
    unsafe { pointer.read_volatile() }
}
