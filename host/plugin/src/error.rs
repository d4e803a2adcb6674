// SPDX-License-Identifier: MIT
//! Everything that can be wrong with a plugin's file.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a file is not loaded. The text begins with the path.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", .path.display())]
pub struct PluginError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// It can't be opened or read.
    #[error("can't be read: {0}")]
    Read(#[from] io::Error),
    /// A directory, device, socket or pipe.
    #[error("is no regular file")]
    NotRegular,
    /// Larger than any driver is.
    #[error("has more than {limit} bytes: no driver needs that")]
    TooLarge {
        /// The most that is read, in bytes.
        limit: u64,
    },
    /// It does not begin as an ELF file does.
    #[error("is no ELF file")]
    NotElf,
    /// 32 bits, big-endian, or of an unknown version.
    #[error("is no 64-bit little-endian ELF file: build the driver for this machine")]
    WrongFormat,
    /// Built for another type of machine.
    #[error("is built for machine type {found}, this machine is {expected}")]
    WrongMachine {
        /// `e_machine` of the file.
        found: String,
        /// `e_machine` of this program.
        expected: String,
    },
    /// A program, object file or core dump.
    #[error("is no shared object: link it with -shared")]
    NotShared,
    /// Something lies beyond the end of the file.
    #[error("is truncated: {what} ends at byte {end}, the file has {size}")]
    Truncated {
        /// What is missing.
        what: &'static str,
        /// Where it would end.
        end: u64,
        /// The file's size in bytes.
        size: u64,
    },
    /// A table contradicts itself or the rest of the file.
    #[error("is malformed: {0}")]
    Malformed(&'static str),
    /// No entry point.
    #[error(
        "is no driver: it exports neither a Rust plugin's root module nor the symbol `{}`",
        drvhost_abi::root::C_SYMBOL
    )]
    NotPlugin,
    /// Two entry points.
    #[error("exports the entry points of a Rust plugin and of a C plugin: a driver has one")]
    TwoKinds,
    /// The ABI version of a C plugin.
    #[error("has plugin ABI version {found}, this host has {expected}: build the driver again")]
    AbiVersion {
        /// The plugin's.
        found: u32,
        /// [`drvhost_abi::ABI_VERSION`].
        expected: u32,
    },
    /// The version of `abi_stable` in a Rust plugin.
    #[error(
        "is built with abi_stable's ABI {found}, this host with {expected}: build the driver again"
    )]
    RustAbi {
        /// The plugin's, as major.minor, or what its header looks like.
        found: String,
        /// The host's, as major.minor.
        expected: String,
    },
    /// A library that is not on the list.
    #[error("needs {}, and only {} may be needed", listed(.libraries), listed(.allowed))]
    Needs {
        /// What it needs.
        libraries: Vec<String>,
        /// What it may need.
        allowed: Vec<String>,
    },
    /// A name by which the loader would take another library for it.
    #[error(
        "has the SONAME {0}, which another library has: the loader would take one for the other"
    )]
    Soname(String),
    /// Symbols that no library has.
    #[error("has {} undefined symbols that nothing provides: {}", .0.len(), listed(.0))]
    Undefined(Vec<String>),
    /// Symbol versions that the system's libraries are too old for.
    #[error("needs newer libraries than this system has: {}", listed(.0))]
    Versions(Vec<String>),
    /// The loader would have to write to code.
    #[error("has text relocations: compile it with -fPIC")]
    TextRelocations,
    /// A TLS model that libraries loaded at run time can't rely on.
    #[error("uses initial-exec thread-local storage: compile it with -ftls-model=global-dynamic")]
    StaticTls,
    /// This program runs on a machine for which there is no ELF machine type here.
    #[error("can't be checked: drvhost does not know this machine's ELF type")]
    UnknownHost,
}

/// The first of the names: a driver without its KPI lacks thousands.
fn listed(names: &[String]) -> impl fmt::Display + '_ {
    const SHOWN: usize = 32;
    fmt::from_fn(move |f| {
        for (i, name) in names.iter().take(SHOWN).enumerate() {
            write!(f, "{}{name}", if i == 0 { "" } else { ", " })?;
        }
        match names.len() {
            0 => f.write_str("nothing"),
            n if n > SHOWN => write!(f, " and {} more", n - SHOWN),
            _ => Ok(()),
        }
    })
}
