// SPDX-License-Identifier: MIT
//! Names for addresses: the symbol tables of a plugin and of the worker's own executable.

use super::config::Plugin;
use crate::wire::recorder::Module;
use object::{Object, ObjectSymbol, SymbolKind};
use std::collections::HashMap;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// Largest file that is looked into, in bytes.
const MAX_FILE: u64 = 512 << 20;

/// Functions of one module: start, size, name; sorted.
type Table = Vec<(u64, u64, String)>;

pub(super) struct Symbols<'a> {
    plugin: Option<&'a Plugin>,
    exe: PathBuf,
    tables: HashMap<Module, Table>,
}

impl<'a> Symbols<'a> {
    pub(super) fn new(plugin: Option<&'a Plugin>, exe: PathBuf) -> Symbols<'a> {
        Symbols {
            plugin,
            exe,
            tables: HashMap::new(),
        }
    }

    /// The function that `offset` lies in, and how far from its start.
    pub(super) fn find(&mut self, module: Module, offset: u64) -> Option<(String, u64)> {
        let plugin = self.plugin;
        let table = self.tables.entry(module).or_insert_with(|| {
            let file = match module {
                Module::Driver => plugin.and_then(|plugin| plugin.driver.try_clone().ok()),
                Module::Kpi => plugin.and_then(|plugin| plugin.kpi.as_ref()?.try_clone().ok()),
                Module::Worker => File::open(&self.exe).ok().map(Into::into),
                Module::System => None,
            };
            file.and_then(|file| read(&File::from(file)))
                .unwrap_or_default()
        });
        let index = table
            .partition_point(|(start, _, _)| *start <= offset)
            .checked_sub(1)?;
        let (start, size, name) = table.get(index)?;
        let distance = offset - start;
        // Symbols written by hand have no size: then the nearest one is all there is to say.
        (*size == 0 || distance <= *size)
            .then(|| (format!("{:#}", rustc_demangle::demangle(name)), distance))
    }
}

fn read(file: &File) -> Option<Table> {
    let len = rustix::fs::fstat(file.as_fd()).ok()?.st_size;
    let len = u64::try_from(len).ok().filter(|len| *len <= MAX_FILE)?;
    let mut bytes = vec![0; usize::try_from(len).ok()?];
    file.read_exact_at(&mut bytes, 0).ok()?;
    let elf = object::File::parse(bytes.as_slice()).ok()?;
    let mut table: Table = elf
        .symbols()
        .chain(elf.dynamic_symbols())
        .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.address() != 0)
        .filter_map(|symbol| Some((symbol.address(), symbol.size(), symbol.name().ok()?.into())))
        .collect();
    table.sort();
    table.dedup_by_key(|entry| entry.0);
    Some(table)
}
