// SPDX-License-Identifier: MIT
//! QEMU's devices through driver-sys and the control commands. QEMU must be installed.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::path::{Path, PathBuf};

use driver_sys::vfio_user::{Client, enumerate, socket_path};
use driver_sys::{Error, IrqKind, PciDevice, PciIds, Width, config};
use drvhost_sim::control::{Command, run};
use drvhost_sim::machine::Machine;
use drvhost_sim::running::Running;
use serde_json::{Value, json};

const DISPLAY: &str = "0000:01:00.0";
const REGISTERS: u64 = 0x500;

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("machines")
        .join(name)
}

fn connect(dir: &Path, address: &str) -> Client {
    Client::connect(&socket_path(dir, address.parse().unwrap())).unwrap()
}

fn ask(machine: &Running, request: Value) -> Result<Value, String> {
    let command: Command = serde_json::from_value(request).unwrap();
    run(machine, command)
}

fn register(device: &dyn PciDevice, index: u64) -> u64 {
    device
        .bar_read(2, REGISTERS + 2 * index, Width::U16)
        .unwrap()
}

fn show(device: &dyn PciDevice, width: u64, height: u64) {
    for (index, value) in [
        (4, 0),
        (1, width),
        (2, height),
        (3, 32),
        (6, width),
        (4, 0x41),
    ] {
        device
            .bar_write(2, REGISTERS + 2 * index, Width::U16, value)
            .unwrap();
    }
}

/// Red, green and blue of a pixel in a PNG file.
fn pixel(file: &Path, at: usize) -> [u8; 3] {
    let file = std::io::BufReader::new(std::fs::File::open(file).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    pixels[3 * at..3 * at + 3].try_into().unwrap()
}

#[test]
fn a_display_is_found_used_reset_pulled_and_put_back() {
    for name in ["qemu.ron", "qemu-vga.ron"] {
        let dir = tempfile::tempdir().unwrap();
        let machine = Machine::load(&shipped(name)).unwrap();
        let machine = Running::start(&machine, dir.path()).unwrap();
        let found = enumerate(dir.path()).unwrap();
        assert_eq!(found, [DISPLAY.parse().unwrap()]);
        let device = connect(dir.path(), DISPLAY);
        let ids = PciIds::read(&device).unwrap();
        assert_eq!((ids.vendor, ids.device), (0x1234, 0x1111));
        config::update_command(&device, config::COMMAND_MEMORY, 0).unwrap();
        assert_eq!(register(&device, 0) & 0xfff0, 0xb0c0);
        assert_eq!(device.irq_info(IrqKind::Msi).unwrap().count, 0);

        // A mode and a pixel, through the mapping.
        let monitor = json!({ "command": "monitor", "device": DISPLAY });
        assert_eq!(ask(&machine, monitor.clone()).unwrap()["mode"], Value::Null);
        show(&device, 640, 480);
        if name == "qemu-vga.ron" {
            device.bar_write(2, 0x402, Width::U8, 1).unwrap();
            device.bar_read(2, 0x41a, Width::U8).unwrap();
            device.bar_write(2, 0x400, Width::U8, 0x20).unwrap();
        }
        let mode = json!({ "width": 640, "height": 480, "bpp": 32 });
        assert_eq!(ask(&machine, monitor).unwrap()["mode"], mode);
        let memory = device.bar_map(0).unwrap();
        memory.write_slice(4 * 641, &[3, 2, 1, 0]).unwrap();
        let file = dir.path().join("shot.png");
        let shot = json!({ "command": "screenshot", "device": DISPLAY, "file": file });
        assert_eq!(ask(&machine, shot).unwrap()["width"], 640);
        assert_eq!(pixel(&file, 641), [1, 2, 3]);

        device.reset().unwrap();
        assert_eq!(register(&device, 4), 0);
        show(&device, 640, 480);

        // Pulled: the socket goes and the client is told. Put back: as new.
        let request = |command| json!({ "command": command, "device": DISPLAY });
        ask(&machine, request("unplug")).unwrap();
        assert!(enumerate(dir.path()).unwrap().is_empty());
        let gone = device.bar_read(2, REGISTERS, Width::U16).unwrap_err();
        assert!(matches!(gone, Error::Gone { .. }), "{gone}");
        // What was mapped stays readable.
        let mut pixel = [0; 4];
        memory.read_slice(4 * 641, &mut pixel).unwrap();
        assert_eq!(pixel, [3, 2, 1, 0]);
        assert!(ask(&machine, request("unplug")).is_err());
        assert!(ask(&machine, request("screenshot")).is_err());
        ask(&machine, request("plug")).unwrap();
        assert!(ask(&machine, request("plug")).is_err());
        let device = connect(dir.path(), DISPLAY);
        assert_eq!(register(&device, 4), 0);
    }
}

#[test]
fn one_machine_has_devices_of_both_kinds() {
    let dir = tempfile::tempdir().unwrap();
    let text = r#"(
        devices: [(address: "0000:00:02.0", model: BochsDisplay())],
        qemu: (devices: [
            (model: "edu", address: "0000:01:00.0"),
            (model: "virtio-keyboard-pci", address: "0000:02:00.0"),
        ]),
    )"#;
    let machine = Machine::parse(text, Path::new("test")).unwrap();
    let machine = Running::start(&machine, dir.path()).unwrap();
    assert_eq!(enumerate(dir.path()).unwrap().len(), 3);
    let list = ask(&machine, json!({ "command": "list" })).unwrap();
    let models: Vec<&Value> = list["devices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|device| &device["model"])
        .collect();
    assert_eq!(models, ["BochsDisplay", "edu", "virtio-keyboard-pci"]);

    // An interrupt through the whole of it: edu's MSI.
    let edu = connect(dir.path(), "0000:01:00.0");
    let command = config::COMMAND_MEMORY | config::COMMAND_MASTER;
    config::update_command(&edu, command, 0).unwrap();
    let events = edu.irq_enable(IrqKind::Msi, 1).unwrap();
    edu.bar_write(0, 0x60, Width::U32, 1).unwrap();
    let minute = rustix::event::Timespec {
        tv_sec: 60,
        tv_nsec: 0,
    };
    let mut fds = [rustix::event::PollFd::new(
        &events[0],
        rustix::event::PollFlags::IN,
    )];
    assert_eq!(rustix::event::poll(&mut fds, Some(&minute)), Ok(1));

    // A key press is QEMU's business, and only of its devices.
    let press = |device: &str| {
        let key = json!({ "down": true, "key": { "type": "qcode", "data": "a" } });
        ask(
            &machine,
            json!({
                "command": "qmp",
                "device": device,
                "execute": "input-send-event",
                "arguments": { "events": [{ "type": "key", "data": key }] },
            }),
        )
    };
    press("0000:02:00.0").unwrap();
    press("0000:00:02.0").unwrap_err();
    let shot = json!({ "command": "screenshot", "device": "0000:01:00.0" });
    ask(&machine, shot).unwrap_err();
}

#[test]
fn mistakes_in_a_machine_are_named() {
    let dir = tempfile::tempdir().unwrap();
    for (device, want) in [
        (r#"(model: "voodoo", address: "0000:01:00.0")"#, "voodoo"),
        (
            r#"(model: "edu", address: "0000:01:00.0", properties: {"bus": "x"})"#,
            "bus",
        ),
    ] {
        let text = format!("(qemu: (devices: [{device}]))");
        let machine = Machine::parse(&text, Path::new("test")).unwrap();
        let message = Running::start(&machine, dir.path())
            .unwrap_err()
            .to_string();
        assert!(message.contains(want), "{message}");
        assert!(enumerate(dir.path()).unwrap().is_empty());
    }
    for text in [
        r#"(qemu: (devices: [(model: "edu", address: "x")]))"#,
        r#"(qemu: (devices: [(model: "edu", address: "0000:01:00.0"), (model: "edu", address: "0000:01:00.0")]))"#,
        r#"(qemu: (gadgets: []))"#,
    ] {
        Machine::parse(text, Path::new("test")).unwrap_err();
    }
}
