// SPDX-License-Identifier: MIT
//! Real files, each wrong in one way, and what is said about it.

// clippy.toml exempts test functions, not their helpers.
#![allow(clippy::expect_used)]

mod common;

use std::fs;

use common::{Lab, good, table};
use drvhost_abi::ABI_VERSION;
use drvhost_abi::abi_stable::library::{AbiHeader, ROOT_MODULE_LOADER_NAME};
use drvhost_plugin::{Checker, PluginKind, Providers, Reason};

#[test]
fn a_good_c_plugin() {
    let lab = Lab::new();
    let source = good() + "int puts(const char *); int f(void) { return puts(\"x\"); }";
    lab.compile("tiny.so", &source, &["-Wl,-soname,tiny.so"]);
    let verified = lab.verify("tiny.so").expect("good");
    assert_eq!(verified.kind, PluginKind::C);
    assert_eq!(verified.soname.as_deref(), Some("tiny.so"));
    assert_eq!(verified.needed, ["libc.so.6"]);
    // Other linkers' tables: the older hash table alone, and no section headers' worth of names.
    lab.compile("sysv.so", &source, &["-Wl,--hash-style=sysv", "-s"]);
    lab.verify("sysv.so").expect("good");
}

/// The source of a file with a root module's header of this version.
fn rust(magic: &[u8], major: u32, minor: u32) -> String {
    let bytes: Vec<String> = magic.iter().map(u8::to_string).collect();
    format!(
        "const struct {{ unsigned char magic[32]; unsigned major, minor; }}\n\
         {ROOT_MODULE_LOADER_NAME} = {{ {{ {} }}, {major}, {minor} }};",
        bytes.join(",")
    )
}

#[test]
fn rust_plugins_are_known_by_their_root_module() {
    let lab = Lab::new();
    let own = AbiHeader::VALUE;
    let (magic, major, minor) = (own.magic_string, own.abi_major, own.abi_minor);
    lab.compile("r.so", &rust(&magic, major, minor), &[]);
    let verified = lab.verify("r.so").expect("good");
    assert_eq!((verified.kind, verified.soname), (PluginKind::Rust, None));
    let expected = format!("this host with {major}.{minor}: build the driver again");
    lab.compile("r.so", &rust(&magic, major + 1, minor), &[]);
    assert_eq!(
        lab.error("r.so"),
        format!(
            "is built with abi_stable's ABI {}.{minor}, {expected}",
            major + 1
        )
    );
    lab.compile("r.so", &rust(&[7; 32], major, minor), &[]);
    assert_eq!(
        lab.error("r.so"),
        format!("is built with abi_stable's ABI header of another kind, {expected}")
    );
    lab.compile("r.so", &(rust(&magic, major, minor) + &good()), &[]);
    assert_eq!(
        lab.error("r.so"),
        "exports the entry points of a Rust plugin and of a C plugin: a driver has one"
    );
}

#[test]
fn the_abi_version() {
    let lab = Lab::new();
    let size = "sizeof(struct table)";
    lab.compile("v.so", &table(size, ABI_VERSION + 6), &[]);
    assert_eq!(
        lab.error("v.so"),
        "has plugin ABI version 7, this host has 1: build the driver again"
    );
    for (size, what) in [
        (
            "4",
            "is malformed: the plugin's table says another size than its symbol",
        ),
        (
            "4096",
            "is malformed: the plugin's table says another size than its symbol",
        ),
    ] {
        lab.compile("v.so", &table(size, ABI_VERSION), &[]);
        assert_eq!(lab.error("v.so"), what);
    }
    lab.compile("v.so", "struct { int a[9]; } drvhost_driver_v1;", &[]);
    assert_eq!(
        lab.error("v.so"),
        "is malformed: the plugin's table is not initialised in the file"
    );
    lab.compile("v.so", "int drvhost_driver_v1(void) { return 1; }", &[]);
    assert_eq!(
        lab.error("v.so"),
        "is malformed: the plugin's entry symbol is no table"
    );
    lab.compile("v.so", "int drvhost_driver_v2 = 1;", &[]);
    assert_eq!(
        lab.error("v.so"),
        "is no driver: it exports neither a Rust plugin's root module nor the symbol `drvhost_driver_v1`"
    );
    let hidden = good().replace("const struct table drv", "static const struct table drv");
    lab.compile("v.so", &hidden, &[]);
    assert!(matches!(
        lab.verify("v.so").map_err(|e| e.reason),
        Err(Reason::NotPlugin)
    ));
}

#[test]
fn undefined_symbols_are_listed() {
    let lab = Lab::new();
    let source = good()
        + "int pci_zap(void), pci_map(void); void *malloc(unsigned long);\n\
           int maybe(void) __attribute__((weak)); extern int pci_variable;\n\
           int f(void) { return pci_zap() + pci_map() + !malloc(1) + maybe() + pci_variable; }";
    lab.compile("u.so", &source, &[]);
    assert_eq!(
        lab.error("u.so"),
        "has 3 undefined symbols that nothing provides: pci_map, pci_variable, pci_zap"
    );
    // A library that has them.
    let kpi = "int pci_zap(void) { return 1; } int pci_map(void) { return 2; } int pci_variable;";
    let kpi = lab.compile("libkpi.so", kpi, &[]);
    let mut checker = Checker::system().expect("checker");
    checker.allow(&kpi).expect("libkpi.so");
    checker.verify(&lab.path("u.so")).expect("good");
    // As many as an unbuilt KPI lacks: the first ones, and how many more.
    let many: String = (0..100).map(|n| format!("int s{n:02}(void);")).collect();
    let calls: Vec<String> = (0..100).map(|n| format!("s{n:02}()")).collect();
    let source = good() + &many + &format!("int f(void) {{ return {}; }}", calls.join("+"));
    lab.compile("u.so", &source, &[]);
    let error = lab.error("u.so");
    assert!(error.starts_with("has 100 undefined symbols that nothing provides: s00, s01"));
    assert!(error.ends_with("s31 and 68 more"), "{error}");
}

#[test]
fn versions_that_the_system_lacks() {
    let lab = Lab::new();
    let source = good() + "int kpi_f(void); int f(void) { return kpi_f(); }";
    let versioned = |name: &str, version: &str| {
        let map = lab.write("map", format!("{version} {{ global: *; }};"));
        let map = format!("-Wl,--version-script={}", map.display());
        lab.compile(
            name,
            "int kpi_f(void) { return 1; }",
            &["-Wl,-soname,libkpi.so", &map],
        )
    };
    let new = versioned("new.so", "KPI_9");
    lab.compile("plugin.so", &source, &[new.to_str().expect("path")]);
    let check = |library: &std::path::Path| {
        let mut providers = Providers::new();
        providers.add(library).expect("library");
        let checker = Checker::new(["libkpi.so", "libc.so.6"], providers);
        checker
            .verify(&lab.path("plugin.so"))
            .map_err(|e| e.reason.to_string())
    };
    check(&new).expect("good");
    let error = check(&versioned("old.so", "KPI_8")).expect_err("an old library");
    assert_eq!(
        error,
        "needs newer libraries than this system has: KPI_9 of libkpi.so"
    );
}

#[test]
fn what_may_be_needed() {
    let lab = Lab::new();
    let other = lab.compile(
        "libother.so",
        "int o(void) { return 1; }",
        &["-Wl,-soname,libother.so"],
    );
    lab.compile(
        "n.so",
        &(good() + "int o(void); int f(void) { return o(); }"),
        &[other.to_str().expect("path")],
    );
    let error = lab.error("n.so");
    assert!(
        error.starts_with("needs libother.so, and only libc.so.6, libm.so.6"),
        "{error}"
    );
    lab.compile("n.so", &good(), &["-Wl,--auxiliary=libother.so"]);
    assert!(lab.error("n.so").starts_with("needs libother.so, and only"));
}

#[test]
fn a_soname_that_is_taken() {
    let lab = Lab::new();
    lab.compile("s.so", &good(), &["-Wl,-soname,libc.so.6"]);
    assert_eq!(
        lab.error("s.so"),
        "has the SONAME libc.so.6, which another library has: the loader would take one for the other"
    );
}

#[test]
fn thread_local_storage() {
    let lab = Lab::new();
    let source = good() + "__thread int t; int *f(void) { return &t; }";
    lab.compile("t.so", &source, &["-ftls-model=global-dynamic"]);
    lab.verify("t.so").expect("good");
    lab.compile("t.so", &source, &["-ftls-model=initial-exec"]);
    let expected =
        "uses initial-exec thread-local storage: compile it with -ftls-model=global-dynamic";
    assert_eq!(lab.error("t.so"), expected);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn text_relocations() {
    let lab = Lab::new();
    let assembly = "asm(\".text\\n.quad drvhost_driver_v1\\n\");";
    lab.compile("x.so", &(good() + assembly), &["-Wl,-z,notext"]);
    let expected = "has text relocations: compile it with -fPIC";
    assert_eq!(lab.error("x.so"), expected);
    // Without the entries that announce them (DT_TEXTREL 22, and DF_TEXTREL 4 in DT_FLAGS 30).
    let mut bytes = fs::read(lab.path("x.so")).expect("x.so");
    let entry = |tag: u64, value: u64| [tag.to_le_bytes(), value.to_le_bytes()].concat();
    for (announced, silent) in [
        (entry(22, 0), entry(0x6fff_fdf4, 0)),
        (entry(30, 4), entry(30, 0)),
    ] {
        let at = bytes
            .windows(16)
            .position(|w| w == announced)
            .expect("an entry");
        bytes[at..at + 16].copy_from_slice(&silent);
    }
    lab.write("x.so", bytes);
    assert_eq!(lab.error("x.so"), expected);
}

#[test]
fn other_machines_and_kinds_of_files() {
    let lab = Lab::new();
    let good_bytes = lab.good_bytes();
    let with = |at: usize, new: &[u8]| {
        let mut bytes = good_bytes.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        bytes
    };
    let format = "is no 64-bit little-endian ELF file: build the driver for this machine";
    let not_shared = "is no shared object: link it with -shared";
    let cases: [(&str, Vec<u8>, &str); 9] = [
        ("nothing.so", vec![], "is no ELF file"),
        ("text.so", b"#!/bin/sh\n".to_vec(), "is no ELF file"),
        (
            "script.so",
            b"/* GNU ld script */ GROUP ( libc.so.6 )".to_vec(),
            "is no ELF file",
        ),
        ("bits32.so", with(4, &[1]), format),
        ("big.so", with(5, &[2]), format),
        (
            "machine.so",
            with(18, &[243, 0]),
            "is built for machine type RISC-V, this machine is",
        ),
        (
            "odd.so",
            with(18, &[8, 0]),
            "is built for machine type ELF number 8, this",
        ),
        ("program.so", with(16, &[2, 0]), not_shared),
        ("object.so", with(16, &[1, 0]), not_shared),
    ];
    for (name, bytes, expected) in cases {
        lab.write(name, bytes);
        let error = lab.error(name);
        assert!(error.contains(expected), "{name}: {error}");
    }
    assert!(
        lab.error("machine.so")
            .starts_with("is built for machine type")
    );
    lab.compile(
        "pie.so",
        "int main(void) { return 0; }",
        &["-no-pie", "-pie", "-fPIE"],
    );
    let error = lab.error("pie.so");
    assert!(
        [not_shared, "is no driver"]
            .iter()
            .any(|e| error.starts_with(e)),
        "{error}"
    );
}

#[test]
fn what_can_not_be_read() {
    let lab = Lab::new();
    fs::create_dir(lab.path("dir.so")).expect("directory");
    assert_eq!(lab.error("dir.so"), "is no regular file");
    assert!(
        lab.error("missing.so")
            .starts_with("can't be read: No such file")
    );
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, lab.path("pipe.so"), mode).expect("pipe");
    assert_eq!(lab.error("pipe.so"), "is no regular file");
    let huge = fs::File::create(lab.path("huge.so")).expect("file");
    huge.set_len(1 << 40).expect("a sparse file");
    assert!(lab.error("huge.so").starts_with("has more than"));
}

#[test]
fn the_systems_own_libraries_are_no_drivers() {
    let providers = Providers::system(&["libc.so.6", "libnothing.so.1"]).expect("libc");
    assert!(providers.has(b"malloc") && providers.has_library("libc.so.6"));
    assert!(!providers.has(b"pci_zap") && !providers.has_library("libnothing.so.1"));
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_loaded_is_what_was_checked() {
    use std::os::fd::AsFd;
    let lab = Lab::new();
    lab.compile("l.so", &(good() + "int answer(void) { return 42; }"), &[]);
    let verified = lab.verify("l.so").expect("good");
    // Whatever happens to the file: overwritten in place, and cut off.
    lab.write("l.so", b"gone");
    let fd = verified.sealed.as_fd();
    assert!(rustix::fs::ftruncate(fd, 0).is_err());
    assert!(rustix::io::write(fd, b"x").is_err());
    assert!(rustix::fs::fcntl_add_seals(fd, rustix::fs::SealFlags::FUTURE_WRITE).is_err());
    // SAFETY: the library was compiled from the lines above: it has no constructors.
    let library = unsafe { libloading::Library::new(verified.sealed.load_path()) }.expect("dlopen");
    // SAFETY: this is its type in the C source.
    let answer = unsafe { library.get::<extern "C" fn() -> i32>(b"answer\0") }.expect("symbol");
    assert_eq!(answer(), 42);
}
