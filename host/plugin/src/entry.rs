// SPDX-License-Identifier: MIT
//! Which ABI a plugin declares, read from the file without running anything of it.

use drvhost_abi::ABI_VERSION;
use drvhost_abi::abi_stable::library::{AbiHeader, ROOT_MODULE_LOADER_NAME};
use drvhost_abi::root::C_SYMBOL;
use object::LittleEndian;
use object::elf::{self, Sym64};

use crate::checker::PluginKind;
use crate::error::Reason;
use crate::image::{Image, LE};
use crate::symbols::Symbols;

/// The kind of plugin, if its ABI is this host's.
pub(crate) fn check(image: &Image<'_>, symbols: &Symbols<'_>) -> Result<PluginKind, Reason> {
    let (mut c, mut rust) = (None, None);
    for (name, symbol) in symbols.exported() {
        if name == C_SYMBOL.as_bytes() {
            c = Some(symbol);
        } else if name == ROOT_MODULE_LOADER_NAME.as_bytes() {
            rust = Some(symbol);
        }
    }
    match (c, rust) {
        (Some(_), Some(_)) => Err(Reason::TwoKinds),
        (Some(symbol), None) => check_c(image, symbol).map(|()| PluginKind::C),
        (None, Some(symbol)) => check_rust(image, symbol).map(|()| PluginKind::Rust),
        (None, None) => Err(Reason::NotPlugin),
    }
}

/// The first `N` bytes of a symbol that is data.
fn data<const N: usize>(
    image: &Image<'_>,
    symbol: &Sym64<LittleEndian>,
) -> Result<[u8; N], Reason> {
    if symbol.st_type() != elf::STT_OBJECT || symbol.st_size.get(LE) < N as u64 {
        return Err(Reason::Malformed("the plugin's entry symbol is no table"));
    }
    image
        .bytes(symbol.st_value.get(LE))
        .and_then(|bytes| bytes.first_chunk())
        .copied()
        .ok_or(Reason::Malformed(
            "the plugin's table is not initialised in the file",
        ))
}

/// `struct drvhost_driver_v1` begins with its size and the ABI version.
fn check_c(image: &Image<'_>, symbol: &Sym64<LittleEndian>) -> Result<(), Reason> {
    let [s0, s1, s2, s3, version @ ..] = data::<8>(image, symbol)?;
    let (size, found) = (
        u32::from_le_bytes([s0, s1, s2, s3]),
        u32::from_le_bytes(version),
    );
    // The version first: another one may have other rules about the size.
    if found != ABI_VERSION {
        return Err(Reason::AbiVersion {
            found,
            expected: ABI_VERSION,
        });
    }
    if size < 8 || u64::from(size) > symbol.st_size.get(LE) {
        return Err(Reason::Malformed(
            "the plugin's table says another size than its symbol",
        ));
    }
    Ok(())
}

/// A root module begins with [`AbiHeader`]; what is behind it, abi_stable checks at load.
fn check_rust(image: &Image<'_>, symbol: &Sym64<LittleEndian>) -> Result<(), Reason> {
    let bytes = data::<40>(image, symbol)?;
    let own = AbiHeader::VALUE;
    let number = |at: usize| {
        let mut le = [0; 4];
        le.copy_from_slice(&bytes[at..at + 4]);
        u32::from_le_bytes(le)
    };
    let (major, minor) = (number(32), number(36));
    let magic = bytes[..32] == own.magic_string;
    // While the major number is 0, the minor one says what is compatible.
    if magic && major == own.abi_major && (major != 0 || minor == own.abi_minor) {
        return Ok(());
    }
    let found = if magic {
        format!("{major}.{minor}")
    } else {
        "header of another kind".to_owned()
    };
    Err(Reason::RustAbi {
        found,
        expected: format!("{}.{}", own.abi_major, own.abi_minor),
    })
}
