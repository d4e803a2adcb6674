// SPDX-License-Identifier: MIT
//! The worker's end: a process that locks itself in, loads a plugin and serves its calls.
//!
//! * `start`: from the first message to the probed device;
//! * `confine`: what the process gives up before it loads anything;
//! * `load`: the plugin and its checks; `modules`, `fault`: what a crash report needs;
//! * `control`: the control socket and upcalls; `serve`, `files`: calls;
//! * `host_table`, `device_table` (with `buffers`, `fences`, `irq`): what the driver is given;
//! * `threads`: threads that the host watches.

mod buffers;
mod confine;
mod control;
mod device_table;
mod fault;
mod fences;
mod files;
mod host_table;
mod irq;
mod load;
mod modules;
mod serve;
mod start;
mod threads;

use crate::wire::clock::ClockReader;
use crate::wire::progress::Progress;
use crate::wire::recorder::Recorder;
use drvhost_abi::tables::{DriverV1, HostV1};
use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::process::ExitCode;
use std::sync::atomic::AtomicPtr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// What `drvhost worker` does. Standard input is the control socket ([`crate::link`] makes it).
pub fn run() -> ExitCode {
    match start::start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Goes to the host, which reads what its workers print; or to who started it by hand.
            eprintln!("drvhost worker: {error}");
            ExitCode::FAILURE
        }
    }
}

/// All that a worker is. Made once, never freed.
#[derive(Debug)]
struct Process {
    control: control::Control,
    clock: ClockReader,
    progress: &'static Progress,
    recorder: &'static Recorder,
    log_level: u8,
    table: &'static DriverV1,
    instance: AtomicPtr<c_void>,
    host: OnceLock<HostV1>,
    bound: OnceLock<Bound>,
    buffers: buffers::Buffers,
    fences: fences::Fences,
    files: files::Files,
    irqs: irq::Irqs,
    pools: Mutex<Vec<Arc<serve::Pool>>>,
}

/// The device and what came with it.
#[derive(Debug)]
struct Bound {
    device: Box<dyn driver_sys::PciDevice>,
    table: drvhost_abi::tables::DeviceV1,
    params: Vec<(CString, CString)>,
    vblank_base: u64,
    bars: Mutex<[Option<usize>; 6]>,
    // The host's buffer behind each IOVA that was given out.
    dma: Mutex<HashMap<u64, u64>>,
}

impl Process {
    fn now(&self) -> u64 {
        self.clock.now()
    }

    fn pools(&self) -> MutexGuard<'_, Vec<Arc<serve::Pool>>> {
        lock(&self.pools)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
