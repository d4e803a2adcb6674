// SPDX-License-Identifier: MIT
//! An ELF file as the loader maps it: header, segments, and bytes by address.

use object::LittleEndian;
use object::elf::{self, Dyn64, FileHeader64, Machine, ProgramHeader64, SectionHeader64};
use object::pod::{Pod, from_bytes, slice_from_bytes};

use crate::error::Reason;

/// The byte order of every machine that drvhost runs on.
pub(crate) const LE: LittleEndian = LittleEndian;

/// This program's own `e_machine`.
pub(crate) const MACHINE: Option<Machine> = if cfg!(target_arch = "x86_64") {
    Some(elf::EM_X86_64)
} else if cfg!(target_arch = "aarch64") {
    Some(elf::EM_AARCH64)
} else if cfg!(target_arch = "riscv64") {
    Some(elf::EM_RISCV)
} else {
    None
};

/// A segment that is mapped.
#[derive(Debug, Clone, Copy)]
struct Load {
    address: u64,
    /// Bytes in memory; what is beyond the file's is zero.
    memory: u64,
    offset: usize,
    /// Bytes in the file.
    file: usize,
    writable: bool,
}

/// A shared object whose segments lie inside the file.
#[derive(Debug)]
pub(crate) struct Image<'a> {
    data: &'a [u8],
    loads: Vec<Load>,
    dynamic: &'a [Dyn64<LittleEndian>],
}

impl<'a> Image<'a> {
    pub(crate) fn parse(data: &'a [u8]) -> Result<Self, Reason> {
        let header = header(data)?;
        let count = header.e_phnum.get(LE);
        if usize::from(header.e_phentsize.get(LE)) != size_of::<ProgramHeader64<LittleEndian>>() {
            return Err(Reason::Malformed("program headers of another size"));
        }
        let segments: &[ProgramHeader64<LittleEndian>] = array(
            data,
            header.e_phoff.get(LE),
            count.into(),
            "the program header table",
        )?;
        let mut loads: Vec<Load> = Vec::new();
        let mut dynamic = None;
        for segment in segments {
            let (offset, file) = (segment.p_offset.get(LE), segment.p_filesz.get(LE));
            let bytes = range(data, offset, file, "a segment")?;
            match segment.p_type.get(LE) {
                elf::PT_LOAD => loads.push(load(segment, bytes.len(), loads.last())?),
                elf::PT_DYNAMIC if dynamic.is_some() => {
                    return Err(Reason::Malformed("more than one dynamic segment"));
                }
                elf::PT_DYNAMIC => dynamic = Some(segment),
                _ => {}
            }
        }
        check_sections(data, header)?;
        let mut image = Self {
            data,
            loads,
            dynamic: &[],
        };
        let segment = dynamic.ok_or(Reason::Malformed("no dynamic segment"))?;
        // By address, because that is how the loader finds it.
        let entries = segment.p_memsz.get(LE) / size_of::<Dyn64<LittleEndian>>() as u64;
        image.dynamic = image
            .table(segment.p_vaddr.get(LE), entries)
            .ok_or(Reason::Malformed(
                "the dynamic segment lies in no mapped segment",
            ))?;
        Ok(image)
    }

    /// The entries of the dynamic segment; there may be garbage behind the closing one.
    pub(crate) fn dynamic(&self) -> &'a [Dyn64<LittleEndian>] {
        self.dynamic
    }

    /// The file's bytes from `address` to the end of its segment.
    pub(crate) fn bytes(&self, address: u64) -> Option<&'a [u8]> {
        self.loads.iter().find_map(|load| {
            let skip = usize::try_from(address.checked_sub(load.address)?).ok()?;
            self.data
                .get(load.offset..load.offset + load.file)?
                .get(skip..)
        })
    }

    /// `count` items of a table at `address`.
    pub(crate) fn table<T: Pod>(&self, address: u64, count: u64) -> Option<&'a [T]> {
        let count = usize::try_from(count).ok()?;
        slice_from_bytes(self.bytes(address)?, count)
            .ok()
            .map(|(items, _)| items)
    }

    /// Whether the eight bytes at `address` are mapped, and if so, whether writable.
    pub(crate) fn writable(&self, address: u64) -> Option<bool> {
        let load = self.loads.iter().find(|load| {
            let inside = address
                .checked_sub(load.address)
                .and_then(|skip| skip.checked_add(8));
            inside.is_some_and(|end| end <= load.memory)
        });
        load.map(|load| load.writable)
    }
}

/// The file header, if it is that of a shared object for this machine.
fn header(data: &[u8]) -> Result<&FileHeader64<LittleEndian>, Reason> {
    if !data.starts_with(&elf::ELFMAG) {
        return Err(Reason::NotElf);
    }
    let size = data.len() as u64;
    let end = size_of::<FileHeader64<LittleEndian>>() as u64;
    let (header, _) =
        from_bytes::<FileHeader64<LittleEndian>>(data).map_err(|()| Reason::Truncated {
            what: "the file header",
            end,
            size,
        })?;
    let ident = &header.e_ident;
    if ident.class != elf::ELFCLASS64
        || ident.data != elf::ELFDATA2LSB
        || ident.version != elf::EV_CURRENT
    {
        return Err(Reason::WrongFormat);
    }
    let expected = MACHINE.ok_or(Reason::UnknownHost)?;
    let found = header.e_machine.get(LE);
    if found != expected {
        let (found, expected) = (machine_name(found), machine_name(expected));
        return Err(Reason::WrongMachine { found, expected });
    }
    if header.e_type.get(LE) != elf::ET_DYN {
        return Err(Reason::NotShared);
    }
    Ok(header)
}

/// What people call a machine type; its number where that is not known.
fn machine_name(machine: Machine) -> String {
    let name = match machine {
        elf::EM_386 => "x86 (32 bits)",
        elf::EM_X86_64 => "x86-64",
        elf::EM_ARM => "ARM (32 bits)",
        elf::EM_AARCH64 => "AArch64",
        elf::EM_RISCV => "RISC-V",
        Machine(number) => return format!("ELF number {number}"),
    };
    name.to_owned()
}

/// A segment that can be mapped behind the one before it.
fn load(
    segment: &ProgramHeader64<LittleEndian>,
    file: usize,
    before: Option<&Load>,
) -> Result<Load, Reason> {
    /// No driver spans more; the loader reserves all of it at once.
    const SPAN: u64 = 1 << 30;
    let (address, memory) = (segment.p_vaddr.get(LE), segment.p_memsz.get(LE));
    let (offset, align) = (segment.p_offset.get(LE), segment.p_align.get(LE).max(1));
    if memory < file as u64 {
        return Err(Reason::Malformed(
            "a segment is smaller in memory than in the file",
        ));
    }
    if address.checked_add(memory).is_none_or(|end| end > SPAN) {
        return Err(Reason::Malformed("a segment lies beyond 1 GiB"));
    }
    if !align.is_power_of_two() || address % align != offset % align {
        return Err(Reason::Malformed("a segment is misaligned"));
    }
    if before.is_some_and(|b| b.address + b.memory > address) {
        return Err(Reason::Malformed("segments overlap or are out of order"));
    }
    let offset = usize::try_from(offset).map_err(|_| Reason::Malformed("a segment's offset"))?;
    let writable = segment.p_flags.get(LE).contains(elf::PF_W);
    Ok(Load {
        address,
        memory,
        offset,
        file,
        writable,
    })
}

/// Sections mean nothing to the loader, but where they end the file ends: linkers write the table
/// last, so this is what finds a file that was cut off.
fn check_sections(data: &[u8], header: &FileHeader64<LittleEndian>) -> Result<(), Reason> {
    let offset = header.e_shoff.get(LE);
    if offset == 0 {
        return Ok(());
    }
    if usize::from(header.e_shentsize.get(LE)) != size_of::<SectionHeader64<LittleEndian>>() {
        return Err(Reason::Malformed("section headers of another size"));
    }
    let what = "the section header table";
    let mut count = u64::from(header.e_shnum.get(LE));
    if count == 0 {
        // More sections than fit into the header: the first one has their number.
        let first: &[SectionHeader64<LittleEndian>] = array(data, offset, 1, what)?;
        count = first.first().map_or(0, |s| s.sh_size.get(LE));
    }
    let sections: &[SectionHeader64<LittleEndian>] = array(data, offset, count, what)?;
    for section in sections.iter().skip(1) {
        if section.sh_type.get(LE) != elf::SHT_NOBITS {
            range(
                data,
                section.sh_offset.get(LE),
                section.sh_size.get(LE),
                "a section",
            )?;
        }
    }
    Ok(())
}

/// A part of the file.
fn range<'a>(
    data: &'a [u8],
    offset: u64,
    len: u64,
    what: &'static str,
) -> Result<&'a [u8], Reason> {
    let end = offset.saturating_add(len);
    let part = usize::try_from(offset).ok().zip(usize::try_from(end).ok());
    part.and_then(|(offset, end)| data.get(offset..end))
        .ok_or(Reason::Truncated {
            what,
            end,
            size: data.len() as u64,
        })
}

/// `count` items at an offset in the file.
fn array<'a, T: Pod>(
    data: &'a [u8],
    offset: u64,
    count: u64,
    what: &'static str,
) -> Result<&'a [T], Reason> {
    let len = count.saturating_mul(size_of::<T>() as u64);
    let bytes = range(data, offset, len, what)?;
    let count = bytes.len() / size_of::<T>();
    slice_from_bytes(bytes, count)
        .map(|(items, _)| items)
        .map_err(|()| Reason::Malformed(what))
}
