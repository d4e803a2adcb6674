// SPDX-License-Identifier: MIT
//! Symbol versions: a library may lack a symbol's newer version while it has the symbol.

use object::LittleEndian;
use object::elf::{VER_FLG_WEAK, Verdaux, Verdef, Vernaux, Verneed};
use object::pod::from_bytes;

use crate::dynamic::Dynamic;
use crate::error::Reason;
use crate::image::{Image, LE};

const BAD: Reason = Reason::Malformed("the table of symbol versions");

/// No library has more; a loop in the chains ends here.
const MOST: usize = 4096;

/// A version that a library must have.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    pub library: String,
    pub version: String,
}

/// The versions that must be there for the file to load.
pub(crate) fn wanted(image: &Image<'_>, dynamic: &Dynamic) -> Result<Vec<Wanted>, Reason> {
    let mut all = Vec::new();
    let Some(mut data) = section(image, dynamic.verneed)? else {
        return Ok(all);
    };
    for _ in 0..dynamic.verneed_count {
        let (need, _) = from_bytes::<Verneed<LittleEndian>>(data).map_err(|()| BAD)?;
        let library = dynamic.name(image, need.vn_file.get(LE).into())?;
        let mut aux = skip(data, need.vn_aux.get(LE))?;
        for _ in 0..need.vn_cnt.get(LE) {
            let (entry, _) = from_bytes::<Vernaux<LittleEndian>>(aux).map_err(|()| BAD)?;
            if !entry.vna_flags.get(LE).contains(VER_FLG_WEAK) {
                let version = dynamic.name(image, entry.vna_name.get(LE).into())?;
                all.push(Wanted {
                    library: library.clone(),
                    version,
                });
            }
            if all.len() > MOST {
                return Err(BAD);
            }
            aux = skip(aux, entry.vna_next.get(LE))?;
        }
        data = skip(data, need.vn_next.get(LE))?;
    }
    Ok(all)
}

/// The versions that a library has.
pub(crate) fn defined(image: &Image<'_>, dynamic: &Dynamic) -> Result<Vec<String>, Reason> {
    let mut all = Vec::new();
    let Some(mut data) = section(image, dynamic.verdef)? else {
        return Ok(all);
    };
    for _ in 0..dynamic.verdef_count {
        let (def, _) = from_bytes::<Verdef<LittleEndian>>(data).map_err(|()| BAD)?;
        // The first name is the version's; further ones are what it succeeds.
        let aux = skip(data, def.vd_aux.get(LE))?;
        let (entry, _) = from_bytes::<Verdaux<LittleEndian>>(aux).map_err(|()| BAD)?;
        all.push(dynamic.name(image, entry.vda_name.get(LE).into())?);
        if all.len() > MOST {
            return Err(BAD);
        }
        data = skip(data, def.vd_next.get(LE))?;
    }
    Ok(all)
}

fn section<'a>(image: &Image<'a>, address: Option<u64>) -> Result<Option<&'a [u8]>, Reason> {
    address
        .map(|address| image.bytes(address).ok_or(BAD))
        .transpose()
}

fn skip(data: &[u8], bytes: u32) -> Result<&[u8], Reason> {
    usize::try_from(bytes)
        .ok()
        .and_then(|bytes| data.get(bytes..))
        .ok_or(BAD)
}
