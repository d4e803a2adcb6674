// SPDX-License-Identifier: MIT
//! The dynamic segment: where the loader's tables are, and what the file asks for.

use object::LittleEndian;
use object::elf::{self, DynamicTag, Rela64, Sym64};

use crate::error::Reason;
use crate::image::{Image, LE};

/// The entries that matter; of several with the same tag the last one counts, as for the loader.
#[derive(Debug, Default)]
pub(crate) struct Dynamic {
    /// Offsets of names in the string table.
    needed: Vec<u64>,
    soname: Option<u64>,
    strings: Option<u64>,
    strings_size: u64,
    pub symbols: Option<u64>,
    pub hash: Option<u64>,
    pub gnu_hash: Option<u64>,
    pub verneed: Option<u64>,
    pub verneed_count: u64,
    pub verdef: Option<u64>,
    pub verdef_count: u64,
    pub rela: Table,
    pub plt: Table,
    /// The flag or the older tag of its own.
    pub text_relocations: bool,
    pub static_tls: bool,
}

/// Address and bytes.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Table {
    pub address: u64,
    pub size: u64,
}

impl Dynamic {
    pub(crate) fn parse(image: &Image<'_>) -> Result<Self, Reason> {
        let mut dynamic = Self::default();
        for entry in image.dynamic() {
            let tag = entry.d_tag.get(LE);
            if tag == elf::DT_NULL {
                return Ok(dynamic);
            }
            dynamic.add(tag, entry.d_val.get(LE))?;
        }
        Err(Reason::Malformed("the dynamic segment has no end"))
    }

    fn add(&mut self, tag: DynamicTag, value: u64) -> Result<(), Reason> {
        let size_of_entry = |expected: usize, what| {
            if value == expected as u64 {
                Ok(())
            } else {
                Err(Reason::Malformed(what))
            }
        };
        match tag {
            // Filters are loaded as what is needed is.
            elf::DT_NEEDED | elf::DT_AUXILIARY | elf::DT_FILTER => self.needed.push(value),
            elf::DT_SONAME => self.soname = Some(value),
            elf::DT_STRTAB => self.strings = Some(value),
            elf::DT_STRSZ => self.strings_size = value,
            elf::DT_SYMTAB => self.symbols = Some(value),
            elf::DT_SYMENT => size_of_entry(size_of::<Sym64<LittleEndian>>(), "symbol size")?,
            elf::DT_HASH => self.hash = Some(value),
            elf::DT_GNU_HASH => self.gnu_hash = Some(value),
            elf::DT_VERNEED => self.verneed = Some(value),
            elf::DT_VERNEEDNUM => self.verneed_count = value,
            elf::DT_VERDEF => self.verdef = Some(value),
            elf::DT_VERDEFNUM => self.verdef_count = value,
            elf::DT_RELA => self.rela.address = value,
            elf::DT_RELASZ => self.rela.size = value,
            elf::DT_RELAENT => {
                size_of_entry(size_of::<Rela64<LittleEndian>>(), "relocation size")?;
            }
            elf::DT_JMPREL => self.plt.address = value,
            elf::DT_PLTRELSZ => self.plt.size = value,
            elf::DT_REL => return Err(Reason::Malformed("relocations without addend")),
            elf::DT_PLTREL if value != elf::DT_RELA.0 as u64 => {
                return Err(Reason::Malformed(
                    "procedure linkage relocations without addend",
                ));
            }
            elf::DT_TEXTREL => self.text_relocations = true,
            elf::DT_FLAGS => {
                self.text_relocations |= value & elf::DF_TEXTREL.0 != 0;
                self.static_tls |= value & elf::DF_STATIC_TLS.0 != 0;
            }
            // A position-independent program is of type ET_DYN too, but can't be loaded.
            elf::DT_FLAGS_1 if value & elf::DF_1_PIE.0 != 0 => {
                return Err(Reason::NotShared);
            }
            _ => {}
        }
        Ok(())
    }

    /// The names of the libraries that are loaded along.
    pub(crate) fn needed(&self, image: &Image<'_>) -> Result<Vec<String>, Reason> {
        self.needed
            .iter()
            .map(|&offset| self.name(image, offset))
            .collect()
    }

    /// The library's own name.
    pub(crate) fn soname(&self, image: &Image<'_>) -> Result<Option<String>, Reason> {
        self.soname
            .map(|offset| self.name(image, offset))
            .transpose()
    }

    /// A name in the string table, for people.
    pub(crate) fn name(&self, image: &Image<'_>, offset: u64) -> Result<String, Reason> {
        let strings = self.strings(image)?;
        let name = string(strings, offset).ok_or(Reason::Malformed("a name is no string"))?;
        Ok(String::from_utf8_lossy(name).into_owned())
    }

    /// The string table.
    pub(crate) fn strings<'a>(&self, image: &Image<'a>) -> Result<&'a [u8], Reason> {
        self.strings
            .and_then(|address| image.table(address, self.strings_size))
            .ok_or(Reason::Malformed("no string table"))
    }
}

/// The bytes of `strings` from `offset` to the next NUL.
pub(crate) fn string(strings: &[u8], offset: u64) -> Option<&[u8]> {
    let rest = strings.get(usize::try_from(offset).ok()?..)?;
    rest.iter()
        .position(|&b| b == 0)
        .and_then(|end| rest.get(..end))
}
