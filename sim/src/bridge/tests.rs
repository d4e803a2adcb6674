// SPDX-License-Identifier: MIT
//! The bridge against QEMU itself, which must be installed.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use driver_sys::Mapping;
use serde_json::json;

use super::config::{QemuConfig, QemuDevice};
use super::function::QemuFunction;
use super::machine;
use super::ram::Ram;
use crate::function::{
    DmaProt, IRQ_MSI, IRQ_MSIX, PciFunction, REGION_CONFIG, REGION_RAM, Refused,
};

const WIDTH: u16 = 320;
const HEIGHT: u16 = 200;

fn start(model: &str) -> QemuFunction {
    let device = QemuDevice {
        model: model.into(),
        address: "0000:01:00.0".parse().unwrap(),
        properties: BTreeMap::new(),
    };
    let config = QemuConfig {
        program: "qemu-system-x86_64".into(),
        memory_mib: 16,
        devices: vec![device.clone()],
    };
    let ram = Arc::new(Ram::new(config.memory_mib).unwrap());
    QemuFunction::start(Arc::new(config), device, ram).unwrap()
}

fn config32(function: &mut QemuFunction, offset: usize) -> u32 {
    let mut data = [0; 4];
    function.config_read(offset, &mut data).unwrap();
    u32::from_le_bytes(data)
}

fn dispi(function: &mut QemuFunction, register: u64) -> u16 {
    let mut data = [0; 2];
    function
        .region_read(2, 0x500 + 2 * register, &mut data)
        .unwrap();
    u16::from_le_bytes(data)
}

fn set_dispi(function: &mut QemuFunction, register: u64, value: u16) {
    function
        .region_write(2, 0x500 + 2 * register, &value.to_le_bytes())
        .unwrap();
}

fn set_mode(function: &mut QemuFunction) {
    let registers = [
        (4, 0),
        (1, WIDTH),
        (2, HEIGHT),
        (3, 32),
        (6, WIDTH),
        (4, 0x41),
    ];
    for (register, value) in registers {
        set_dispi(function, register, value);
    }
}

/// A picture in which every pixel differs from its neighbours.
fn picture() -> Vec<u8> {
    let pixels = u32::from(WIDTH) * u32::from(HEIGHT);
    (0..pixels)
        .flat_map(|i| (i.wrapping_mul(0x9e_3779) & 0xff_ffff).to_le_bytes())
        .collect()
}

/// What QEMU's monitor shows, as XRGB8888.
fn shown(function: &mut QemuFunction) -> Vec<u8> {
    let picture = machine::screenshot(function).unwrap();
    assert_eq!(
        (picture.width, picture.height),
        (WIDTH.into(), HEIGHT.into())
    );
    let pixels = picture.rgb.chunks_exact(3);
    pixels.flat_map(|p| [p[2], p[1], p[0], 0]).collect()
}

#[test]
fn bochs_display_ids_and_regions() {
    let mut function = start("bochs-display");
    assert_eq!(config32(&mut function, 0), 0x1111_1234);
    assert_eq!(function.region(0).size, 16 << 20);
    assert_eq!(function.region(2).size, 4096);
    assert_eq!(function.region(1).size, 0);
    assert_eq!(function.region(REGION_CONFIG).size, 4096);
    assert_eq!(dispi(&mut function, 0) & 0xfff0, 0xb0c0);
    // EDID's fixed header, in the first bytes of the registers.
    let mut header = [0; 8];
    function.region_read(2, 0, &mut header).unwrap();
    assert_eq!(header, [0, 255, 255, 255, 255, 255, 255, 0]);
}

#[test]
fn a_client_sizes_and_moves_bars_without_effect_on_the_real_ones() {
    let mut function = start("bochs-display");
    let before = config32(&mut function, 0x10);
    function.config_write(0x10, &[0xff; 4]).unwrap();
    assert_eq!(config32(&mut function, 0x10), 0xff00_0008);
    function.config_write(0x18, &[0xff; 4]).unwrap();
    assert_eq!(config32(&mut function, 0x18), 0xffff_f000);
    assert_eq!(dispi(&mut function, 0) & 0xfff0, 0xb0c0);
    function.reset().unwrap();
    assert_eq!(config32(&mut function, 0x10), before);
}

#[test]
fn a_bar_that_is_switched_off_refuses() {
    let mut function = start("bochs-display");
    function.config_write(4, &[0, 0]).unwrap();
    for index in [0, 2] {
        let mut data = [0; 4];
        assert_eq!(function.region_read(index, 0, &mut data), Err(Refused::IO));
        assert_eq!(function.region_write(index, 0, &data), Err(Refused::IO));
    }
    function.config_write(4, &[2, 0]).unwrap();
    assert_eq!(dispi(&mut function, 0) & 0xfff0, 0xb0c0);
}

#[test]
fn pixels_written_are_the_pixels_shown() {
    let mut function = start("bochs-display");
    set_mode(&mut function);
    let picture = picture();
    function.region_write(0, 0, &picture).unwrap();
    let mut read = vec![0; picture.len()];
    function.region_read(0, 0, &mut read).unwrap();
    assert_eq!(read, picture);
    assert_eq!(shown(&mut function), picture);
    // Shown after a first screenshot, too, with nothing but the pixels changed.
    let inverse: Vec<u8> = picture.iter().map(|b| !b).collect();
    function.region_write(0, 0, &inverse).unwrap();
    let shown = shown(&mut function);
    for (at, pixel) in shown.chunks_exact(4).enumerate() {
        assert_eq!(pixel[..3], inverse[4 * at..4 * at + 3], "pixel {at}");
    }
}

#[test]
fn pixels_written_through_a_mapping_are_the_pixels_shown() {
    for model in ["bochs-display", "VGA"] {
        let mut function = start(model);
        set_mode(&mut function);
        if model == "VGA" {
            // Unblank: miscellaneous output, then the attribute controller's palette source.
            function.region_write(2, 0x402, &[1]).unwrap();
            function.region_read(2, 0x41a, &mut [0]).unwrap();
            function.region_write(2, 0x400, &[0x20]).unwrap();
        }
        let video = function.region(0).mmap.unwrap();
        let length = function.region(0).size as usize;
        let mapping = Mapping::new(video.file.as_fd(), video.offset, length).unwrap();
        let picture = picture();
        for shift in [0, 7] {
            let mut picture = picture.clone();
            picture.rotate_left(4 * shift);
            mapping.write_slice(0, &picture).unwrap();
            assert_eq!(shown(&mut function), picture, "{model}");
        }
        // The mapping and the trapped accesses are the same memory.
        function.region_write(0, 4, &[1, 2, 3, 4]).unwrap();
        let mut read = [0; 4];
        mapping.read_slice(4, &mut read).unwrap();
        assert_eq!(read, [1, 2, 3, 4]);
        // A second page of video memory, shown by moving the screen (Y offset).
        let page = usize::from(WIDTH) * usize::from(HEIGHT) * 4;
        mapping.write_slice(page, &picture).unwrap();
        set_dispi(&mut function, 9, HEIGHT);
        assert_eq!(shown(&mut function), picture, "{model}");
        // Neither a reset nor QEMU's death takes it away.
        let qemu = function.qemu().unwrap();
        let _ = qemu.qmp.execute("quit", json!(null));
        function.reset().unwrap();
        mapping.write_slice(0, &[5, 6, 7, 8]).unwrap();
        function.region_read(0, 0, &mut read).unwrap();
        assert_eq!(read, [5, 6, 7, 8]);
    }
}

#[test]
fn reset_through_the_port_restores_the_power_on_state() {
    for model in ["bochs-display", "VGA"] {
        let mut function = start(model);
        let pid = function.qemu().unwrap().pid();
        let fresh: Vec<u16> = (0..10).map(|i| dispi(&mut function, i)).collect();
        let config: Vec<u32> = (0..64).map(|i| config32(&mut function, 4 * i)).collect();
        set_mode(&mut function);
        // Bus mastering, and BARs somewhere else.
        function.config_write(4, &[7, 0]).unwrap();
        function.config_write(0x10, &[0xff; 4]).unwrap();
        assert_ne!(
            (0..10).map(|i| dispi(&mut function, i)).collect::<Vec<_>>(),
            fresh
        );
        function.reset().unwrap();
        let after: Vec<u16> = (0..10).map(|i| dispi(&mut function, i)).collect();
        assert_eq!(after, fresh, "{model}");
        let after: Vec<u32> = (0..64).map(|i| config32(&mut function, 4 * i)).collect();
        assert_eq!(after, config, "{model}");
        assert_eq!(
            function.qemu().unwrap().pid(),
            pid,
            "no new process was needed"
        );
    }
}

#[test]
fn a_device_without_a_reset_of_its_own_is_power_cycled() {
    let mut function = start("edu");
    assert_eq!(config32(&mut function, 0), 0x11e8_1234);
    function.region_write(0, 4, &5u32.to_le_bytes()).unwrap();
    let mut data = [0; 4];
    function.region_read(0, 4, &mut data).unwrap();
    assert_eq!(u32::from_le_bytes(data), !5);
    function.reset().unwrap();
    function.region_read(0, 4, &mut data).unwrap();
    assert_eq!(u32::from_le_bytes(data), 0);
}

/// Waits until `event` is signalled; fails after a minute.
fn wait(event: &OwnedFd) {
    let timeout = rustix::event::Timespec {
        tv_sec: 60,
        tv_nsec: 0,
    };
    let mut fds = [rustix::event::PollFd::new(
        event,
        rustix::event::PollFlags::IN,
    )];
    assert_eq!(rustix::event::poll(&mut fds, Some(&timeout)), Ok(1));
    let mut count = [0; 8];
    assert_eq!(rustix::io::read(event, &mut count), Ok(8));
}

fn event() -> OwnedFd {
    rustix::event::eventfd(0, rustix::event::EventfdFlags::NONBLOCK).unwrap()
}

#[test]
fn an_msi_arrives_at_the_clients_eventfd_also_after_a_reset() {
    let mut function = start("edu");
    assert_eq!(function.irq_count(IRQ_MSI), 1);
    assert_eq!(function.irq_count(IRQ_MSIX), 0);
    let event = event();
    let fd = event.try_clone().unwrap();
    function.set_irqs(IRQ_MSI, 0, vec![Some(fd)]).unwrap();
    // edu raises an interrupt when a value is written to 0x60, and drops it on a write to 0x64.
    let raise = |function: &mut QemuFunction| {
        function.config_write(4, &[6, 0]).unwrap();
        function.region_write(0, 0x60, &1u32.to_le_bytes()).unwrap();
        function.region_write(0, 0x64, &1u32.to_le_bytes()).unwrap();
    };
    raise(&mut function);
    wait(&event);
    function.reset().unwrap();
    raise(&mut function);
    wait(&event);
    // Taken away: the device is told so at once, and a later message can't be on its way.
    function.set_irqs(IRQ_MSI, 0, vec![None]).unwrap();
    raise(&mut function);
    let fd = event.try_clone().unwrap();
    function.set_irqs(IRQ_MSI, 0, vec![Some(fd)]).unwrap();
    let mut count = [0; 8];
    assert!(rustix::io::read(&event, &mut count).is_err());
}

#[test]
fn a_device_copies_memory_by_dma() {
    let mut function = start("edu");
    let ram = function.region(REGION_RAM);
    let file = ram.mmap.unwrap().file;
    let (source, target, length) = (0x10_0000u64, 0x20_0000u64, 0x800u64);
    let both = DmaProt {
        read: true,
        write: true,
    };
    for at in [source, target] {
        let file = Some((file.try_clone().unwrap(), at));
        function.dma_map(at, 0x1000, both, file).unwrap();
    }
    let event = event();
    let fd = event.try_clone().unwrap();
    function.set_irqs(IRQ_MSI, 0, vec![Some(fd)]).unwrap();
    function.config_write(4, &[6, 0]).unwrap();
    let pattern: Vec<u8> = (0..length).map(|i| (i * 7 % 251) as u8).collect();
    rustix::io::pwrite(&*file, &pattern, source).unwrap();
    // edu: source, target, length, then the command: start, direction, interrupt. Its own buffer
    // is at 0x40000.
    let buffer = 0x4_0000;
    for (from, to, command) in [(source, buffer, 0b101u64), (buffer, target, 0b111)] {
        for (at, value) in [(0x80, from), (0x88, to), (0x90, length), (0x98, command)] {
            function.region_write(0, at, &value.to_le_bytes()).unwrap();
        }
        wait(&event);
        function
            .region_write(0, 0x64, &0x100u32.to_le_bytes())
            .unwrap();
    }
    let mut copy = vec![0; pattern.len()];
    rustix::io::pread(&*file, &mut copy, target).unwrap();
    assert_eq!(copy, pattern);
    function.dma_unmap(source, 0x1000).unwrap();
    let foreign = Ram::new(1).unwrap().file().try_clone().unwrap();
    let refused = function.dma_map(0, 0x1000, both, Some((foreign, 0)));
    assert_eq!(refused, Err(Refused::UNSUPPORTED));
}

#[test]
fn a_client_can_not_point_messages_elsewhere() {
    let mut function = start("virtio-keyboard-pci");
    assert!(function.irq_count(IRQ_MSIX) > 0);
    let mut at = config32(&mut function, 0x34) as usize & 0xfc;
    while config32(&mut function, at) & 0xff != 0x11 {
        at = config32(&mut function, at) as usize >> 8 & 0xfc;
    }
    let table = config32(&mut function, at + 4);
    let entry = [0x5a; 16];
    let (bar, offset) = (table & 7, u64::from(table & !7));
    function.region_write(bar, offset, &entry).unwrap();
    let mut read = [1; 16];
    function.region_read(bar, offset, &mut read).unwrap();
    assert_eq!(read, [0; 16]);
    // The enable bit that a client sees is its own.
    let control = config32(&mut function, at) | 1 << 31;
    function.config_write(at, &control.to_le_bytes()).unwrap();
    assert_eq!(config32(&mut function, at), control);
    function
        .set_irqs(IRQ_MSIX, 0, vec![Some(event()), None])
        .unwrap();
}

#[test]
fn a_dead_qemu_refuses_until_the_reset() {
    let mut function = start("bochs-display");
    let qemu = function.qemu().unwrap();
    // It may close the socket before it answers.
    let _ = qemu.qmp.execute("quit", json!(null));
    let _ = qemu.qmp.wait_event("never");
    let mut data = [0; 4];
    assert_eq!(function.config_read(0, &mut data), Err(Refused::IO));
    function.reset().unwrap();
    assert_eq!(config32(&mut function, 0), 0x1111_1234);
}

#[test]
fn dropping_the_function_ends_qemu() {
    let mut function = start("bochs-display");
    let pid = function.qemu().unwrap().pid();
    let stat = format!("/proc/{pid}/stat");
    assert!(std::path::Path::new(&stat).exists());
    drop(function);
    assert!(!std::path::Path::new(&stat).exists());
}

#[test]
fn a_refused_model_is_reported_in_qemus_words() {
    let mut config = QemuConfig {
        program: "qemu-system-x86_64".into(),
        memory_mib: 16,
        devices: Vec::new(),
    };
    let device = QemuDevice {
        model: "no-such-model".into(),
        address: "0000:01:00.0".parse().unwrap(),
        properties: BTreeMap::new(),
    };
    let ram = Arc::new(Ram::new(16).unwrap());
    let error = QemuFunction::start(Arc::new(config.clone()), device.clone(), Arc::clone(&ram))
        .unwrap_err()
        .to_string();
    assert!(error.contains("no-such-model"), "{error}");
    config.program = "no-such-qemu".into();
    let error = QemuFunction::start(Arc::new(config), device, ram)
        .unwrap_err()
        .to_string();
    assert!(error.contains("no-such-qemu"), "{error}");
}
