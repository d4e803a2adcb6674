// SPDX-License-Identifier: MIT
//! The dynamic symbols: what a library has and what it lacks.

use object::LittleEndian;
use object::elf::{self, Sym64};
use object::read::elf::{GnuHashTable, HashTable};

use crate::dynamic::{Dynamic, string};
use crate::error::Reason;
use crate::image::{Image, LE};

type Header = elf::FileHeader64<LittleEndian>;

/// The symbol table; its names have all been found.
#[derive(Debug)]
pub(crate) struct Symbols<'a> {
    symbols: &'a [Sym64<LittleEndian>],
    names: Vec<&'a [u8]>,
}

impl<'a> Symbols<'a> {
    pub(crate) fn parse(image: &Image<'a>, dynamic: &Dynamic) -> Result<Self, Reason> {
        let address = dynamic
            .symbols
            .ok_or(Reason::Malformed("no symbol table"))?;
        let symbols: &[Sym64<LittleEndian>] = image
            .table(address, count(image, dynamic)?.into())
            .ok_or(Reason::Malformed(
            "the symbol table lies in no mapped segment",
        ))?;
        let strings = dynamic.strings(image)?;
        let name = |s: &Sym64<LittleEndian>| string(strings, s.st_name.get(LE).into());
        let names = symbols.iter().map(name).collect::<Option<_>>();
        let names = names.ok_or(Reason::Malformed("a symbol's name is no string"))?;
        Ok(Self { symbols, names })
    }

    /// Symbols that other libraries can use, with their names.
    pub(crate) fn exported(&self) -> impl Iterator<Item = (&'a [u8], &'a Sym64<LittleEndian>)> {
        self.iter()
            .filter(|(_, s)| defined(s) && s.st_bind() != elf::STB_LOCAL)
    }

    /// Names that some other library must have. Weak ones may be missing.
    pub(crate) fn undefined(&self) -> impl Iterator<Item = &'a [u8]> {
        let optional =
            |s: &Sym64<LittleEndian>| [elf::STB_LOCAL, elf::STB_WEAK].contains(&s.st_bind());
        let must = move |s: &Sym64<LittleEndian>| !defined(s) && !optional(s);
        self.iter()
            .filter(move |(name, s)| must(s) && !name.is_empty())
            .map(|(name, _)| name)
    }

    /// How many there are, the null symbol included.
    pub(crate) fn len(&self) -> usize {
        self.symbols.len()
    }

    fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a Sym64<LittleEndian>)> {
        let symbols: &'a [Sym64<LittleEndian>] = self.symbols;
        self.names.iter().copied().zip(symbols)
    }
}

fn defined(symbol: &Sym64<LittleEndian>) -> bool {
    symbol.st_shndx.get(LE) != elf::SHN_UNDEF
}

/// The dynamic segment does not say how many symbols there are; the hash tables do.
fn count(image: &Image<'_>, dynamic: &Dynamic) -> Result<u32, Reason> {
    let bad = Reason::Malformed("no usable hash table of symbols");
    if let Some(data) = dynamic.hash.and_then(|address| image.bytes(address)) {
        let table = HashTable::<Header>::parse(LE, data).map_err(|_| bad)?;
        return Ok(table.symbol_table_length());
    }
    let Some(data) = dynamic.gnu_hash.and_then(|address| image.bytes(address)) else {
        return Err(bad);
    };
    let table = GnuHashTable::<Header>::parse(LE, data).map_err(|_| bad)?;
    // Without exported symbols there is no chain to follow to the end.
    Ok(table
        .symbol_table_length(LE)
        .unwrap_or_else(|| table.symbol_base()))
}
