// SPDX-License-Identifier: MIT
//! A Rust plugin as cargo builds it, with the standard library inside.

// clippy.toml exempts test functions, not their helpers.
#![allow(clippy::expect_used)]

use std::path::PathBuf;

use drvhost_plugin::{Checker, PluginKind, Providers, Reason};

/// `cargo test` puts examples beside the directory of test programs.
fn tiny() -> PathBuf {
    let program = std::env::current_exe().expect("this program");
    let profile = program
        .parent()
        .and_then(|deps| deps.parent())
        .expect("target/PROFILE");
    let path = profile.join("examples/libtiny.so");
    // `cargo test --test rust_plugin` alone does not build examples.
    assert!(
        path.exists(),
        "{} is missing: run `cargo build --examples`",
        path.display()
    );
    path
}

#[test]
fn it_is_good() {
    let checker = Checker::system().expect("the system's libraries");
    let verified = checker.verify(&tiny()).expect("good");
    assert_eq!(verified.kind, PluginKind::Rust);
    assert!(
        verified.needed.iter().any(|n| n == "libc.so.6"),
        "{:?}",
        verified.needed
    );
}

#[test]
fn its_symbols_must_come_from_somewhere() {
    let checker = Checker::new(drvhost_plugin::SYSTEM_LIBRARIES, Providers::new());
    let error = checker
        .verify(&tiny())
        .expect_err("nothing provides anything");
    let Reason::Undefined(symbols) = &error.reason else {
        panic!("{error}")
    };
    assert!(symbols.iter().any(|s| s == "memcpy"), "{symbols:?}");
}
