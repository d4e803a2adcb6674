// SPDX-License-Identifier: MIT
//! A driver in C in a worker process: the same tables in their other spelling.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // helpers of tests, too

mod common;

use common::{Bench, ioctl, open};
use drvhost_port::Worker;
use drvhost_worker::{Kind, Link, LinkError, Plugin};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// Compiles the C plugin. Unchecked: the worker's own checks are tested here.
fn tiny(dir: &Path, defines: &[&str]) -> Plugin {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let library = dir.join(format!("tiny{}.so", defines.concat()));
    let status = Command::new("cc")
        .args([
            "-std=c11", "-Wall", "-Wextra", "-Werror", "-g", "-O2", "-shared", "-fPIC",
        ])
        .args(defines.iter().map(|define| format!("-D{define}")))
        .arg("-I")
        .arg(root.join("abi/include"))
        .arg(root.join("tests/plugins/tiny_c/tiny.c"))
        .arg("-o")
        .arg(&library)
        .status()
        .unwrap();
    assert!(status.success());
    let memory = rustix::fs::memfd_create("tiny", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let mut memory = File::from(memory);
    memory.write_all(&std::fs::read(&library).unwrap()).unwrap();
    Plugin {
        name: library.display().to_string(),
        kind: Kind::C,
        driver: Arc::new(memory.into()),
        kpi: None,
        preload: vec!["libc.so.6".into()],
    }
}

#[test]
fn calls_go_through() {
    let bench = Bench::real();
    let link = bench.bound(&tiny(bench.dir.path(), &[]), &[("greeting", "hello")]);
    assert_eq!(link.nodes()[0].driver, "tiny_c");
    open(&link, 0, 1).unwrap();
    let mut payload = *b"abc";
    ioctl(&link, 1, 1, &mut payload).unwrap();
    assert_eq!(&payload, b"bcd");
    assert_eq!(ioctl(&link, 1, 7, &mut []).unwrap().value, 5);
    assert_eq!(ioctl(&link, 1, 8, &mut []).unwrap().value, 1);
    let made = ioctl(&link, 1, 2, &mut 4096u64.to_le_bytes()).unwrap();
    assert_eq!(made.objects[0].id, made.value);
    assert_eq!(link.mmap(1, 0, 4096, false).unwrap().buffer, made.value);
    link.release(1);
    bench.host.wait(|state| state.puts == [made.value]);
    let lines = bench.lines.lock().unwrap().clone();
    assert!(
        lines
            .iter()
            .any(|line| line.target == "tiny_c" && line.level == 3),
        "{lines:?}"
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    let bench = Bench::real();
    let refused = |plugin: &Plugin| {
        let link = Link::spawn(&bench.config).unwrap();
        let error = link.load(plugin).unwrap_err();
        assert!(matches!(error, LinkError::Load { .. }), "{error}");
        link.wait();
        error.to_string()
    };
    let dir = bench.dir.path();
    let error = refused(&tiny(dir, &["TINY_VERSION=9"]));
    assert!(error.contains("version 9 of the plugin ABI"), "{error}");
    assert!(error.contains("TINY_VERSION=9.so"), "{error}");
    let error = refused(&tiny(dir, &["TINY_MMAP=NULL"]));
    assert!(error.contains("no entry point `mmap`"), "{error}");
    let mut rust = tiny(dir, &[]);
    rust.kind = Kind::Rust;
    let error = refused(&rust);
    assert!(error.contains("not a Rust plugin of this ABI"), "{error}");
    let mut nothing = common::plugin("tiny_rust");
    nothing.kind = Kind::C;
    let error = refused(&nothing);
    assert!(error.contains("no symbol drvhost_driver_v1"), "{error}");
}
