// SPDX-License-Identifier: MIT
//! The C header and the Rust tables are one: sizes, offsets and constants, as the C compiler and
//! as rustc have them.

use drvhost_abi::tables::*;
use drvhost_abi::{ABI_VERSION, root};
use std::fmt::Write as _;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

/// What is compared: an expression in C, and the value it must have.
#[derive(Default)]
struct Table(Vec<(String, u64)>);

impl Table {
    fn constant(&mut self, name: &str, value: u32) {
        self.0.push((name.into(), value.into()));
    }
}

macro_rules! layout {
    ($table:ident, $type:ident as $c:literal { $($field:ident $(as $c_field:literal)?),* $(,)? }) => {
        $table.0.push((format!("sizeof(struct {})", $c), size_of::<$type>() as u64));
        $({
            let name = stringify!($field);
            $(let name = { let _ = name; $c_field };)?
            let offset = offset_of!($type, $field) as u64;
            $table.0.push((format!("offsetof(struct {}, {name})", $c), offset));
        })*
    };
}

fn expected() -> Table {
    let mut table = Table::default();
    let t = &mut table;
    layout!(t, PciId as "drvhost_pci_id" {
        vendor, device, subvendor, subdevice, class as "class_code", class_mask,
    });
    layout!(t, Param as "drvhost_param" { name, description, default as "default_value" });
    layout!(t, DriverV1 as "drvhost_driver_v1" {
        size, abi_version, name, description, ids, ids_len, firmware, firmware_len, params,
        params_len, probe, remove, nodes, open, release, ioctl, mmap,
    });
    layout!(t, NodeInfo as "drvhost_node_info" { kind, reserved, name });
    layout!(t, OpenArgs as "drvhost_open_args" { node, flags, cookie, pid, uid });
    layout!(t, ObjectRef as "drvhost_object_ref" { kind, place, id });
    layout!(t, Request as "drvhost_request" {
        size, cmd, flags, want_id, payload, payload_len, objects_in, objects_in_len, objects_out,
        objects_out_cap, objects_out_len,
    });
    layout!(t, MmapArgs as "drvhost_mmap_args" { offset, length, write, reserved });
    layout!(t, MmapOut as "drvhost_mmap_out" { buffer, offset });
    layout!(t, BufferMap as "drvhost_buffer_map" { id, ptr, size });
    layout!(t, HostV1 as "drvhost_host_v1" {
        size, abi_version, ctx, log, now, wait, wake, spawn, param, firmware, post_event, hotplug,
        buffer_create, buffer_open, buffer_put, fence_create, fence_signal, fence_wait, fence_put,
        file_create, vblank_base,
    });
    layout!(t, BarInfo as "drvhost_bar_info" { size, flags, reserved });
    layout!(t, DmaMap as "drvhost_dma_map" { iova, ptr, size, buffer });
    layout!(t, DeviceV1 as "drvhost_device_v1" {
        size, abi_version, ctx, address, id, revision, reserved, config_read, config_write,
        bar_info, bar_map, bar_read, bar_write, irq_count, irq_enable, irq_disable, dma_alloc,
        dma_free, reset,
    });
    for (name, value) in [
        ("DRVHOST_ABI_VERSION", ABI_VERSION),
        ("DRVHOST_ANY_ID", ANY_ID),
        ("DRVHOST_NODE_CARD", NodeKind::Card as u32),
        ("DRVHOST_NODE_RENDER", NodeKind::Render as u32),
        ("DRVHOST_NODE_EVENT", NodeKind::Event as u32),
        ("DRVHOST_OPEN_PRIVILEGED", OPEN_PRIVILEGED),
        ("DRVHOST_OPEN_HOST", OPEN_HOST),
        ("DRVHOST_REQUEST_REPLAY", REQUEST_REPLAY),
        ("DRVHOST_OBJECT_BUFFER", ObjectKind::Buffer as u32),
        ("DRVHOST_OBJECT_FENCE", ObjectKind::Fence as u32),
        ("DRVHOST_OBJECT_EVENT", ObjectKind::Event as u32),
        ("DRVHOST_OBJECT_FILE", ObjectKind::File as u32),
        ("DRVHOST_BAR_MEMORY", BAR_MEMORY),
        ("DRVHOST_BAR_PORT", BAR_PORT),
        ("DRVHOST_BAR_PREFETCHABLE", BAR_PREFETCHABLE),
        ("DRVHOST_BAR_MAPPABLE", BAR_MAPPABLE),
        ("DRVHOST_IRQ_INTX", IrqKind::Intx as u32),
        ("DRVHOST_IRQ_MSI", IrqKind::Msi as u32),
        ("DRVHOST_IRQ_MSIX", IrqKind::Msix as u32),
    ] {
        t.constant(name, value);
    }
    table
}

#[test]
fn header_and_tables_agree() {
    let dir = tempfile::tempdir().unwrap();
    let expected = expected();
    let mut source =
        String::from("#include <stdio.h>\n#include \"drvhost_driver.h\"\nint main(void) {\n");
    for (expression, _) in &expected.0 {
        writeln!(
            source,
            "printf(\"%llu\\n\", (unsigned long long)({expression}));"
        )
        .unwrap();
    }
    source.push_str("return 0;\n}\n");
    let (file, program) = (dir.path().join("layout.c"), dir.path().join("layout"));
    std::fs::write(&file, source).unwrap();
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let status = Command::new("cc")
        .args([
            "-std=c11",
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Werror",
            "-I",
        ])
        .args([&include, &file])
        .arg("-o")
        .arg(&program)
        .status()
        .unwrap();
    assert!(status.success());
    let output = Command::new(&program).output().unwrap();
    let values = String::from_utf8(output.stdout).unwrap();
    let values: Vec<u64> = values.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(values.len(), expected.0.len());
    for ((expression, expected), value) in expected.0.iter().zip(values) {
        assert_eq!(value, *expected, "{expression}");
    }
}

#[test]
fn the_header_names_the_symbol() {
    let header = include_str!("../include/drvhost_driver.h");
    assert!(header.contains(&format!(
        "const struct drvhost_driver_v1 {} =",
        root::C_SYMBOL
    )));
}

/// A field that was added to one side only: every field of each table is compared above.
#[test]
fn no_field_is_missing() {
    let header = include_str!("../include/drvhost_driver.h");
    let tables = include_str!("../src/tables.rs");
    let this = include_str!("layout.rs");
    for line in tables.lines() {
        let Some(rest) = line.strip_prefix("    pub ") else {
            continue;
        };
        let Some((field, _)) = rest.split_once(':') else {
            continue;
        };
        let mentioned = |text: &str| {
            text.split(|c: char| !c.is_alphanumeric() && c != '_')
                .any(|word| word == field)
        };
        assert!(mentioned(this), "{field} is not compared");
        let renamed = matches!(field, "class" | "default");
        assert!(renamed || mentioned(header), "{field} is not in the header");
    }
}
