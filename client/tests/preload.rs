// SPDX-License-Identifier: MIT
//! The preload library under a program that knows nothing of it, against a front of the test's.

#![allow(clippy::unwrap_used)]

mod cc;
mod fake;

use fake::FakeFront;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

fn library() -> PathBuf {
    std::env::current_exe()
        .unwrap()
        .with_file_name("libdrvhost_client.so")
}

fn program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/node.c");
        // The kernel's headers, or libdrm's copy of them.
        let headers = ["-I/usr/include/drm", "-I/usr/include/libdrm"];
        let args = [&["-Wall", "-O1", "-pthread"], &headers[..]].concat();
        cc::compile("node", &source, &args)
    })
}

fn command(front: &FakeFront, test: &str) -> Command {
    let mut command = Command::new(program());
    command
        .arg(test)
        .env("LD_PRELOAD", library())
        .env("DRVHOST_RUN", front.run_dir())
        .stderr(Stdio::inherit());
    command
}

fn run(test: &str) -> FakeFront {
    let front = FakeFront::start(&["card63"]);
    let status = command(&front, test).status().unwrap();
    assert!(status.success(), "{test}: {status}");
    let status = command(&front, test)
        .env("DRVHOST_NO_TRAP", "1")
        .status()
        .unwrap();
    assert_eq!(
        status.success(),
        test != "raw",
        "{test} without the trap: {status}"
    );
    front
}

macro_rules! tests {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )*
    };
}

tests! { version looks maps fences events bad_pointers stack_ends errors large threads reopens raw }

#[test]
fn forks() {
    // Each time three children, of which each asks anew.
    assert_eq!(run("forks").attached(), 6);
}

#[test]
fn passes() {
    assert_eq!(run("passes").attached(), 2);
}

#[test]
fn inherits() {
    assert_eq!(run("inherits").attached(), 2);
}

#[test]
fn several_programs_at_once() {
    let front = FakeFront::start(&["card63"]);
    let children: Vec<_> = ["threads", "maps", "reopens", "events", "forks", "threads"]
        .iter()
        .map(|test| (test, command(&front, test).spawn().unwrap()))
        .collect();
    for (test, mut child) in children {
        assert!(child.wait().unwrap().success(), "{test}");
    }
}

#[test]
fn nobody_serves() {
    let status = Command::new(program())
        .arg("version")
        .env("LD_PRELOAD", library())
        .env("DRVHOST_RUN", "/nowhere")
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}
