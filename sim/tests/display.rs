// SPDX-License-Identifier: MIT
//! The display through driver-sys: what a driver and the host do with it.

#![allow(clippy::unwrap_used)] // a test

mod common;

use std::time::Duration;

use common::{DISPLAY, machine};
use driver_sys::vfio_user::{Client, enumerate, socket_path};
use driver_sys::{BarInfo, BarKind, Error, IrqKind, PciDevice, PciIds, Width, caps, config};
use drvhost_sim::dispi::Fault;

const REGISTERS: u64 = 0x500;

fn connect(dir: &std::path::Path) -> Client {
    Client::connect(&socket_path(dir, DISPLAY.parse().unwrap())).unwrap()
}

fn show(device: &dyn PciDevice, width: u64, height: u64) {
    for (index, value) in [(1, width), (2, height), (3, 32), (4, 0x41)] {
        device
            .bar_write(2, REGISTERS + 2 * index, Width::U16, value)
            .unwrap();
    }
}

#[test]
fn a_driver_finds_and_uses_it() {
    let dir = tempfile::tempdir().unwrap();
    let machine = machine(dir.path());
    let found: Vec<_> = enumerate(dir.path())
        .unwrap()
        .iter()
        .map(|a| a.to_string())
        .collect();
    assert_eq!(found, [DISPLAY, "0000:00:03.0"]);

    let device = connect(dir.path());
    let ids = PciIds::read(&device).unwrap();
    assert_eq!(
        (ids.vendor, ids.device, ids.class, ids.revision),
        (0x1234, 0x1111, 0x03_8000, 2)
    );
    assert_eq!((ids.subvendor, ids.subdevice), (0x1af4, 0x1100));
    assert_eq!(caps::find(&device, caps::EXPRESS).unwrap(), Some(0x80));
    config::update_command(&device, config::COMMAND_MEMORY, 0).unwrap();
    assert_eq!(config::read_u16(&device, config::COMMAND).unwrap(), 2);

    let memory = |prefetchable| BarKind::Memory {
        prefetchable,
        wide: false,
    };
    let bars: Vec<_> = (0..6).map(|bar| device.bar_info(bar).unwrap()).collect();
    assert_eq!(
        bars[0],
        BarInfo {
            kind: memory(true),
            size: 16 << 20,
            mappable: true
        }
    );
    assert_eq!(
        bars[2],
        BarInfo {
            kind: memory(false),
            size: 0x1000,
            mappable: false
        }
    );
    assert!(
        [1, 3, 4, 5]
            .iter()
            .all(|bar| bars[*bar].kind == BarKind::None)
    );
    assert_eq!(device.irq_info(IrqKind::Msi).unwrap().count, 0);

    assert_eq!(device.bar_read(2, REGISTERS, Width::U16).unwrap(), 0xb0c5);
    assert_eq!(
        device.bar_read(2, 0, Width::U64).unwrap(),
        0x00ff_ffff_ffff_ff00
    );
    let vram = device.bar_map(0).unwrap();
    show(&device, 128, 64);
    vram.write_u32(4, 0x0011_2233).unwrap();
    let picture = machine.slots()[&DISPLAY.parse().unwrap()]
        .device()
        .picture();
    assert_eq!((picture.width, picture.height), (128, 64));
    assert_eq!(picture.rgb[..6], [0, 0, 0, 0x11, 0x22, 0x33]);
    assert_eq!(device.bar_read(0, 4, Width::U32).unwrap(), 0x0011_2233);
}

#[test]
fn mistakes_get_errors_and_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let _machine = machine(dir.path());
    let device = connect(dir.path());
    let range = |result: driver_sys::Result<u64>| matches!(result, Err(Error::OutOfRange { .. }));
    assert!(range(device.bar_read(2, 0x1000, Width::U8)));
    assert!(range(device.bar_read(2, 0xffd, Width::U32)));
    assert!(range(device.bar_read(2, 0x501, Width::U16)));
    assert!(range(device.bar_read(2, u64::MAX, Width::U8)));
    assert!(range(device.bar_read(1, 0, Width::U8)));
    assert!(range(device.config_read(4095, &mut [0; 2]).map(|()| 0)));
    assert!(matches!(
        device.bar_read(6, 0, Width::U8),
        Err(Error::Invalid { .. })
    ));
    assert!(matches!(device.bar_info(200), Err(Error::Invalid { .. })));
    assert!(matches!(device.bar_map(2), Err(Error::Unsupported { .. })));
    assert!(matches!(
        device.irq_enable(IrqKind::Msix, 1),
        Err(Error::Invalid { .. })
    ));
    assert!(matches!(
        device.dma_unmap(0x1000),
        Err(Error::Invalid { .. })
    ));
    assert!(matches!(device.dma_alloc(0, 1), Err(Error::Invalid { .. })));
    assert!(matches!(device.dma_alloc(1, 3), Err(Error::Invalid { .. })));
    assert!(PciIds::read(&device).is_ok());
}

#[test]
fn hardware_outlives_its_clients() {
    let dir = tempfile::tempdir().unwrap();
    let machine = machine(dir.path());
    let address = DISPLAY.parse().unwrap();
    let first = connect(dir.path());
    show(&first, 800, 600);
    drop(first);
    let second = connect(dir.path());
    assert_eq!(second.bar_read(2, REGISTERS + 2, Width::U16).unwrap(), 800);
    second.reset().unwrap();
    assert_eq!(second.bar_read(2, REGISTERS + 2, Width::U16).unwrap(), 0);
    assert!(machine.slots()[&address].device().mode().is_none());
}

#[test]
fn a_connection_can_be_handed_over() {
    let dir = tempfile::tempdir().unwrap();
    let _machine = machine(dir.path());
    let host = connect(dir.path());
    assert!(PciIds::read(&host).is_ok());
    let worker = Client::from_connected(host.into_fd().unwrap(), DISPLAY.parse().unwrap());
    assert_eq!(PciIds::read(&worker).unwrap().device, 0x1111);
    assert_eq!(worker.bar_map(0).unwrap().len(), 16 << 20);
    let duplicate = worker.handover().unwrap();
    drop(worker);
    let next = Client::from_connected(duplicate, DISPLAY.parse().unwrap());
    assert_eq!(PciIds::read(&next).unwrap().device, 0x1111);
}

#[test]
fn a_broken_device_comes_back_with_a_reset_only() {
    let dir = tempfile::tempdir().unwrap();
    let machine = machine(dir.path());
    let slot = &machine.slots()[&DISPLAY.parse().unwrap()];
    slot.device().break_down(Fault::Stuck);
    for _ in 0..2 {
        let device = connect(dir.path());
        assert_eq!(device.bar_read(2, REGISTERS, Width::U16).unwrap(), 0xffff);
        device.bar_write(2, REGISTERS + 2, Width::U16, 1).unwrap();
    }
    connect(dir.path()).reset().unwrap();
    assert_eq!(
        connect(dir.path())
            .bar_read(2, REGISTERS, Width::U16)
            .unwrap(),
        0xb0c5
    );
}

#[test]
fn a_hung_device_is_reset_by_another_connection() {
    let dir = tempfile::tempdir().unwrap();
    let machine = machine(dir.path());
    let device = connect(dir.path());
    assert!(PciIds::read(&device).is_ok());
    machine.slots()[&DISPLAY.parse().unwrap()]
        .device()
        .break_down(Fault::Hang);
    device.set_timeout(Duration::from_millis(1));
    let read = device.bar_read(2, REGISTERS, Width::U16);
    assert!(
        matches!(read, Err(Error::TimedOut { .. } | Error::Protocol { .. })),
        "{read:?}"
    );
    // Nothing more is asked on a connection that owes an answer.
    assert!(matches!(device.reset(), Err(Error::Protocol { .. })));
    assert!(device.handover().is_err());
    let other = connect(dir.path());
    other.reset().unwrap();
    assert_eq!(other.bar_read(2, REGISTERS, Width::U16).unwrap(), 0xb0c5);
}

#[test]
fn a_device_is_pulled_out_and_plugged_in() {
    let dir = tempfile::tempdir().unwrap();
    let machine = machine(dir.path());
    let address = DISPLAY.parse().unwrap();
    let device = connect(dir.path());
    let vram = device.bar_map(0).unwrap();
    vram.write_u32(0, 7).unwrap();
    let hangup = device.hangup_fd().unwrap();
    machine.unplug(address).unwrap();

    let flags = rustix::event::PollFlags::IN;
    let mut polled = [rustix::event::PollFd::new(&hangup, flags)];
    assert_eq!(rustix::event::poll(&mut polled, None).unwrap(), 1);
    assert!(polled[0].revents().contains(rustix::event::PollFlags::HUP));
    for _ in 0..2 {
        assert!(matches!(PciIds::read(&device), Err(Error::Gone { .. })));
    }
    assert_eq!(vram.read_u32(0).unwrap(), 7, "mappings stay readable");
    assert_eq!(enumerate(dir.path()).unwrap().len(), 1);
    assert!(machine.unplug(address).is_err());

    machine.plug(address).unwrap();
    assert!(machine.plug(address).is_err());
    let again = connect(dir.path());
    assert_eq!(
        again.bar_map(0).unwrap().read_u32(0).unwrap(),
        0,
        "as after power-on"
    );
    drop(machine);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
