// SPDX-License-Identifier: MIT
//! The system calls that a driver may make. All others fail with EPERM.
//!
//! Three filters, all of which a call must pass:
//! 1. `clone3` fails with ENOSYS: its flags lie in memory, where a filter can't look, and the C
//!    library then uses `clone`;
//! 2. the list of what is allowed;
//! 3. after the plugin is loaded: nothing is opened any more.

use super::{ConfineError, failed};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Memory, threads, time, and what is done to descriptors that are already there.
const ALLOWED: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_mprotect,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_msync,
    libc::SYS_mincore,
    libc::SYS_membarrier,
    libc::SYS_futex,
    libc::SYS_futex_waitv,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_set_tid_address,
    libc::SYS_clone3,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_time,
    libc::SYS_getrandom,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_getrusage,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup,
    libc::SYS_fstat,
    libc::SYS_fcntl,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_select,
    libc::SYS_pselect6,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_timerfd_gettime,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_shutdown,
];

/// What loading needs on top; taken away by [`close`].
const LOADING: &[i64] = &[
    libc::SYS_openat,
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_access,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlink,
    libc::SYS_readlinkat,
    libc::SYS_getcwd,
    libc::SYS_chdir,
    libc::SYS_seccomp,
];

fn equals(argument: u8, mask: u64, value: u64) -> Result<SeccompRule, ConfineError> {
    let masked = SeccompCmpOp::MaskedEq(mask);
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, masked, value)
        .map_err(failed("system call filter"))?;
    SeccompRule::new(vec![condition]).map_err(failed("system call filter"))
}

fn allowed() -> Result<Rules, ConfineError> {
    let whole = u64::from(u32::MAX);
    let flag = |flag: i32| u64::from(flag.cast_unsigned());
    let mut rules: Rules = ALLOWED
        .iter()
        .chain(LOADING)
        .map(|number| (*number, Vec::new()))
        .collect();
    // Threads, never processes.
    let thread = flag(libc::CLONE_THREAD);
    let namespaces =
        flag(libc::CLONE_NEWNS | libc::CLONE_NEWUSER | libc::CLONE_NEWPID | libc::CLONE_NEWNET);
    rules.insert(
        libc::SYS_clone,
        vec![equals(0, thread | namespaces, thread)?],
    );
    // Signals to itself, for abort.
    let own = u64::from(std::process::id());
    rules.insert(libc::SYS_tgkill, vec![equals(0, whole, own)?]);
    // Shared memory without a file counts against no limit of data: private or with a file.
    let (shared, anonymous) = (flag(libc::MAP_SHARED), flag(libc::MAP_ANONYMOUS));
    rules.insert(
        libc::SYS_mmap,
        vec![equals(3, shared, 0)?, equals(3, anonymous, 0)?],
    );
    // Names of threads, names of memory, and the filter that `close` adds.
    let prctl = [
        libc::PR_SET_NAME,
        libc::PR_SET_VMA,
        libc::PR_SET_NO_NEW_PRIVS,
        libc::PR_SET_SECCOMP,
    ];
    let prctl: Result<_, _> = prctl
        .iter()
        .map(|option| equals(0, whole, flag(*option)))
        .collect();
    rules.insert(libc::SYS_prctl, prctl?);
    Ok(rules)
}

fn program(
    rules: Rules,
    otherwise: SeccompAction,
    matching: SeccompAction,
) -> Result<BpfProgram, ConfineError> {
    let arch =
        TargetArch::try_from(std::env::consts::ARCH).map_err(failed("system call filter"))?;
    SeccompFilter::new(rules, otherwise, matching, arch)
        .and_then(BpfProgram::try_from)
        .map_err(failed("system call filter"))
}

/// A filter that refuses what the rules say, and nothing else.
fn forbid(rules: Rules, errno: i32) -> Result<BpfProgram, ConfineError> {
    program(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(errno.cast_unsigned()),
    )
}

/// Installs the first two filters.
pub(super) fn install() -> Result<(), ConfineError> {
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let allow = program(allowed()?, refuse, SeccompAction::Allow)?;
    // Of two errors the one of the filter that came last counts, so this one comes last.
    let no_clone3 = forbid(Rules::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS)?;
    for filter in [&allow, &no_clone3] {
        seccompiler::apply_filter(filter).map_err(failed("system call filter"))?;
    }
    Ok(())
}

/// Installs the third filter, for threads too that a plugin's constructor may have started.
pub(super) fn close() -> Result<(), ConfineError> {
    let mut rules: Rules = LOADING.iter().map(|number| (*number, Vec::new())).collect();
    // The C library asks this way about a descriptor, without a path.
    let descriptor = u64::from(libc::AT_EMPTY_PATH.cast_unsigned());
    rules.insert(libc::SYS_newfstatat, vec![equals(3, descriptor, 0)?]);
    let filter = forbid(rules, libc::EPERM)?;
    seccompiler::apply_filter_all_threads(&filter).map_err(failed("system call filter"))
}
