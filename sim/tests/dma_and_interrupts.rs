// SPDX-License-Identifier: MIT
//! DMA, interrupts and refusals, with a toy device that has them.

#![allow(clippy::unwrap_used)] // a test

mod common;

use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{DISPLAY, Event, RAM_SIZE, Toy};
use driver_sys::vfio_user::{Client, socket_path};
use driver_sys::{Error, IrqKind, PciDevice, Width};
use drvhost_sim::server::{Server, serve};

const GENEROUS: Duration = Duration::from_secs(30);

fn toy(dir: &Path) -> (Server, Receiver<Event>, Arc<Mutex<Toy>>) {
    let (sender, events) = channel();
    let path = socket_path(dir, DISPLAY.parse().unwrap());
    let toy = Arc::new(Mutex::new(Toy::new(sender)));
    (
        serve(UnixListener::bind(path).unwrap(), toy.clone()).unwrap(),
        events,
        toy,
    )
}

fn connect(dir: &Path) -> Client {
    Client::connect(&socket_path(dir, DISPLAY.parse().unwrap())).unwrap()
}

#[test]
fn the_device_reaches_memory_and_interrupts() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, events, toy) = toy(dir.path());
    let device = connect(dir.path());
    // More vectors than one message carries descriptors.
    let eventfds = device.irq_enable(IrqKind::Msi, 20).unwrap();
    assert_eq!(eventfds.len(), 20);
    assert!(toy.lock().unwrap().irqs.iter().all(Option::is_some));

    let buffer = device.dma_alloc(5000, 1 << 16).unwrap();
    let file = buffer.file.clone().unwrap();
    assert_eq!((buffer.iova % (1 << 16), buffer.mapping.len()), (0, 8192));
    buffer.mapping.write_slice(100, b"pattern!").unwrap();
    device
        .bar_write(0, 0, Width::U64, buffer.iova + 100)
        .unwrap();
    let mut copy = [0; 8];
    buffer.mapping.read_slice(108, &mut copy).unwrap();
    assert_eq!(&copy, b"pattern!");
    let mut count = [0; 8];
    rustix::io::read(&eventfds[0], &mut count).unwrap();
    assert_eq!(u64::from_ne_bytes(count), 1);

    // Somebody else's memory, from the middle of its file.
    let iova = device.dma_map(file.as_fd(), 4096, 4096).unwrap();
    buffer.mapping.write_slice(4096, b"tail end").unwrap();
    device.bar_write(0, 0, Width::U64, iova).unwrap();
    buffer.mapping.read_slice(4104, &mut copy).unwrap();
    assert_eq!(&copy, b"tail end");

    device.dma_unmap(iova).unwrap();
    assert_eq!(
        events.recv_timeout(GENEROUS),
        Ok(Event::Unmapped(iova, 4096))
    );
    let write = device.bar_write(0, 0, Width::U64, iova);
    assert!(
        matches!(write, Err(Error::Refused { errno: 5, .. })),
        "{write:?}"
    );
    device.irq_disable(IrqKind::Msi).unwrap();
    assert_eq!(events.recv_timeout(GENEROUS), Ok(Event::IrqsOff));
    let shut = file.as_fd().try_clone_to_owned().unwrap();
    assert!(
        rustix::fs::ftruncate(shut, 0).is_err(),
        "the memory can't be taken away"
    );
}

#[test]
fn refusals_are_errors_and_the_connection_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, _events, _toy) = toy(dir.path());
    let device = connect(dir.path());
    for _ in 0..3 {
        let read = device.bar_read(0, 0x10, Width::U32);
        assert!(
            matches!(read, Err(Error::Refused { errno: 5, .. })),
            "{read:?}"
        );
        assert_eq!(device.bar_read(0, 0, Width::U16).unwrap(), 0x5a5a);
    }
    let unmask = device.irq_unmask(IrqKind::Msi, 0);
    assert!(
        matches!(unmask, Err(Error::Refused { errno: 95, .. })),
        "{unmask:?}"
    );
    let unmask = device.irq_unmask(IrqKind::Intx, 0);
    assert!(
        matches!(unmask, Err(Error::Refused { errno: 22, .. })),
        "{unmask:?}"
    );
}

#[test]
fn what_a_connection_made_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, events, toy) = toy(dir.path());
    let (first, second) = (connect(dir.path()), connect(dir.path()));
    let buffer = first.dma_alloc(4096, 1).unwrap();
    let _eventfds = first.irq_enable(IrqKind::Msi, 1).unwrap();
    // Both connections share the device's address space.
    let clash = second.dma_alloc(4096, 1);
    assert!(
        matches!(clash, Err(Error::Refused { errno: 17, .. })),
        "{clash:?}"
    );
    drop(first);
    assert_eq!(
        events.recv_timeout(GENEROUS),
        Ok(Event::Unmapped(buffer.iova, 4096))
    );
    assert_eq!(events.recv_timeout(GENEROUS), Ok(Event::IrqsOff));
    assert!(toy.lock().unwrap().mappings.is_empty());
    assert!(second.dma_alloc(4096, 1).is_ok());
}

#[test]
fn interrupts_that_somebody_else_took_over_stay() {
    let dir = tempfile::tempdir().unwrap();
    let (server, events, toy) = toy(dir.path());
    let (first, second) = (connect(dir.path()), connect(dir.path()));
    let _buffer = first.dma_alloc(4096, 1).unwrap();
    let _old = first.irq_enable(IrqKind::Msi, 1).unwrap();
    let _new = second.irq_enable(IrqKind::Msi, 1).unwrap();
    drop(first);
    assert!(matches!(
        events.recv_timeout(GENEROUS),
        Ok(Event::Unmapped(..))
    ));
    // The session has the lock until it has released everything.
    assert!(toy.lock().unwrap().irqs[0].is_some());
    server.stop();
    assert_eq!(events.recv_timeout(GENEROUS), Ok(Event::IrqsOff));
    assert!(matches!(second.reset(), Err(Error::Gone { .. })));
}

#[test]
fn memory_can_be_a_part_of_the_machines() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, _events, toy) = toy(dir.path());
    let ram = tempfile::tempfile().unwrap();
    ram.set_len(RAM_SIZE).unwrap();
    toy.lock().unwrap().ram = Some(Arc::new(ram.into()));
    let device = connect(dir.path());
    let buffer = device.dma_alloc(1 << 20, 1).unwrap();
    assert_eq!(
        (buffer.iova, buffer.offset),
        (2 << 20, 2 << 20),
        "past somebody else's"
    );
    buffer.mapping.write_slice(0, b"pattern!").unwrap();
    device.bar_write(0, 0, Width::U64, buffer.iova).unwrap();
    let mut copy = [0; 8];
    buffer.mapping.read_slice(8, &mut copy).unwrap();
    assert_eq!(&copy, b"pattern!");
    let second = device.dma_alloc(1 << 20, 1).unwrap();
    assert_eq!(second.iova, 3 << 20);
    assert!(matches!(
        device.dma_alloc(4096, 1),
        Err(Error::Invalid { .. })
    ));
    device.dma_unmap(buffer.iova).unwrap();
    let again = device.dma_alloc(4096, 1).unwrap();
    assert_eq!(
        (again.iova, again.mapping.read_u64(0).unwrap()),
        (2 << 20, 0)
    );
}
