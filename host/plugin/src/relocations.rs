// SPDX-License-Identifier: MIT
//! What the loader will write into the file's memory, and where.

use object::LittleEndian;
use object::elf::{self, Machine, Rela64, RelocationType};

use crate::dynamic::{Dynamic, Table};
use crate::error::Reason;
use crate::image::{Image, LE, MACHINE};

/// Checks every relocation: its symbol exists, its place is mapped and writable, and its kind
/// needs no room in the static TLS block. Flags could have been left out; these can't.
pub(crate) fn check(image: &Image<'_>, dynamic: &Dynamic, symbols: usize) -> Result<(), Reason> {
    if dynamic.text_relocations {
        return Err(Reason::TextRelocations);
    }
    if dynamic.static_tls {
        return Err(Reason::StaticTls);
    }
    for table in [dynamic.rela, dynamic.plt] {
        for relocation in entries(image, table)? {
            one(image, relocation, symbols)?;
        }
    }
    Ok(())
}

fn entries<'a>(image: &Image<'a>, table: Table) -> Result<&'a [Rela64<LittleEndian>], Reason> {
    let count = table.size / size_of::<Rela64<LittleEndian>>() as u64;
    if count == 0 {
        return Ok(&[]);
    }
    image.table(table.address, count).ok_or(Reason::Malformed(
        "a relocation table lies in no mapped segment",
    ))
}

fn one(image: &Image<'_>, relocation: &Rela64<LittleEndian>, symbols: usize) -> Result<(), Reason> {
    let kind = relocation.r_type(LE, false);
    if kind == RelocationType(0) {
        return Ok(());
    }
    if usize::try_from(relocation.r_sym(LE, false)).map_or(true, |symbol| symbol >= symbols) {
        return Err(Reason::Malformed("a relocation's symbol does not exist"));
    }
    if static_tls(kind) {
        return Err(Reason::StaticTls);
    }
    match image.writable(relocation.r_offset.get(LE)) {
        Some(true) => Ok(()),
        Some(false) => Err(Reason::TextRelocations),
        None => Err(Reason::Malformed("a relocation's place is not mapped")),
    }
}

/// Whether a relocation is an offset from the thread pointer.
fn static_tls(kind: RelocationType) -> bool {
    let kinds: &[RelocationType] = match MACHINE {
        Some(Machine(m)) if m == elf::EM_X86_64.0 => {
            &[elf::R_X86_64_TPOFF64, elf::R_X86_64_TPOFF32]
        }
        Some(Machine(m)) if m == elf::EM_AARCH64.0 => &[elf::R_AARCH64_TLS_TPREL],
        Some(Machine(m)) if m == elf::EM_RISCV.0 => &[elf::R_RISCV_TLS_TPREL64],
        _ => &[],
    };
    kinds.contains(&kind)
}
