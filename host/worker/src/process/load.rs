// SPDX-License-Identifier: MIT
//! Loading a plugin and checking what it offers, before anything of it is called.

use crate::wire::message::Kind;
use drvhost_abi::abi_stable::library::{RawLibrary, RootModule, lib_header_from_raw_library};
use drvhost_abi::root::C_SYMBOL;
use drvhost_abi::tables::DriverV1;
use drvhost_abi::{ABI_VERSION, PluginRootRef};
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LOCAL, RTLD_NOW};
use std::ffi::c_int;
use std::path::Path;

/// Why a plugin is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    /// The dynamic linker refuses it.
    #[error("the dynamic linker refuses it: {0}")]
    Linker(String),
    /// No root module, or one of another layout.
    #[error("not a Rust plugin of this ABI: {0}")]
    Root(String),
    /// No C table.
    #[error("it has no symbol {C_SYMBOL}: not a C plugin of this ABI")]
    NoSymbol,
    /// Another version of the tables.
    #[error(
        "it was built for version {0} of the plugin ABI, this host has version {ABI_VERSION}; rebuild it"
    )]
    Version(u32),
    /// The table ends too early.
    #[error("its table has {found} bytes, version {ABI_VERSION} of the plugin ABI needs {needed}")]
    Size {
        /// What it says.
        found: u32,
        /// What there must be.
        needed: usize,
    },
    /// An entry point is missing.
    #[error("its table has no entry point `{0}`")]
    Missing(&'static str),
}

/// Loads a library that is never unloaded.
pub(super) fn library(path: &str, flags: c_int) -> Result<&'static Library, LoadError> {
    // SAFETY: runs the library's constructors. The process is locked in by now (or the library is
    // one of the system's), and has one thread.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | flags) };
    match library {
        Ok(library) => Ok(Box::leak(Box::new(library))),
        Err(error) => Err(LoadError::Linker(error.to_string())),
    }
}

/// Loads libkpi.so: its symbols are there for the driver.
pub(super) fn kpi(path: &str) -> Result<(), LoadError> {
    library(path, RTLD_GLOBAL).map(drop)
}

/// Loads a driver and gives its table, checked.
pub(super) fn driver(path: &str, kind: Kind) -> Result<&'static DriverV1, LoadError> {
    let table = match kind {
        Kind::Rust => root_module(path)?,
        Kind::C => {
            let library = library(path, RTLD_LOCAL)?;
            // SAFETY: the symbol of this name is a table by the ABI; only its address is taken.
            let symbol = unsafe { library.get::<*const DriverV1>(C_SYMBOL) };
            let table = symbol.map_err(|_| LoadError::NoSymbol)?.as_raw_ptr();
            let table = table.cast::<DriverV1>();
            if table.is_null() {
                return Err(LoadError::NoSymbol);
            }
            table
        }
    };
    check(table)
}

fn root_module(path: &str) -> Result<*const DriverV1, LoadError> {
    let root = |error: drvhost_abi::abi_stable::library::LibraryError| {
        // The whole text holds both layouts, line by line; the first lines say what is wrong.
        let text = error.to_string();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        LoadError::Root(lines.take(12).collect::<Vec<_>>().join("; "))
    };
    let raw = RawLibrary::load_at(Path::new(path)).map_err(|error| {
        LoadError::Linker(
            error
                .to_string()
                .lines()
                .map(str::trim)
                .collect::<Vec<_>>()
                .join(" "),
        )
    })?;
    // Never unloaded.
    let raw: &'static RawLibrary = Box::leak(Box::new(raw));
    // SAFETY: the library stays; its root module is checked against our layout before use.
    let header = unsafe { lib_header_from_raw_library(raw) }.map_err(root)?;
    let module = header.init_root_module::<PluginRootRef>().map_err(root)?;
    let module = module.initialization().map_err(root)?;
    match module.abi_version() {
        ABI_VERSION => Ok(std::ptr::from_ref(module.table().0)),
        other => Err(LoadError::Version(other)),
    }
}

/// Checks a table step by step: version, size, entry points.
fn check(table: *const DriverV1) -> Result<&'static DriverV1, LoadError> {
    // SAFETY: by the ABI every table begins with its size and version, and stays.
    let (size, version) = unsafe {
        (
            (&raw const (*table).size).read(),
            (&raw const (*table).abi_version).read(),
        )
    };
    if version != ABI_VERSION {
        return Err(LoadError::Version(version));
    }
    if (size as usize) < size_of::<DriverV1>() {
        return Err(LoadError::Size {
            found: size,
            needed: size_of::<DriverV1>(),
        });
    }
    // SAFETY: as large as a table of this version must be, and it stays.
    let table = unsafe { &*table };
    let required = [
        ("probe", table.probe.is_some()),
        ("remove", table.remove.is_some()),
        ("nodes", table.nodes.is_some()),
        ("open", table.open.is_some()),
        ("release", table.release.is_some()),
        ("ioctl", table.ioctl.is_some()),
        ("mmap", table.mmap.is_some()),
    ];
    match required.iter().find(|(_, there)| !there) {
        Some((name, _)) => Err(LoadError::Missing(name)),
        None => Ok(table),
    }
}
