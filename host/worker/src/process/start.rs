// SPDX-License-Identifier: MIT
//! From the first message to the probed device.
//!
//! The order matters: one thread until the plugin is loaded (Redox's dynamic linker wants that,
//! and namespaces can be changed by a single thread only), and nothing of the plugin runs before
//! the process is locked in, not even its constructors.

use super::control::{self, Control, Logger};
use super::{
    Bound, Process, confine, device_table, fault, host_table, load, modules, serve, threads,
};
use crate::wire::clock::ClockReader;
use crate::wire::message::{self, Bind, FromWorker, Load, MAX_NODES, Memory, ToWorker};
use crate::wire::progress::{CMD_LOAD, CMD_PROBE, Progress, Role};
use crate::wire::recorder::{Module, Recorder};
use driver_sys::vfio_user::Client;
use drvhost_abi::Errno;
use drvhost_abi::tables::{DriverV1, NodeInfo};
use drvhost_channel::ring::{Ring, RingServer, Slots};
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, OnceLock};

/// Why there is no worker.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("standard input is no control socket; this command is for drvhost itself")]
    NoSocket,
    #[error("{0}")]
    Message(#[from] message::MessageError),
    #[error("the host sent something else than expected ({0})")]
    Order(&'static str),
    #[error("{what}: {source}")]
    System {
        what: &'static str,
        source: rustix::io::Errno,
    },
}

fn system(what: &'static str) -> impl Fn(rustix::io::Errno) -> StartError {
    move |source| StartError::System { what, source }
}

/// Runs the worker; comes back on errors only, and when the host closes the socket early.
pub(super) fn start() -> Result<(), StartError> {
    let socket = take_socket()?;
    let mut buffer = Vec::new();
    let (first, memory) = message::receive::<Memory>(&socket, &mut buffer, true)?;
    if first.protocol != message::PROTOCOL {
        return Err(StartError::Order(
            "another version of the protocol; restart drvhost",
        ));
    }
    let memory: [OwnedFd; 4] = memory.try_into().map_err(|_| StartError::Order("memory"))?;
    let [ring, clock, progress, recorder] = memory;
    // Each descriptor is closed as soon as its memory is mapped.
    let ring = Ring::open(ring, Slots::Worker).map_err(system("map the ring"))?;
    let clock = ClockReader::open(clock).map_err(system("map the clock"))?;
    let progress = Progress::open(progress).map_err(system("map the progress page"))?;
    let recorder = Recorder::open(recorder).map_err(system("map the flight recorder"))?;

    let (load, fds) = match message::receive(&socket, &mut buffer, true) {
        Ok((ToWorker::Load(load), fds)) => (load, fds),
        Ok(_) => return Err(StartError::Order("load")),
        // A worker that is not needed any more.
        Err(message::MessageError::Closed) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    // The main thread's entry stands from here on: a plugin may hang in its constructor.
    let progress: &'static Progress = Box::leak(Box::new(progress));
    let mark = progress.enter("main", Role::Server, clock.now());
    if let Some(mark) = mark {
        mark.running(clock.now(), CMD_LOAD);
    }
    // Constructors can crash, too.
    let recorder: &'static Recorder = Box::leak(Box::new(recorder));
    recorder.set_modules(&modules::modules(&[]));
    fault::install(recorder);
    let loaded = match load_plugin(&load, &fds) {
        Ok(loaded) => loaded,
        Err(reason) => {
            message::send(&socket, &FromWorker::LoadFailed { reason }, &[], true)?;
            return Ok(());
        }
    };
    drop(fds);
    recorder.set_modules(&modules::modules(&loaded.names));
    let about = FromWorker::Loaded {
        name: text(loaded.table.name),
        description: text(loaded.table.description),
        unconfined: loaded.unconfined,
    };
    if let Some(mark) = mark {
        mark.idle(clock.now());
        mark.leave();
    }
    message::send(&socket, &about, &[], true)?;
    let process: &'static Process = Box::leak(Box::new(Process {
        control: Control::new(socket).map_err(system("eventfd"))?,
        clock,
        progress,
        recorder,
        log_level: load.log_level,
        table: loaded.table,
        instance: AtomicPtr::new(std::ptr::null_mut()),
        host: OnceLock::new(),
        bound: OnceLock::new(),
        buffers: Default::default(),
        fences: Default::default(),
        files: Default::default(),
        irqs: Default::default(),
        pools: Mutex::default(),
    }));
    threads::watched(process, "main", Role::Server, || {
        bind_and_serve(process, ring, buffer)
    })
}

/// Standard input becomes an ordinary descriptor and `/dev/null` takes its place; every other
/// descriptor but the standard ones is closed.
fn take_socket() -> Result<OwnedFd, StartError> {
    use rustix::fs::{Mode, OFlags};
    use rustix::net::{SocketType, sockopt};
    let stdin = rustix::stdio::stdin();
    if sockopt::socket_type(stdin) != Ok(SocketType::SEQPACKET) {
        return Err(StartError::NoSocket);
    }
    // SAFETY: nothing in this process owns descriptors yet but the standard ones.
    unsafe { libc::close_range(3, u32::MAX, 0) };
    let socket = rustix::io::fcntl_dupfd_cloexec(stdin, 3).map_err(system("take the socket"))?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(system("open /dev/null"))?;
    rustix::stdio::dup2_stdin(&null).map_err(system("replace standard input"))?;
    Ok(socket)
}

struct LoadedPlugin {
    table: &'static DriverV1,
    names: Vec<(String, Module)>,
    unconfined: Vec<String>,
}

fn load_plugin(load: &Load, fds: &[OwnedFd]) -> Result<LoadedPlugin, String> {
    let (driver, kpi) = match fds {
        [driver] if !load.kpi => (driver, None),
        [driver, kpi] if load.kpi => (driver, Some(kpi)),
        _ => return Err("the host sent the wrong number of files".into()),
    };
    for library in &load.preload {
        load::library(library, libloading::os::unix::RTLD_LOCAL)
            .map_err(|error| format!("{library}, which it needs: {error}"))?;
    }
    let confined = confine::enter(&load.limits).map_err(|error| error.to_string())?;
    // The working directory is the one that holds this process's descriptors.
    let path = |fd: &OwnedFd| format!("./{}", fd.as_raw_fd());
    let mut names = Vec::new();
    if let Some(kpi) = kpi {
        load::kpi(&path(kpi)).map_err(|error| format!("libkpi.so: {error}"))?;
        names.push((path(kpi), Module::Kpi));
    }
    let table = load::driver(&path(driver), load.kind).map_err(|error| error.to_string())?;
    names.push((path(driver), Module::Driver));
    let unconfined = confined.close().map_err(|error| error.to_string())?;
    Ok(LoadedPlugin {
        table,
        names,
        unconfined,
    })
}

/// A text of the plugin's.
fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: the table's texts are C strings of the plugin's that stay.
    let text = unsafe { CStr::from_ptr(pointer) }.to_string_lossy();
    text.chars().take(message::MAX_TARGET).collect()
}

fn bind_and_serve(
    process: &'static Process,
    ring: Ring,
    mut buffer: Vec<u8>,
) -> Result<(), StartError> {
    threads::idle(process);
    let (bind, fds) = match process.control.receive(&mut buffer) {
        Ok((ToWorker::Bind(bind), fds)) => (bind, fds),
        Ok((ToWorker::Remove, _)) | Err(message::MessageError::Closed) => return Ok(()),
        Ok(_) => return Err(StartError::Order("bind")),
        Err(error) => return Err(error.into()),
    };
    threads::running(process, CMD_PROBE);
    // What `ps` and `top` show.
    if let Ok(name) = CString::new(bind.address.as_str()) {
        let _ = rustix::thread::set_name(&name);
    }
    if log::set_boxed_logger(Box::new(Logger(process))).is_ok() {
        let levels = [
            log::LevelFilter::Off,
            log::LevelFilter::Error,
            log::LevelFilter::Warn,
            log::LevelFilter::Info,
            log::LevelFilter::Debug,
            log::LevelFilter::Trace,
        ];
        let level = levels.get(usize::from(process.log_level)).copied();
        log::set_max_level(level.unwrap_or(log::LevelFilter::Trace));
    }
    let device = fds
        .into_iter()
        .next()
        .ok_or(StartError::Order("bind without a device"))?;
    bound(process, &bind, device)?;
    std::thread::Builder::new()
        .name("control".into())
        .spawn(move || control::follow(process))
        .map_err(|_| system("start the control thread")(rustix::io::Errno::AGAIN))?;
    match probe(process) {
        Ok(nodes) => {
            process.control.send(&FromWorker::Ready { nodes });
            serve::host(process, RingServer::new(ring));
            // The ring is closed: `remove` ends the process.
            loop {
                std::thread::park();
            }
        }
        Err(errno) => {
            process
                .control
                .send(&FromWorker::ProbeFailed { errno: errno.0 });
            control::exit(0)
        }
    }
}

fn bound(process: &'static Process, bind: &Bind, device: OwnedFd) -> Result<(), StartError> {
    let address: driver_sys::PciAddress = bind
        .address
        .parse()
        .map_err(|_| StartError::Order("bind to no address"))?;
    let c_string = |text: &String| CString::new(text.as_str()).ok();
    let params = bind
        .params
        .iter()
        .filter_map(|(name, value)| Some((c_string(name)?, c_string(value)?)))
        .collect();
    let bound = Bound {
        device: Box::new(Client::from_connected(device, address)),
        table: device_table::table(process, address, &bind.ids),
        params,
        vblank_base: bind.vblank_base,
        bars: Mutex::default(),
        dma: Mutex::new(HashMap::new()),
    };
    process
        .bound
        .set(bound)
        .map_err(|_| StartError::Order("bind twice"))?;
    let _ = process.host.set(host_table::table(process));
    Ok(())
}

fn probe(process: &'static Process) -> Result<Vec<(u32, String)>, Errno> {
    let (host, bound) = match (process.host.get(), process.bound.get()) {
        (Some(host), Some(bound)) => (host, bound),
        _ => return Err(Errno::ENODEV),
    };
    let (probe, nodes) = match (process.table.probe, process.table.nodes) {
        (Some(probe), Some(nodes)) => (probe, nodes),
        _ => return Err(Errno::ENOSYS),
    };
    let mut instance = std::ptr::null_mut();
    // SAFETY: both tables stay until the process ends; `instance` is valid for a write.
    let status = unsafe { probe(host, &bound.table, &mut instance) };
    Errno::check(status.into())?;
    process.instance.store(instance, Ordering::Release);
    let empty = NodeInfo {
        kind: 0,
        reserved: 0,
        name: [0; 64],
    };
    let mut list = [empty; MAX_NODES];
    // SAFETY: the instance came from `probe`; there is room for as many nodes as are said.
    let count = unsafe { nodes(instance, list.as_mut_ptr(), MAX_NODES as u32) };
    let count = Errno::check(count.into())? as usize;
    if count > MAX_NODES {
        return Err(Errno::E2BIG);
    }
    let name = |info: &NodeInfo| {
        let name = info
            .name
            .split(|&byte| byte == 0)
            .next()
            .unwrap_or_default();
        (info.kind, String::from_utf8_lossy(name).into_owned())
    };
    Ok(list[..count].iter().map(name).collect())
}
