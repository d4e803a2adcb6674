// SPDX-License-Identifier: MIT
//! A worker for the tests of this crate; the real one is `drvhost worker`.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    drvhost_worker::run()
}

#[cfg(not(target_os = "linux"))]
fn main() {}
