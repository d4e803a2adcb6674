// SPDX-License-Identifier: MIT
//! All checks in order.

use std::path::{Path, PathBuf};

use crate::dynamic::Dynamic;
use crate::entry;
use crate::error::{PluginError, Reason};
use crate::file;
use crate::image::Image;
use crate::providers::Providers;
use crate::relocations;
use crate::sealed::Sealed;
use crate::symbols::Symbols;
use crate::versions;

/// The system's libraries that plugins may need: C library, its parts, and the unwinder that Rust
/// plugins link. `libkpi.so` comes on top for C plugins.
pub const SYSTEM_LIBRARIES: [&str; 7] = [
    "libc.so.6",
    "libm.so.6",
    "libgcc_s.so.1",
    "libdl.so.2",
    "libpthread.so.0",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
];

/// What kind of plugin a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PluginKind {
    /// It exports an abi_stable root module.
    Rust,
    /// It exports [`drvhost_abi::root::C_SYMBOL`].
    C,
}

/// A file that can be loaded, and the copy to load.
#[derive(Debug)]
pub struct Verified {
    /// The file that was checked.
    pub path: PathBuf,
    /// What kind of plugin it is.
    pub kind: PluginKind,
    /// Its own name, if it has one.
    pub soname: Option<String>,
    /// The libraries that the loader will load along.
    pub needed: Vec<String>,
    /// The copy to load: what happens to the file later does not matter.
    pub sealed: Sealed,
}

/// Checks plugins against what this system has.
#[derive(Debug, Clone)]
pub struct Checker {
    allowed: Vec<String>,
    providers: Providers,
}

impl Checker {
    /// Plugins may need the libraries `allowed`, and use the symbols of `providers`.
    #[must_use]
    pub fn new<S: Into<String>>(
        allowed: impl IntoIterator<Item = S>,
        providers: Providers,
    ) -> Self {
        Self {
            allowed: allowed.into_iter().map(Into::into).collect(),
            providers,
        }
    }

    /// Plugins may need and use [`SYSTEM_LIBRARIES`].
    ///
    /// # Errors
    /// One of them is found but can't be read.
    pub fn system() -> Result<Self, PluginError> {
        Ok(Self::new(
            SYSTEM_LIBRARIES,
            Providers::system(&SYSTEM_LIBRARIES)?,
        ))
    }

    /// Lets plugins need and use one library more, such as `libkpi.so`.
    ///
    /// # Errors
    /// It is no ELF shared object for this machine.
    pub fn allow(&mut self, path: &Path) -> Result<(), PluginError> {
        self.providers.add(path)?;
        self.allowed
            .extend(path.file_name().map(|n| n.to_string_lossy().into_owned()));
        Ok(())
    }

    /// Reads and checks a plugin's file, and makes the copy to load.
    ///
    /// # Errors
    /// The first thing that is wrong with it, with the file's path.
    pub fn verify(&self, path: &Path) -> Result<Verified, PluginError> {
        let fail = |reason| PluginError {
            path: path.to_owned(),
            reason,
        };
        let bytes = file::read(path).map_err(fail)?;
        let (kind, soname, needed) = self.check(&bytes).map_err(fail)?;
        let sealed = Sealed::new(path, &bytes).map_err(|error| fail(error.into()))?;
        Ok(Verified {
            path: path.to_owned(),
            kind,
            soname,
            needed,
            sealed,
        })
    }

    /// The checks alone, on a file's bytes. Never panics, whatever they are.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, bytes: &[u8]) -> Result<(PluginKind, Option<String>, Vec<String>), Reason> {
        let image = Image::parse(bytes)?;
        let dynamic = Dynamic::parse(&image)?;
        let symbols = Symbols::parse(&image, &dynamic)?;
        let kind = entry::check(&image, &symbols)?;
        relocations::check(&image, &dynamic, symbols.len())?;
        let needed = dynamic.needed(&image)?;
        self.check_needed(&needed)?;
        let soname = dynamic.soname(&image)?;
        if let Some(name) = soname.as_ref().filter(|s| self.is_taken(s)) {
            return Err(Reason::Soname(name.clone()));
        }
        self.check_symbols(&symbols)?;
        let wanted = versions::wanted(&image, &dynamic)?;
        let lacking = wanted.iter().filter(|w| self.providers.lacks(w));
        let lacking: Vec<_> = lacking
            .map(|w| format!("{} of {}", w.version, w.library))
            .collect();
        if lacking.is_empty() {
            Ok((kind, soname, needed))
        } else {
            Err(Reason::Versions(lacking))
        }
    }

    fn check_needed(&self, needed: &[String]) -> Result<(), Reason> {
        let libraries: Vec<_> = needed
            .iter()
            .filter(|n| !self.allowed.contains(n))
            .cloned()
            .collect();
        if libraries.is_empty() {
            return Ok(());
        }
        Err(Reason::Needs {
            libraries,
            allowed: self.allowed.clone(),
        })
    }

    /// Whether a library that may be loaded beside the plugin has this name.
    fn is_taken(&self, soname: &str) -> bool {
        self.providers.has_library(soname) || self.allowed.iter().any(|a| a == soname)
    }

    fn check_symbols(&self, symbols: &Symbols<'_>) -> Result<(), Reason> {
        let missing = symbols.undefined().filter(|name| !self.providers.has(name));
        let mut missing: Vec<String> = missing
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect();
        missing.sort();
        missing.dedup();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(Reason::Undefined(missing))
        }
    }
}
