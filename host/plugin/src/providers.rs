// SPDX-License-Identifier: MIT
//! The symbols and versions that the libraries beside a plugin have.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::dynamic::Dynamic;
use crate::error::{PluginError, Reason};
use crate::file;
use crate::image::Image;
use crate::symbols::Symbols;
use crate::versions::{self, Wanted};

/// Where libraries lie that are not loaded already.
const DIRS: [&str; 8] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
];

/// What a set of libraries provides. Made once and used for every plugin.
#[derive(Debug, Clone, Default)]
pub struct Providers {
    symbols: HashSet<Vec<u8>>,
    /// The versions of each library, by SONAME.
    versions: BTreeMap<String, BTreeSet<String>>,
}

impl Providers {
    /// Provides nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The libraries of these names, where this process has them loaded, else in the system's
    /// directories. Those that are found nowhere are left out: a plugin that needs them gets an
    /// error that lists the symbols.
    ///
    /// # Errors
    /// A library that is found but can't be read, or is malformed.
    pub fn system(names: &[&str]) -> Result<Self, PluginError> {
        let mut providers = Self::new();
        let loaded = loaded();
        for name in names {
            let loaded = loaded
                .iter()
                .filter(|p| p.file_name().is_some_and(|n| n == *name));
            let there = DIRS
                .iter()
                .map(|d| Path::new(d).join(name))
                .filter(|p| p.is_file());
            for path in loaded.cloned().chain(there) {
                match providers.add(&path) {
                    // A system may have other machines' libraries beside its own.
                    Err(PluginError {
                        reason: Reason::WrongFormat,
                        ..
                    })
                    | Err(PluginError {
                        reason: Reason::WrongMachine { .. },
                        ..
                    }) => {}
                    result => {
                        result?;
                        break;
                    }
                }
            }
        }
        Ok(providers)
    }

    /// Adds a library's symbols, versions and name.
    ///
    /// # Errors
    /// It is no ELF shared object for this machine.
    pub fn add(&mut self, path: &Path) -> Result<(), PluginError> {
        let fail = |reason| PluginError {
            path: path.to_owned(),
            reason,
        };
        let file_name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let data = file::read(path).map_err(fail)?;
        self.add_image(&data, file_name).map_err(fail)
    }

    fn add_image(&mut self, data: &[u8], file_name: String) -> Result<(), Reason> {
        let image = Image::parse(data)?;
        let dynamic = Dynamic::parse(&image)?;
        let symbols = Symbols::parse(&image, &dynamic)?;
        let versions = versions::defined(&image, &dynamic)?;
        let soname = dynamic.soname(&image)?.unwrap_or(file_name);
        self.symbols
            .extend(symbols.exported().map(|(name, _)| name.to_owned()));
        self.versions.entry(soname).or_default().extend(versions);
        Ok(())
    }

    /// Adds a symbol that comes from elsewhere.
    pub fn add_symbol(&mut self, name: &str) {
        self.symbols.insert(name.as_bytes().to_owned());
    }

    /// Whether one of the libraries has this symbol.
    #[must_use]
    pub fn has(&self, symbol: &[u8]) -> bool {
        self.symbols.contains(symbol)
    }

    /// Whether one of the libraries has this SONAME.
    #[must_use]
    pub fn has_library(&self, soname: &str) -> bool {
        self.versions.contains_key(soname)
    }

    /// Whether a library lacks a version. One that is not known can't be told to lack it, and one
    /// without versions satisfies all, as for the loader.
    pub(crate) fn lacks(&self, wanted: &Wanted) -> bool {
        let versions = self.versions.get(&wanted.library);
        versions.is_some_and(|v| !v.is_empty() && !v.contains(&wanted.version))
    }
}

/// The files that this process has mapped as code.
fn loaded() -> Vec<PathBuf> {
    // Linux's; elsewhere there is no such file, and the directories are searched.
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let path = |line: &str| line.find('/').map(|at| PathBuf::from(&line[at..]));
    let code = maps
        .lines()
        .filter(|l| l.split(' ').nth(1).is_some_and(|p| p.contains('x')));
    code.filter_map(path).collect()
}
