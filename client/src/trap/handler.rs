// SPDX-License-Identifier: MIT
//! SIGSYS: a system call that the filter stopped is answered where it stood.

use super::filter::{self, DATA};
use super::stack;
use crate::exports::{get_errno, set_errno};
use crate::next::call_next;
use crate::raw::Mmap;
use crate::{call, disguise, map, memory, open, raw};
use libc::{SIGSYS, c_int, c_void, siginfo_t, ucontext_t};
use rustix::io::Errno;
use std::ffi::CStr;
use std::ops::Range;
use std::ptr::null_mut;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};

/// `SYS_SECCOMP` of `siginfo.h`: the signal comes from a filter.
const SYS_SECCOMP: i32 = 1;
/// `ADDR_NO_RANDOMIZE` of `linux/personality.h`.
const NOT_RANDOM: i32 = 0x0004_0000;

static INSTALLED: AtomicBool = AtomicBool::new(false);
// What the program wants for SIGSYS. Never freed: a signal may be on its way into it.
static ACTION: AtomicPtr<libc::sigaction> = AtomicPtr::new(null_mut());

/// Installs handler and filter. Where the kernel refuses, programs on libc still work.
pub fn install() {
    let Some((code, random)) = programs_code() else {
        return;
    };
    stack::reserve();
    // SAFETY: all zeros are an action without flags or mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_sigsys as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    // Until the handler has a stack that the kernel knows of: see `on_trap`.
    // SAFETY: a set of our own.
    unsafe { libc::sigfillset(&mut action.sa_mask) };
    if call_next!(SIGACTION(SIGSYS, &action, null_mut())) != 0 {
        return;
    }
    unblock();
    INSTALLED.store(true, Relaxed);
    if let Err(error) = load(&filter::program(&code, random)) {
        eprintln!(
            "drvhost: can't trap raw system calls ({error}); a program that bypasses libc won't \
             see the devices"
        );
    }
}

/// Where the program's own code lies, and whether the next program's will lie elsewhere.
fn programs_code() -> Option<(Range<u64>, bool)> {
    struct Found {
        code: Option<Range<u64>>,
        base: u64,
    }

    unsafe extern "C" fn first(
        info: *mut libc::dl_phdr_info,
        _: usize,
        found: *mut c_void,
    ) -> c_int {
        // SAFETY: both are good, by the loader's word and ours; the headers are as many.
        let (info, found, headers) = unsafe {
            let info = &*info;
            let headers = std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into());
            (info, &mut *found.cast::<Found>(), headers)
        };
        found.base = info.dlpi_addr;
        for header in headers {
            if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0 {
                let start = info.dlpi_addr.wrapping_add(header.p_vaddr);
                let end = start.wrapping_add(header.p_memsz);
                found.code = Some(match found.code.take() {
                    Some(code) => code.start.min(start)..code.end.max(end),
                    None => start..end,
                });
            }
        }
        // The program is the first; its libraries are of no interest.
        1
    }

    let mut found = Found {
        code: None,
        base: 0,
    };
    // SAFETY: the callback gets the address of `found`, which outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut found).cast()) };
    // SAFETY: only asks.
    let personality = unsafe { libc::personality(0xffff_ffff) };
    let random = found.base != 0 && personality & NOT_RANDOM == 0;
    found.code.map(|code| (code, random))
}

/// Whether SIGSYS is ours.
pub fn is_installed() -> bool {
    INSTALLED.load(Relaxed)
}

/// What the program last wanted for SIGSYS; takes what it wants from now on.
pub fn programs_action(new: Option<libc::sigaction>) -> libc::sigaction {
    let new = new.map_or(null_mut(), |new| Box::into_raw(Box::new(new)));
    let old = match new.is_null() {
        true => ACTION.load(Relaxed),
        false => ACTION.swap(new, AcqRel),
    };
    match old.is_null() {
        // SAFETY: all zeros are the default action.
        true => unsafe { std::mem::zeroed() },
        // SAFETY: from a box that is never freed.
        false => unsafe { *old },
    }
}

fn unblock() {
    // SAFETY: a set of our own.
    let set = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, SIGSYS);
        set
    };
    // `exec` may have left the signal blocked.
    call_next!(SIGPROCMASK(libc::SIG_UNBLOCK, &set, null_mut()));
}

fn load(filter: &[libc::sock_filter]) -> Result<(), std::io::Error> {
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: constants, and a program that lives over the call.
    unsafe {
        let load = || {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                libc::SECCOMP_FILTER_FLAG_TSYNC,
                &program,
            )
        };
        if load() == 0 {
            return Ok(());
        }
        // Only root may do without.
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && load() == 0 {
            return Ok(());
        }
    }
    Err(std::io::Error::last_os_error())
}

extern "C" fn on_sigsys(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let before = get_errno();
    // SAFETY: the kernel gives a handler with SA_SIGINFO a good one.
    let (code, data) = unsafe { ((*info).si_code, (*info).si_errno) };
    if code == SYS_SECCOMP && data == DATA as i32 {
        stack::with_room(on_trap, context);
    } else {
        forward(signal, info, context);
    }
    set_errno(before);
}

/// On a stack of ours, with all signals blocked. Those that come while the call waits must be
/// served; but if the trap came on the program's signal stack, the kernel would take that for
/// free now, and write over it. So it is told of the new one first.
extern "C" fn on_trap(context: *mut c_void, bottom: *mut c_void, size: usize) {
    // SAFETY: a good one, and nobody else's while the handler runs.
    let context = unsafe { &mut *context.cast::<ucontext_t>() };
    let programs = context.uc_stack;
    let at = &raw const *context as usize;
    let signal_stack = programs.ss_sp as usize..programs.ss_sp as usize + programs.ss_size;
    let moved = size > 0 && signal_stack.contains(&at);
    if moved {
        let ours = libc::stack_t {
            ss_sp: bottom,
            ss_flags: 0,
            ss_size: size,
        };
        // SAFETY: this stack, for as long as it is ours.
        unsafe { libc::sigaltstack(&ours, null_mut()) };
    }
    let mut all = context.uc_sigmask;
    // SAFETY: a set of our own.
    unsafe { libc::sigfillset(&mut all) };
    set_mask(&context.uc_sigmask);
    let answered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| emulate(context)));
    set_mask(&all);
    if moved {
        let back = libc::stack_t {
            ss_flags: 0,
            ..programs
        };
        // SAFETY: as the kernel gave it.
        unsafe { libc::sigaltstack(&back, null_mut()) };
    }
    if answered.is_err()
        && let Some(result) = context.uc_mcontext.gregs.get_mut(libc::REG_RAX as usize)
    {
        *result = -i64::from(libc::EIO);
    }
}

/// Sets the thread's mask past our own wrapper. The kernel's set is 64 bits, the first of libc's.
fn set_mask(mask: &libc::sigset_t) {
    // SAFETY: a good set, at least as long as the kernel reads.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            mask,
            null_mut::<c_void>(),
            8,
        )
    };
}

fn emulate(context: &mut ucontext_t) {
    let registers = &mut context.uc_mcontext.gregs;
    let register = |index: c_int| registers[index as usize] as u64;
    let args = [
        register(libc::REG_RDI),
        register(libc::REG_RSI),
        register(libc::REG_RDX),
        register(libc::REG_R10),
        register(libc::REG_R8),
        register(libc::REG_R9),
    ];
    let result = answer(register(libc::REG_RAX) as i64, args);
    registers[libc::REG_RAX as usize] = match result {
        Ok(value) => value,
        Err(error) => -i64::from(error.raw_os_error()),
    };
}

fn answer(number: i64, args: [u64; 6]) -> Result<i64, Errno> {
    let fd = args[0] as i32;
    match number {
        libc::SYS_ioctl => {
            call::ioctl(fd, args[1] as u32, args[2]).unwrap_or_else(|| {
                // SAFETY: the program's own call.
                unsafe { raw::ioctl(fd, args[1], args[2] as usize) }.map(|value| value as i64)
            })
        }
        libc::SYS_fstat => {
            let mut stat = raw::fstat(fd)?;
            disguise::descriptor(fd, &mut stat);
            memory::store(args[1], &stat).map(|()| 0)
        }
        libc::SYS_mmap => {
            let wish = Mmap {
                addr: args[0] as usize,
                length: args[1] as usize,
                prot: args[2] as i32,
                flags: args[3] as i32,
                fd: args[4] as i32,
                offset: args[5],
            };
            // SAFETY: the program's own call.
            let mapped = unsafe { map::mmap(&wish).unwrap_or_else(|| raw::mmap(&wish)) };
            mapped.map(|addr| addr as i64)
        }
        libc::SYS_openat => open_at(fd, args[1], args[2], args[3]),
        libc::SYS_open => open_at(libc::AT_FDCWD, args[0], args[1], args[2]),
        _ => Err(Errno::NOSYS),
    }
}

fn open_at(dir: i32, path: u64, flags: u64, mode: u64) -> Result<i64, Errno> {
    // SAFETY: the program's own call.
    let opened = unsafe { raw::openat(dir, path as usize, flags as i32, mode as u32) };
    let opened = opened.or_else(|refusal| {
        if !open::worth_a_look(refusal) {
            return Err(refusal);
        }
        // SAFETY: had the kernel not been able to read it, the error would be another.
        let path = unsafe { CStr::from_ptr(path as *const libc::c_char) };
        open::after_refusal(refusal, dir, path, flags as i32)
    });
    opened.map(i64::from)
}

/// A SIGSYS that is none of ours: what the program wanted for it, or what the kernel does.
fn forward(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let action = programs_action(None);
    match action.sa_sigaction {
        libc::SIG_IGN => {}
        libc::SIG_DFL => {
            // SAFETY: all zeros are an action without flags or mask.
            let mut default: libc::sigaction = unsafe { std::mem::zeroed() };
            default.sa_sigaction = libc::SIG_DFL;
            call_next!(SIGACTION(signal, &default, null_mut()));
            // SAFETY: ends the process, as the kernel would have.
            unsafe { libc::raise(signal) };
        }
        handler if action.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: the program gave it with this flag, so it has this type.
            unsafe {
                let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
                    std::mem::transmute(handler);
                handler(signal, info, context);
            }
        }
        handler => {
            // SAFETY: the program gave it without the flag, so it has this type.
            unsafe {
                let handler: extern "C" fn(c_int) = std::mem::transmute(handler);
                handler(signal);
            }
        }
    }
}
