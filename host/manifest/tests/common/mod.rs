// SPDX-License-Identifier: MIT
//! Two directories of manifests to fill, and the device that all tables speak of.

// Each test program uses its part of this.
#![allow(dead_code)]

use std::fs;
use std::path::PathBuf;

use drvhost_manifest::{Device, MatchError, PciIds, Selection, Store};
use tempfile::TempDir;

/// A QEMU display at 0000:00:02.0.
pub fn device() -> Device {
    let ids = PciIds {
        vendor: 0x1234,
        device: 0x1111,
        subvendor: 0x1af4,
        subdevice: 0x1100,
        class: 0x03_0000,
        revision: 2,
    };
    Device {
        address: "0000:00:02.0".parse().expect("address"),
        ids,
    }
}

/// Directories 0 and 1, of which the latter wins.
pub struct Dirs {
    root: TempDir,
}

impl Dirs {
    pub fn new() -> Self {
        let root = tempfile::tempdir().expect("directory");
        for n in ["0", "1"] {
            fs::create_dir(root.path().join(n)).expect("directory");
        }
        Self { root }
    }

    pub fn path(&self, dir: usize, file: &str) -> PathBuf {
        self.root.path().join(dir.to_string()).join(file)
    }

    pub fn write(&self, dir: usize, file: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(dir, file), text).expect(file);
    }

    /// The manifest of driver `name`, with library `name.so`, in `name.ron`.
    pub fn manifest(&self, dir: usize, name: &str, fields: &str) {
        let text = format!("Manifest(driver: {name:?}, library: \"{name}.so\", {fields})");
        self.write(dir, &format!("{name}.ron"), text);
    }

    /// An override in `name.ron`.
    pub fn over(&self, dir: usize, name: &str, fields: &str) {
        self.write(dir, &format!("{name}.ron"), format!("Override({fields})"));
    }

    pub fn dirs(&self) -> [PathBuf; 2] {
        ["0", "1"].map(|n| self.root.path().join(n))
    }

    pub fn store(&self) -> Store {
        Store::load(&self.dirs()).0
    }

    pub fn select(&self) -> Selection {
        self.store().select(&device())
    }

    /// The candidates in order, by driver; tied ones in brackets at the place of their rank.
    pub fn order(&self) -> String {
        let store = self.store();
        let selection = store.select(&device());
        if selection.disabled_by.is_some() {
            return "disabled".to_owned();
        }
        let rank = |file: &std::path::Path| {
            let manifest = store
                .manifests()
                .iter()
                .find(|m| m.path == file)
                .expect("manifest");
            let fits = manifest
                .item
                .matches
                .iter()
                .filter_map(|r| r.specificity(&device().ids));
            (fits.max(), manifest.item.priority)
        };
        let mut parts: Vec<_> = selection
            .candidates
            .iter()
            .map(|c| (rank(&c.manifest.path), c.driver().to_owned()))
            .collect();
        for error in &selection.errors {
            if let MatchError::Tie(files) = error {
                let names: Vec<_> = files
                    .iter()
                    .map(|f| f.file_stem().expect("name").to_string_lossy().into_owned())
                    .collect();
                parts.push((rank(&files[0]), format!("[{}]", names.join(" "))));
            }
        }
        if !selection.errors.is_empty() {
            // Stable: candidates keep the order that is under test.
            parts.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
        }
        parts
            .into_iter()
            .map(|(_, name)| name)
            .collect::<Vec<_>>()
            .join(" ")
    }
}
