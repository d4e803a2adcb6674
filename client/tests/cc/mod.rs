// SPDX-License-Identifier: MIT
//! C programs for tests.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles a program with further arguments of the compiler's and gives its path.
///
/// It comes into place whole: while a compiler writes a program it can't be run, and another run
/// of the same tests may be about to.
pub fn compile(name: &str, source: &Path, args: &[&str]) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = dir.join(name);
    let own = dir.join(format!("{name}.{}", std::process::id()));
    let output = Command::new("cc")
        .arg("-o")
        .args([&own, source])
        .args(args)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cc of {name}: {errors}");
    std::fs::rename(own, &path).unwrap();
    path
}
