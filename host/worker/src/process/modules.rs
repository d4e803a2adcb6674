// SPDX-License-Identifier: MIT
//! Where modules lie, for backtraces.

use crate::wire::recorder::{Module, ModuleRecord};
use std::ffi::{CStr, c_int, c_void};

struct List<'a> {
    modules: Vec<ModuleRecord>,
    names: &'a [(String, Module)],
}

/// All modules of this process; `names` says which paths plugins were loaded from.
pub(super) fn modules(names: &[(String, Module)]) -> Vec<ModuleRecord> {
    let mut list = List {
        modules: Vec::new(),
        names,
    };
    // SAFETY: the callback takes what the C library gives; `list` outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(visit), std::ptr::from_mut(&mut list).cast()) };
    list.modules.sort_by_key(|module| match module.module {
        Module::Driver => 0,
        Module::Kpi => 1,
        Module::Worker => 2,
        Module::System => 3,
    });
    list.modules
}

unsafe extern "C" fn visit(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    data: *mut c_void,
) -> c_int {
    // SAFETY: the C library's pointers are valid during the call, `data` is the `List` above.
    let (info, list) = unsafe { (&*info, &mut *data.cast::<List<'_>>()) };
    let name = if info.dlpi_name.is_null() {
        ""
    } else {
        // SAFETY: a C string, valid during the call.
        unsafe { CStr::from_ptr(info.dlpi_name) }
            .to_str()
            .unwrap_or("?")
    };
    let known = list
        .names
        .iter()
        .find(|(path, _)| path == name)
        .map(|(_, module)| *module);
    let module = match (known, name) {
        (Some(module), _) => module,
        (None, "") => Module::Worker,
        (None, _) => Module::System,
    };
    // SAFETY: the C library says that there are so many headers.
    let headers =
        unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let loaded = headers
        .iter()
        .filter(|header| header.p_type == libc::PT_LOAD);
    let end = loaded
        .map(|header| header.p_vaddr + header.p_memsz)
        .max()
        .unwrap_or(0);
    let base = info.dlpi_addr;
    list.modules.push(ModuleRecord {
        module,
        base,
        end: base + end,
    });
    0
}
