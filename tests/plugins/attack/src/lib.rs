// SPDX-License-Identifier: MIT
//! A driver that tries to break out of its worker; for the tests of confinement.
//!
//! The ioctl number is the index of an attack in [`ATTACKS`]; the payload holds the host's process
//! id. The answer is what the system said: an error number, or a value if the attack worked.
//! A constructor tries some before the host can say anything; [`CONSTRUCTOR`] tells how that went.

use drvhost_abi::plugin::About;
use drvhost_abi::tables::{DeviceV1, MmapArgs, NodeKind};
use drvhost_abi::{Call, Driver, Errno, Host, Instance, Mapped, NodeFile, Opened};
use std::ffi::CStr;
use std::sync::atomic::{AtomicI64, Ordering};

/// The ioctl that tells what the constructor got: the best of its results.
pub const CONSTRUCTOR: u32 = 1000;
/// Eats memory until there is none; the answer is how many bytes there were.
pub const MEMORY: u32 = 1001;
/// Eats descriptors until there are none; the answer is how many there were.
pub const DESCRIPTORS: u32 = 1002;
/// Eats threads until there are none; the answer is how many there were.
pub const THREADS: u32 = 1003;

/// One attack: its name and what it does, given the host's process id.
pub type Attack = (&'static str, fn(i32) -> i64);

/// Every attack; all must fail.
pub const ATTACKS: &[Attack] = &[
    ("an Internet socket", |_| {
        call(
            libc::SYS_socket,
            [libc::AF_INET as i64, libc::SOCK_STREAM as i64, 0, 0, 0],
        )
    }),
    ("a UNIX socket", |_| {
        call(
            libc::SYS_socket,
            [libc::AF_UNIX as i64, libc::SOCK_STREAM as i64, 0, 0, 0],
        )
    }),
    ("a netlink socket", |_| {
        call(
            libc::SYS_socket,
            [libc::AF_NETLINK as i64, libc::SOCK_RAW as i64, 0, 0, 0],
        )
    }),
    ("open /etc/passwd", |_| open(c"/etc/passwd", libc::O_RDONLY)),
    ("open /", |_| open(c"/", libc::O_RDONLY | libc::O_DIRECTORY)),
    ("open / as a path", |_| open(c"/", libc::O_PATH)),
    ("open the working directory", |_| open(c".", libc::O_PATH)),
    ("open upwards", |_| {
        open(c"../../../etc/passwd", libc::O_RDONLY)
    }),
    ("open /proc/self/mem", |_| {
        open(c"/proc/self/mem", libc::O_RDWR)
    }),
    ("open the host's memory", |host| {
        path(&format!("/proc/{host}/mem"))
    }),
    ("open the host's environment", |host| {
        path(&format!("/proc/{host}/environ"))
    }),
    ("openat2", |_| {
        let how = [0u64; 3];
        let name = c"/etc/passwd".as_ptr() as i64;
        call(
            libc::SYS_openat2,
            [libc::AT_FDCWD.into(), name, how.as_ptr() as i64, 24, 0],
        )
    }),
    ("make a directory", |_| {
        call(
            libc::SYS_mkdirat,
            [libc::AT_FDCWD.into(), c"/x".as_ptr() as i64, 0o777, 0, 0],
        )
    }),
    ("exec", |_| {
        let args = [c"/bin/sh".as_ptr(), std::ptr::null()];
        let list = args.as_ptr() as i64;
        call(
            libc::SYS_execve,
            [c"/bin/sh".as_ptr() as i64, list, list + 8, 0, 0],
        )
    }),
    ("exec through a descriptor", |_| {
        call(
            libc::SYS_execveat,
            [1, c"".as_ptr() as i64, 0, 0, libc::AT_EMPTY_PATH.into()],
        )
    }),
    ("fork", |_| {
        // SAFETY: the child does nothing but end.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: ends the child.
            unsafe { libc::_exit(0) };
        }
        if child < 0 {
            last_error()
        } else {
            child.into()
        }
    }),
    ("fork by system call", |_| call(libc::SYS_fork, [0; 5])),
    ("clone a process", |_| {
        call(libc::SYS_clone, [libc::SIGCHLD.into(), 0, 0, 0, 0])
    }),
    ("clone3", |_| {
        let args = [0u64; 11];
        call(libc::SYS_clone3, [args.as_ptr() as i64, 88, 0, 0, 0])
    }),
    ("trace the host", |host| {
        call(
            libc::SYS_ptrace,
            [libc::PTRACE_SEIZE as i64, host.into(), 0, 0, 0],
        )
    }),
    ("signal the host", |host| {
        call(libc::SYS_kill, [host.into(), libc::SIGCONT.into(), 0, 0, 0])
    }),
    ("signal a thread of the host", |host| {
        call(
            libc::SYS_tgkill,
            [host.into(), host.into(), libc::SIGCONT.into(), 0, 0],
        )
    }),
    ("signal everybody", |_| {
        call(libc::SYS_kill, [-1, 0, 0, 0, 0])
    }),
    ("queue a signal to the host", |host| {
        let info = [0u64; 16];
        call(
            libc::SYS_rt_sigqueueinfo,
            [
                host.into(),
                libc::SIGCONT.into(),
                info.as_ptr() as i64,
                0,
                0,
            ],
        )
    }),
    ("read the host's memory", |host| {
        let mut byte = 0u8;
        let local = [(&raw mut byte) as u64, 1];
        let remote = [0x40_0000u64, 1];
        call(
            libc::SYS_process_vm_readv,
            [
                host.into(),
                local.as_ptr() as i64,
                1,
                remote.as_ptr() as i64,
                1,
            ],
        )
    }),
    ("name the host by descriptor", |host| {
        call(libc::SYS_pidfd_open, [host.into(), 0, 0, 0, 0])
    }),
    ("limits of the host", |host| {
        call(libc::SYS_prlimit64, [host.into(), 7, 0, 0, 0])
    }),
    ("memory files", |_| {
        call(libc::SYS_memfd_create, [c"x".as_ptr() as i64, 0, 0, 0, 0])
    }),
    ("shared memory without a file", |_| {
        let (prot, flags) = (libc::PROT_READ, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        call(libc::SYS_mmap, [0, 4096, prot.into(), flags.into(), -1])
    }),
    ("System V shared memory", |_| {
        call(libc::SYS_shmget, [0, 4096, 0o1600, 0, 0])
    }),
    ("mount", |_| {
        let (name, kind) = (c"/".as_ptr() as i64, c"tmpfs".as_ptr() as i64);
        call(libc::SYS_mount, [name, name, kind, 0, 0])
    }),
    ("own namespaces", |_| {
        call(libc::SYS_unshare, [libc::CLONE_NEWUSER.into(), 0, 0, 0, 0])
    }),
    ("another root", |_| {
        call(libc::SYS_chroot, [c"/".as_ptr() as i64, 0, 0, 0, 0])
    }),
    ("another directory", |_| {
        call(libc::SYS_chdir, [c"/".as_ptr() as i64, 0, 0, 0, 0])
    }),
    ("become root", |_| call(libc::SYS_setuid, [0; 5])),
    ("capabilities", |_| {
        let header = [0x2008_0522u32, 0];
        let data = [u32::MAX; 6];
        call(
            libc::SYS_capset,
            [header.as_ptr() as i64, data.as_ptr() as i64, 0, 0, 0],
        )
    }),
    ("be traceable again", |_| {
        call(libc::SYS_prctl, [libc::PR_SET_DUMPABLE.into(), 1, 0, 0, 0])
    }),
    ("io_uring", |_| {
        let params = [0u64; 16];
        call(
            libc::SYS_io_uring_setup,
            [1, params.as_ptr() as i64, 0, 0, 0],
        )
    }),
    ("bpf", |_| call(libc::SYS_bpf, [0; 5])),
    ("userfaultfd", |_| call(libc::SYS_userfaultfd, [0; 5])),
    ("perf", |_| call(libc::SYS_perf_event_open, [0; 5])),
    ("keys", |_| call(libc::SYS_keyctl, [0; 5])),
    ("port I/O", |_| call(libc::SYS_iopl, [3, 0, 0, 0, 0])),
    ("reboot", |_| call(libc::SYS_reboot, [0; 5])),
    ("write a file of its own", |_| {
        call(libc::SYS_creat, [c"/x".as_ptr() as i64, 0o600, 0, 0, 0])
    }),
    ("another filter", |_| call(libc::SYS_seccomp, [0; 5])),
];

fn last_error() -> i64 {
    -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

fn call(number: i64, args: [i64; 5]) -> i64 {
    // SAFETY: pointers among the arguments are valid; what the call does is what is tested.
    let result = unsafe { libc::syscall(number, args[0], args[1], args[2], args[3], args[4], 0) };
    if result == -1 { last_error() } else { result }
}

fn open(name: &CStr, flags: i32) -> i64 {
    call(
        libc::SYS_openat,
        [
            libc::AT_FDCWD.into(),
            name.as_ptr() as i64,
            flags.into(),
            0,
            0,
        ],
    )
}

fn path(name: &str) -> i64 {
    match std::ffi::CString::new(name) {
        Ok(name) => open(&name, libc::O_RDONLY),
        Err(_) => 0,
    }
}

static CONSTRUCTED: AtomicI64 = AtomicI64::new(i64::MIN);

/// Runs within `dlopen`: files can be opened then, but only the plugin's own.
extern "C" fn construct() {
    // This library is also linked into the tests themselves, which are not to be attacked. The
    // filter answers this question with an error; without a filter the tests see a success.
    if call(
        libc::SYS_prctl,
        [libc::PR_GET_NO_NEW_PRIVS.into(), 0, 0, 0, 0],
    ) >= 0
    {
        CONSTRUCTED.store(0, Ordering::Relaxed);
        return;
    }
    let tries = [
        open(c"/etc/passwd", libc::O_RDONLY),
        open(c"../../etc/passwd", libc::O_RDONLY),
        open(c"../environ", libc::O_RDONLY),
        open(c"../../1/environ", libc::O_RDONLY),
        open(c"../mem", libc::O_RDWR),
        open(c"..", libc::O_RDONLY | libc::O_DIRECTORY),
        call(
            libc::SYS_socket,
            [libc::AF_INET as i64, libc::SOCK_STREAM as i64, 0, 0, 0],
        ),
        call(libc::SYS_fork, [0; 5]),
        call(libc::SYS_setuid, [0; 5]),
    ];
    CONSTRUCTED.store(tries.into_iter().max().unwrap_or(0), Ordering::Relaxed);
}

#[used]
// SAFETY: the section holds constructors; this is one.
#[unsafe(link_section = ".init_array")]
static CONSTRUCT: extern "C" fn() = construct;

fn memory() -> i64 {
    let (prot, flags) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
    );
    let step = 64 << 20;
    // Room for all of them now: there is no memory for it later.
    let mut blocks = Vec::with_capacity(1 << 14);
    // Far more than any limit, so that the loop ends if there is none.
    while blocks.len() < 1 << 14 {
        let block = call(libc::SYS_mmap, [0, step, prot.into(), flags.into(), -1]);
        if block < 0 {
            break;
        }
        blocks.push(block);
    }
    for block in &blocks {
        call(libc::SYS_munmap, [*block, step, 0, 0, 0]);
    }
    blocks.len() as i64 * step
}

fn descriptors() -> i64 {
    let mut taken = Vec::new();
    while taken.len() < 1 << 16 {
        let fd = call(libc::SYS_dup, [1, 0, 0, 0, 0]);
        if fd < 0 {
            break;
        }
        taken.push(fd);
    }
    for fd in &taken {
        call(libc::SYS_close, [*fd, 0, 0, 0, 0]);
    }
    taken.len() as i64
}

#[derive(Debug)]
struct Attacker;

#[derive(Debug)]
struct Device(Host);

#[derive(Debug)]
struct File(Host);

impl Driver for Attacker {
    type Instance = Device;

    fn probe(host: Host, _: &'static DeviceV1) -> Result<Device, Errno> {
        Ok(Device(host))
    }
}

impl Instance for Device {
    type File = File;

    fn nodes(&self) -> Vec<(NodeKind, String)> {
        vec![(NodeKind::Card, "attack".into())]
    }

    fn open(&self, _: &Opened) -> Result<File, Errno> {
        Ok(File(self.0))
    }
}

impl NodeFile for File {
    fn ioctl(&self, call: &mut Call<'_>) -> Result<u64, Errno> {
        let host = call
            .payload
            .get(..4)
            .and_then(|bytes| bytes.try_into().ok());
        let host = host.map(i32::from_le_bytes).ok_or(Errno::EINVAL)?;
        let result = match call.cmd {
            CONSTRUCTOR => CONSTRUCTED.load(Ordering::Relaxed),
            MEMORY => memory(),
            DESCRIPTORS => descriptors(),
            THREADS => {
                let mut count = 0;
                while count < 1 << 14 && self.0.spawn("bomb", std::thread::park).is_ok() {
                    count += 1;
                }
                count
            }
            number => match ATTACKS.get(number as usize) {
                Some((_, attack)) => attack(host),
                None => return Err(Errno::ENOTTY),
            },
        };
        Errno::check(result)
    }

    fn mmap(&self, _: &MmapArgs) -> Result<Mapped, Errno> {
        Err(Errno::EINVAL)
    }
}

drvhost_abi::export_driver!(
    Attacker,
    About {
        name: c"attack",
        description: c"Tries to break out",
        ids: &[],
        params: &[]
    }
);
