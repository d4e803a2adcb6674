// SPDX-License-Identifier: MIT
//! The steps of `drvhost exec`, and what can go wrong.

use crate::device::DeviceEntry;
use crate::{dev, namespace, program, sysfs, tree, udev};
use drvhost_channel::paths;
use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The library's file name.
pub const LIBRARY: &str = "libdrvhost_client.so";
/// Where the library is, if not beside the program.
pub const LIBRARY_ENV: &str = "DRVHOST_PRELOAD";

/// Why the program does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecError {
    /// There is not even a name.
    #[error("no program given")]
    Nothing,
    /// There is none.
    #[error("{}: no such program (a path, or a name in PATH, is needed)", .0.display())]
    NotFound(PathBuf),
    /// It is there, but can't be read or run.
    #[error("{path}: {1}", path = .0.display())]
    Unusable(PathBuf, #[source] io::Error),
    /// Neither ELF nor a script.
    #[error("{}: neither an ELF program nor a script with `#!`", .0.display())]
    UnknownFormat(PathBuf),
    /// Its machine is not ours.
    #[error(
        "{}: for another machine than this drvhost; its libc can't load the preload library", .0.display()
    )]
    OtherMachine(PathBuf),
    /// No loader, so no preload.
    #[error(
        "{}: statically linked, so the preload library can't be loaded into it; link it \
         dynamically (for Go: CGO_ENABLED=1; for Rust: not a musl target)", .0.display()
    )]
    Static(PathBuf),
    /// The loader ignores the preload.
    #[error(
        "{}: has a set-user-id or set-group-id bit or file capabilities, so its loader ignores \
         the preload library; run it as the user whose rights it would take, or run a copy \
         without them", .0.display()
    )]
    Privileged(PathBuf),
    /// The library was not found.
    #[error(
        "the preload library {LIBRARY} is neither beside {} nor in /usr/lib/drvhost; \
         set {LIBRARY_ENV} to its path", .0.display()
    )]
    NoLibrary(PathBuf),
    /// Its path can't be written in `LD_PRELOAD`.
    #[error("{}: LD_PRELOAD takes no path with a blank or a colon; put the library elsewhere", .0.display())]
    LibraryPath(PathBuf),
    /// The kernel makes no namespace.
    #[error(
        "can't make a private view of /dev and /sys ({0}): run as root, or allow users to make \
         user namespaces (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces>0, \
         kernel.apparmor_restrict_unprivileged_userns=0)"
    )]
    Namespace(#[source] io::Error),
    /// A piece of the view failed.
    #[error("can't put the devices into the private view: {what} {}: {error}", .path.display())]
    View {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
    /// What the daemon told can't be used in paths.
    #[error("the daemon's entry for device {0:?} holds a name that is no file name")]
    BadEntry(String),
}

impl ExecError {
    /// The exit code that shells use for it: 127 where there is no program, 126 where it can't be
    /// run, 125 where the fault is not the program's.
    pub fn exit_code(&self) -> u8 {
        match self {
            ExecError::Nothing | ExecError::NotFound(_) => 127,
            ExecError::Unusable(..)
            | ExecError::UnknownFormat(_)
            | ExecError::OtherMachine(_)
            | ExecError::Static(_)
            | ExecError::Privileged(_) => 126,
            _ => 125,
        }
    }
}

/// Becomes `program` (its name or path, then its arguments) with these devices; comes back only
/// if that fails. Call it before any thread is started.
///
/// # Errors
/// Any of [`ExecError`]. From [`ExecError::Namespace`] on, this process may see part of the view.
pub fn exec(devices: &[DeviceEntry], program: &[OsString]) -> Result<Infallible, ExecError> {
    let mut command = prepare(devices, program)?;
    let error = command.exec();
    Err(ExecError::Unusable(command.get_program().into(), error))
}

fn prepare(devices: &[DeviceEntry], program: &[OsString]) -> Result<Command, ExecError> {
    let (name, args) = program.split_first().ok_or(ExecError::Nothing)?;
    if let Some(bad) = devices.iter().find(|device| !device.is_sound()) {
        return Err(ExecError::BadEntry(bad.address.clone()));
    }
    let program = program::find(name)?;
    program::check(&program)?;
    let library = library()?;
    let run_dir = std::path::absolute(paths::run_dir())
        .map_err(|error| ExecError::Unusable(program.clone(), error))?;
    namespace::enter()?;
    let mut tree = tree::Tree::default();
    dev::build(&mut tree, devices)?;
    sysfs::build(&mut tree, devices)?;
    udev::build(&mut tree, devices)?;
    tree.seal()?;
    let mut command = Command::new(&program);
    command
        .arg0(name)
        .args(args)
        .env(
            "LD_PRELOAD",
            preload(&library, std::env::var_os("LD_PRELOAD")),
        )
        .env("DRVHOST_RUN", run_dir)
        // libudev would refuse a /sys that is partly of another file system.
        .env("SYSTEMD_DEVICE_VERIFY_SYSFS", "0");
    Ok(command)
}

fn preload(library: &Path, others: Option<OsString>) -> OsString {
    let mut list = library.as_os_str().to_owned();
    if let Some(others) = others.filter(|others| !others.is_empty()) {
        list.push(":");
        list.push(others);
    }
    list
}

fn library() -> Result<PathBuf, ExecError> {
    let own = std::env::current_exe().unwrap_or_else(|_| "drvhost".into());
    let places = match std::env::var_os(LIBRARY_ENV) {
        Some(path) => vec![PathBuf::from(path)],
        None => vec![
            own.with_file_name(LIBRARY),
            Path::new("/usr/lib/drvhost").join(LIBRARY),
        ],
    };
    let found = places
        .iter()
        .find_map(|path| path.canonicalize().ok())
        .ok_or(ExecError::NoLibrary(own))?;
    let text = found.as_os_str().as_encoded_bytes();
    if text.iter().any(|byte| b": \t\n".contains(byte)) {
        return Err(ExecError::LibraryPath(found));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_preloads_stay() {
        let library = Path::new("/a/b.so");
        assert_eq!(preload(library, None), "/a/b.so");
        assert_eq!(preload(library, Some("".into())), "/a/b.so");
        assert_eq!(
            preload(library, Some("c.so d.so".into())),
            "/a/b.so:c.so d.so"
        );
    }

    #[test]
    fn exit_codes_are_the_shell_s() {
        assert_eq!(ExecError::NotFound("x".into()).exit_code(), 127);
        assert_eq!(ExecError::Static("x".into()).exit_code(), 126);
        assert_eq!(ExecError::BadEntry("x".into()).exit_code(), 125);
    }
}
