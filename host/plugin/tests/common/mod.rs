// SPDX-License-Identifier: MIT
//! Tiny plugins, compiled on the spot.

// Each test program uses its part of this.
#![allow(dead_code)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use drvhost_plugin::{Checker, PluginError, Verified};
use tempfile::TempDir;

/// A plugin's table with the size and ABI version given, and a pointer, as real ones have.
pub fn table(size: &str, version: u32) -> String {
    format!(
        "struct table {{ unsigned size, version; const char *name; }};\n\
         const struct table drvhost_driver_v1 = {{ {size}, {version}, \"tiny\" }};\n"
    )
}

/// A good C plugin.
pub fn good() -> String {
    table("sizeof(struct table)", drvhost_abi::ABI_VERSION)
}

/// A directory to compile in.
pub struct Lab(TempDir);

impl Lab {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("directory"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), bytes).expect(name);
        self.path(name)
    }

    /// Compiles C to `name`, with `-shared -fPIC` unless other ones are given after it.
    pub fn compile(&self, name: &str, source: &str, options: &[&str]) -> PathBuf {
        let c = self.write(&format!("{name}.c"), source);
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-w", "-o"])
            .arg(self.path(name))
            .arg(c)
            .args(options);
        let output = cc.output().expect("a C compiler");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        self.path(name)
    }

    /// The bytes of a good C plugin that needs libc.
    pub fn good_bytes(&self) -> Vec<u8> {
        let source = good() + "void *malloc(unsigned long); void *f(void) { return malloc(1); }\n";
        fs::read(self.compile("good.so", &source, &[])).expect("good.so")
    }

    /// Checks a file against this system's libraries.
    pub fn verify(&self, name: &str) -> Result<Verified, PluginError> {
        Checker::system()
            .expect("the system's libraries")
            .verify(&self.path(name))
    }

    /// What is said about a file, without its path.
    pub fn error(&self, name: &str) -> String {
        let error = self.verify(name).expect_err("a bad file").to_string();
        let path = format!("{}: ", self.path(name).display());
        error
            .strip_prefix(&path)
            .expect("the path comes first")
            .to_owned()
    }
}
