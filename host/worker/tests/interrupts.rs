// SPDX-License-Identifier: MIT
//! Interrupts of a device reach the driver's handler, and stop when they are turned off.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // helpers of tests, too

mod common;

use common::{Bench, DISPLAY, ioctl, open, plugin};
use driver_sys::vfio_user::socket_path;
use drvhost_abi::Errno;
use drvhost_port::CallError;
use drvhost_sim::function::{DmaProt, IRQ_MSI, PciFunction, REGION_CONFIG, Refused, RegionInfo};
use plugin_tiny_rust as tiny;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};

/// A device with one MSI vector and nothing else.
#[derive(Default)]
struct Bell {
    vector: Arc<Mutex<Option<OwnedFd>>>,
}

impl PciFunction for Bell {
    fn config_read(&mut self, offset: usize, data: &mut [u8]) -> Result<(), Refused> {
        let mut space = [0; 256];
        space[..4].copy_from_slice(&[0x34, 0x12, 0x11, 0x11]);
        data.copy_from_slice(&space[offset..offset + data.len()]);
        Ok(())
    }

    fn config_write(&mut self, _: usize, _: &[u8]) -> Result<(), Refused> {
        Ok(())
    }

    fn region(&self, index: u32) -> RegionInfo {
        let size = if index == REGION_CONFIG { 256 } else { 0 };
        RegionInfo {
            size,
            read: true,
            write: true,
            mmap: None,
        }
    }

    fn region_read(&mut self, _: u32, _: u64, _: &mut [u8]) -> Result<(), Refused> {
        Err(Refused::INVALID)
    }

    fn region_write(&mut self, _: u32, _: u64, _: &[u8]) -> Result<(), Refused> {
        Err(Refused::INVALID)
    }

    fn irq_count(&self, index: u32) -> u32 {
        u32::from(index == IRQ_MSI)
    }

    fn set_irqs(&mut self, _: u32, _: u32, fds: Vec<Option<OwnedFd>>) -> Result<(), Refused> {
        *self.vector.lock().unwrap() = fds.into_iter().next().flatten();
        Ok(())
    }

    fn dma_map(
        &mut self,
        _: u64,
        _: u64,
        _: DmaProt,
        _: Option<(OwnedFd, u64)>,
    ) -> Result<(), Refused> {
        Ok(())
    }

    fn dma_unmap(&mut self, _: u64, _: u64) -> Result<(), Refused> {
        Ok(())
    }

    fn reset(&mut self) -> Result<(), Refused> {
        Ok(())
    }
}

#[test]
fn handlers_run_until_they_are_off() {
    let mut bench = Bench::real();
    // Another machine, with this device alone.
    bench.dir = tempfile::tempdir().unwrap();
    let path = socket_path(bench.dir.path(), DISPLAY.parse().unwrap());
    let bell = Bell::default();
    let vector = bell.vector.clone();
    let listener = UnixListener::bind(path).unwrap();
    let _server = drvhost_sim::server::serve(listener, Arc::new(Mutex::new(bell))).unwrap();
    let link = bench.bound(&plugin("tiny_rust"), &[]);
    open(&link, 0, 4).unwrap();
    ioctl(&link, 4, tiny::IRQ_ON, &mut []).unwrap();
    let again = ioctl(&link, 4, tiny::IRQ_ON, &mut []);
    assert_eq!(again, Err(CallError::Errno(Errno::EBUSY)));
    let ring = || {
        let vector = vector.lock().unwrap();
        rustix::io::write(vector.as_ref().unwrap(), &1u64.to_ne_bytes()).unwrap();
    };
    for count in 1..=3 {
        ring();
        bench.host.wait(|state| state.events.len() == count);
    }
    let events = bench.host.state.lock().unwrap().events.clone();
    assert!(
        events.iter().all(|event| *event == (4, vec![0; 4])),
        "{events:?}"
    );
    ioctl(&link, 4, tiny::IRQ_OFF, &mut []).unwrap();
    assert!(vector.lock().unwrap().is_none());
    while link
        .report()
        .threads
        .iter()
        .any(|thread| thread.name == "irq 0")
    {
        std::thread::yield_now();
    }
    ioctl(&link, 4, tiny::IRQ_ON, &mut []).unwrap();
    ring();
    bench.host.wait(|state| state.events.len() == 4);
}
