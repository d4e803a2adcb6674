// SPDX-License-Identifier: MIT
//! One QEMU process: started, connected, and dead when its owner is.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, PidfdFlags, Signal};

use super::config::{QemuConfig, QemuDevice};
use super::doorbell::{Doorbell, USABLE, Vectors};
use super::error::BridgeError;
use super::qmp::Qmp;
use super::qtest::Qtest;

/// QEMU has its sockets open after a tenth of a second, on a busy machine later.
const START_SECONDS: i64 = 60;
/// The root port on QEMU's command line; `port` would collide with a property of its model.
const BUS: &str = "slot0";
/// What the processor executes: `cli; hlt; jmp` back to the `hlt`. It never leaves it, since no
/// interrupt can wake it and QEMU's timers have nobody to serve.
const HALT: [u8; 4] = [0xfa, 0xf4, 0xeb, 0xfd];
/// Where an x86 processor starts, 16 bytes below the end of a 64 KiB ROM.
const RESET_VECTOR: usize = 0xfff0;
const ROM_SIZE: usize = 0x1_0000;

/// A running QEMU with one device behind its root port.
#[derive(Debug)]
pub struct Qemu {
    /// Its buses.
    pub qtest: Qtest,
    /// Its monitor.
    pub qmp: Qmp,
    /// What takes its device's messages, if it sends any.
    pub doorbell: Option<Doorbell>,
    /// Its memory, for what lies in its RAM blocks: read and written at host virtual addresses.
    pub memory: File,
    process: Process,
}

impl Qemu {
    /// Starts QEMU with `device` and with `ram`, `config.memory_mib` MiB long, as guest memory.
    /// With `vectors` its device can send messages, which arrive there.
    ///
    /// # Errors
    /// When the program is missing, refuses its arguments (then with its words), or is silent.
    pub fn start(
        config: &QemuConfig,
        device: &QemuDevice,
        ram: &OwnedFd,
        vectors: Option<Vectors>,
    ) -> Result<Self, BridgeError> {
        let directory = tempfile::Builder::new()
            .prefix("drvhost-qemu-")
            .tempdir()
            .map_err(BridgeError::io("making a directory for QEMU's sockets"))?;
        let path = |name: &str| directory.path().join(name);
        let listen = |name: &str| {
            UnixListener::bind(path(name)).map_err(BridgeError::io(format!("listening on {name}")))
        };
        let (qtest, qmp, ivshmem) = (listen("qtest")?, listen("qmp")?, listen("ivshmem")?);
        std::fs::write(path("halt.bin"), halt_rom())
            .map_err(BridgeError::io("writing the halt ROM"))?;
        let stderr = memory_file("stderr")?;
        let childs = stderr
            .try_clone()
            .map_err(BridgeError::io("making a file for stderr"))?;
        let mut command = Command::new(&config.program);
        command
            .args(arguments(config, device, ram, directory.path()))
            .args(vectors.iter().flat_map(|_| doorbell(directory.path())))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(childs);
        let process = Process::start(command, config.program.clone(), stderr)?;
        let connect = || {
            // QEMU waits for what the doorbell is told before it does anything else.
            let doorbell = match vectors {
                Some(vectors) => Some(Doorbell::serve(process.accept(&ivshmem)?, vectors)?),
                None => None,
            };
            let qtest = Qtest::new(process.accept(&qtest)?)?;
            let qmp = Qmp::new(process.accept(&qmp)?)?;
            Ok((qtest, qmp, doorbell))
        };
        // What it says when it refuses its arguments tells more than that its socket closed.
        let (qtest, qmp, doorbell) = connect().map_err(|e| match e {
            BridgeError::Gone { doing, .. } => BridgeError::Gone {
                device: device.model.clone(),
                doing,
                stderr: process.last_words(),
            },
            other => other,
        })?;
        // Connected and loaded: from here on there is nothing in the file system that a bridge
        // that is killed could leave behind.
        drop(directory);
        let memory = File::options()
            .read(true)
            .write(true)
            .open(format!("/proc/{}/mem", process.pid.as_raw_nonzero()))
            .map_err(BridgeError::io("opening QEMU's memory"))?;
        Ok(Qemu {
            qtest,
            qmp,
            doorbell,
            memory,
            process,
        })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Whether the process still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let mut fds = [PollFd::new(&self.process.pidfd, PollFlags::IN)];
        matches!(poll(&mut fds, Some(&Timespec::default())), Ok(0))
    }

    /// The end of what it wrote to stderr.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.process.stderr()
    }
}

/// The process alone: dropping it kills it and waits for it.
#[derive(Debug)]
struct Process {
    pid: Pid,
    pidfd: OwnedFd,
    keeper: Option<JoinHandle<()>>,
    stderr: File,
}

impl Process {
    fn start(command: Command, program: PathBuf, stderr: File) -> Result<Self, BridgeError> {
        let (keeper, pid, pidfd) = keep(command, program)?;
        Ok(Process {
            pid,
            pidfd,
            keeper: Some(keeper),
            stderr,
        })
    }

    /// Waits for the program to connect, or to end.
    fn accept(&self, listener: &UnixListener) -> Result<UnixStream, BridgeError> {
        let doing = "waiting for QEMU to connect";
        let timeout = Timespec {
            tv_sec: START_SECONDS,
            tv_nsec: 0,
        };
        let mut fds = [
            PollFd::new(listener, PollFlags::IN),
            PollFd::new(&self.pidfd, PollFlags::IN),
        ];
        loop {
            match poll(&mut fds, Some(&timeout)) {
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(BridgeError::io(doing)(e.into())),
                Ok(0) => {
                    return Err(BridgeError::Timeout {
                        doing: doing.to_owned(),
                        seconds: START_SECONDS.unsigned_abs(),
                    });
                }
                Ok(_) if fds[0].revents().contains(PollFlags::IN) => {
                    let (stream, _) = listener.accept().map_err(BridgeError::io(doing))?;
                    return Ok(stream);
                }
                Ok(_) => {
                    return Err(BridgeError::Gone {
                        device: String::new(),
                        doing: "starting".to_owned(),
                        stderr: String::new(),
                    });
                }
            }
        }
    }

    fn stderr(&self) -> String {
        tail(&self.stderr)
    }

    /// What it wrote to stderr until it ended, which it is about to do.
    fn last_words(&self) -> String {
        let grace = Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        };
        let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let _ = poll(&mut fds, Some(&grace));
        self.stderr()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to signal.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

/// Starts the program from a thread that lives as long as it does: the kernel sends the
/// parent-death signal when the *thread* that started a child ends.
fn keep(
    mut command: Command,
    program: PathBuf,
) -> Result<(JoinHandle<()>, Pid, OwnedFd), BridgeError> {
    let parent = rustix::process::getpid();
    let die_with_parent = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have ended before the line above.
        if rustix::process::getppid() == Some(parent) {
            Ok(())
        } else {
            Err(io::ErrorKind::NotConnected.into())
        }
    };
    // SAFETY: the closure makes two system calls and allocates nothing, so it may run between
    // fork and exec.
    unsafe { command.pre_exec(die_with_parent) };
    let (sender, receiver) = mpsc::channel();
    let keeper = thread::Builder::new()
        .name("qemu-keeper".to_owned())
        .spawn(move || {
            let started = command.spawn().and_then(|mut child| {
                let pid = Pid::from_child(&child);
                match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
                    Ok(pidfd) => Ok((child, pid, pidfd)),
                    Err(e) => {
                        let _ = child.kill();
                        let _ = child.wait();
                        Err(e.into())
                    }
                }
            });
            match started {
                Ok((mut child, pid, pidfd)) => {
                    let _ = sender.send(Ok((pid, pidfd)));
                    let _ = child.wait();
                }
                Err(e) => {
                    let _ = sender.send(Err(e));
                }
            }
        })
        .map_err(BridgeError::io("starting QEMU's keeper thread"))?;
    let started = receiver
        .recv()
        .unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()));
    match started {
        Ok((pid, pidfd)) => Ok((keeper, pid, pidfd)),
        Err(source) => Err(BridgeError::Start { program, source }),
    }
}

fn halt_rom() -> Vec<u8> {
    let mut rom = vec![0xf4; ROM_SIZE];
    rom[RESET_VECTOR..RESET_VECTOR + HALT.len()].copy_from_slice(&HALT);
    rom
}

fn arguments(
    config: &QemuConfig,
    device: &QemuDevice,
    ram: &OwnedFd,
    directory: &Path,
) -> Vec<String> {
    let memory = config.memory_mib;
    // QEMU opens the memory by its name in this process, which spares it a file system.
    let ram = path_of(ram);
    let at = |name: &str| directory.join(name).display().to_string();
    let text = [
        "-accel",
        "tcg,tb-size=1",
        "-machine",
        "q35,memory-backend=ram",
        "-m",
        &format!("{memory}M"),
        "-object",
        &format!("memory-backend-file,id=ram,size={memory}M,mem-path={ram},share=on"),
        "-bios",
        &at("halt.bin"),
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-qtest",
        &format!("unix:{}", at("qtest")),
        "-qtest-log",
        "none",
        "-qmp",
        &format!("unix:{}", at("qmp")),
        "-device",
        &format!("pcie-root-port,id={BUS},chassis=1,slot=1,addr=2.0"),
        "-device",
        &device.argument(BUS),
    ];
    text.map(str::to_owned).to_vec()
}

/// The arguments for a doorbell. It stands beside the root port.
fn doorbell(directory: &Path) -> [String; 4] {
    let path = directory.join("ivshmem").display().to_string();
    [
        "-chardev".to_owned(),
        format!("socket,id=doorbell,path={path}"),
        "-device".to_owned(),
        format!(
            "ivshmem-doorbell,chardev=doorbell,vectors={},addr=3.0",
            USABLE + 1
        ),
    ]
}

/// A file without a name, which another process opens by [`path_of`].
pub(super) fn memory_file(name: &str) -> Result<File, BridgeError> {
    rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)
        .map(File::from)
        .map_err(|e| BridgeError::io(format!("making a file for {name}"))(e.into()))
}

/// Where QEMU finds a file that only this process has open.
pub(super) fn path_of(file: &impl AsRawFd) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())
}

fn tail(file: &File) -> String {
    const MOST: u64 = 2000;
    let length = file.metadata().map_or(0, |m| m.len());
    let mut bytes = vec![0; usize::try_from(length.min(MOST)).unwrap_or(0)];
    let read = file.read_at(&mut bytes, length.saturating_sub(MOST));
    bytes.truncate(read.unwrap_or(0));
    String::from_utf8_lossy(&bytes).trim().to_owned()
}
