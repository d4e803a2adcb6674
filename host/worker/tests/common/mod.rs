// SPDX-License-Identifier: MIT
//! What the tests share: a simulated device, a host that gives buffers and fences, and workers.

#![allow(dead_code, clippy::unwrap_used)] // each test binary uses a part

use driver_sys::vfio_user::{Client, socket_path};
use driver_sys::{PciAddress, PciIds};
use drvhost_abi::Errno;
use drvhost_abi::tables::OpenArgs;
use drvhost_channel::memory::sealed;
use drvhost_plugin::Checker;
use drvhost_port::{Answer, CallError, Ioctl, Object, Upcalls, Worker};
use drvhost_sim::machine::Machine;
use drvhost_sim::running::Running;
use drvhost_worker::{Binding, Clock, Config, Link, LinkError, LogLine, Plugin};
use rustix::event::{EventfdFlags, eventfd};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

/// Where the simulated display is.
pub const DISPLAY: &str = "0000:00:02.0";

/// What the driver asked, and what it was given.
#[derive(Debug, Default)]
pub struct Host {
    pub state: Mutex<HostState>,
    pub changed: Condvar,
}

#[derive(Debug, Default)]
pub struct HostState {
    pub next: u64,
    pub objects: HashMap<u64, (OwnedFd, u64)>,
    pub puts: Vec<u64>,
    pub events: Vec<(u64, Vec<u8>)>,
    pub hotplugs: usize,
}

impl Host {
    fn add(&self, fd: OwnedFd, size: u64) -> Object {
        let mut state = self.state.lock().unwrap();
        state.next += 1;
        let id = state.next;
        let copy = fd.try_clone().unwrap();
        state.objects.insert(id, (fd, size));
        Object { id, fd: copy, size }
    }

    fn get(&self, id: u64) -> Result<Object, Errno> {
        let state = self.state.lock().unwrap();
        let (fd, size) = state.objects.get(&id).ok_or(Errno::ENOENT)?;
        Ok(Object {
            id,
            fd: fd.try_clone().unwrap(),
            size: *size,
        })
    }

    /// Makes a fence without the driver.
    pub fn fence(&self) -> Object {
        self.fence_create(0).unwrap()
    }

    /// Sleeps until the driver did what `done` looks for.
    pub fn wait(&self, done: impl Fn(&HostState) -> bool) {
        let mut state = self.state.lock().unwrap();
        while !done(&state) {
            state = self.changed.wait(state).unwrap();
        }
    }

    fn note(&self, change: impl FnOnce(&mut HostState)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }
}

impl Upcalls for Host {
    fn buffer_create(&self, _: u64, size: u64) -> Result<Object, Errno> {
        Ok(self.add(sealed("test", size).unwrap(), size))
    }

    fn buffer_open(&self, id: u64) -> Result<Object, Errno> {
        self.get(id)
    }

    fn buffer_put(&self, id: u64) {
        self.note(|state| state.puts.push(id));
    }

    fn fence_create(&self, _: u64) -> Result<Object, Errno> {
        Ok(self.add(eventfd(0, EventfdFlags::CLOEXEC).unwrap(), 0))
    }

    fn fence_open(&self, id: u64) -> Result<Object, Errno> {
        self.get(id)
    }

    fn fence_put(&self, id: u64) {
        self.note(|state| state.puts.push(id));
    }

    fn post_event(&self, file: u64, data: &[u8]) -> Result<(), Errno> {
        self.note(|state| state.events.push((file, data.to_vec())));
        Ok(())
    }

    fn file_create(&self, _: u32) -> Result<u64, Errno> {
        self.note(|state| state.next += 1);
        Ok(self.state.lock().unwrap().next)
    }

    fn hotplug(&self) {
        self.note(|state| state.hotplugs += 1);
    }
}

/// A machine, a host and a way to start workers.
pub struct Bench {
    pub dir: tempfile::TempDir,
    pub machine: Running,
    pub host: Arc<Host>,
    pub config: Config,
    pub lines: Arc<Mutex<Vec<LogLine>>>,
}

impl Bench {
    pub fn new(clock: Clock) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let text = "(devices: [(address: \"0000:00:02.0\", model: BochsDisplay(vram_mib: 1))])";
        let machine = Machine::parse(text, Path::new("test")).unwrap();
        let machine = Running::start(&machine, dir.path()).unwrap();
        let lines: Arc<Mutex<Vec<LogLine>>> = Arc::default();
        let mut config = Config::new(Arc::new(clock));
        config.exe = Some(env!("CARGO_BIN_EXE_drvhost-test-worker").into());
        config.args = Vec::new();
        config.log_level = log::LevelFilter::Debug;
        let sink = lines.clone();
        config.sink = Arc::new(move |line| sink.lock().unwrap().push(line.clone()));
        Bench {
            dir,
            machine,
            host: Arc::default(),
            config,
            lines,
        }
    }

    pub fn real() -> Bench {
        Bench::new(Clock::real().unwrap())
    }

    pub fn stepped() -> Bench {
        Bench::new(Clock::stepped(1_000_000_000_000).unwrap())
    }

    pub fn spare(&self, plugin: &Plugin) -> Link {
        let link = Link::spawn(&self.config).unwrap();
        let loaded = link.load(plugin).unwrap();
        assert_eq!(
            loaded.unconfined, [""; 0],
            "all of the confinement must be in force here"
        );
        link
    }

    pub fn bind(&self, link: &Link, params: &[(&str, &str)]) -> Result<(), LinkError> {
        let address: PciAddress = DISPLAY.parse().unwrap();
        let device = Client::connect(&socket_path(self.dir.path(), address)).unwrap();
        let ids = PciIds::read(&device).unwrap();
        link.bind(Binding {
            device: device.into_fd().unwrap(),
            address,
            ids,
            params: params
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect(),
            vblank_base: 7,
            upcalls: self.host.clone(),
            firmware: Arc::new(|name| match name {
                "tiny/firmware.bin" => Ok((sealed("firmware", 100).unwrap(), 100)),
                _ => Err(Errno::ENOENT),
            }),
        })
    }

    pub fn bound(&self, plugin: &Plugin, params: &[(&str, &str)]) -> Link {
        let link = self.spare(plugin);
        self.bind(&link, params).unwrap();
        link
    }
}

/// A plugin of this workspace, built as a dependency of the tests.
pub fn plugin(name: &str) -> Plugin {
    let exe = std::env::current_exe().unwrap();
    let path: PathBuf = exe.parent().unwrap().join(format!("libplugin_{name}.so"));
    Plugin::new(Checker::system().unwrap().verify(&path).unwrap(), None)
}

pub fn open(link: &Link, node: u32, cookie: u64) -> Result<(), CallError> {
    link.open(&args(node, cookie))
}

pub fn args(node: u32, cookie: u64) -> OpenArgs {
    OpenArgs {
        node,
        flags: 0,
        cookie,
        pid: 1,
        uid: 0,
    }
}

pub fn ioctl(link: &Link, file: u64, cmd: u32, payload: &mut [u8]) -> Result<Answer, CallError> {
    link.ioctl(
        file,
        &Ioctl {
            cmd,
            ..Ioctl::default()
        },
        payload,
    )
}
