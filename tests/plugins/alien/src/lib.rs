// SPDX-License-Identifier: MIT
//! A plugin of another layout: its root module has the right name and one field too many between
//! the others, as if built against another version of the ABI. For tests: it must be refused.

#![expect(
    missing_docs,
    reason = "the attribute makes a public static without a comment"
)]

use abi_stable::library::RootModule;
use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::{StableAbi, package_version_strings};

/// The root module, which differs from the host's.
#[repr(C)]
#[derive(StableAbi, Debug)]
#[sabi(kind(Prefix(prefix_ref = PluginRootRef)))]
#[sabi(missing_field(panic))]
pub struct PluginRoot {
    /// The version.
    pub abi_version: u32,
    /// What the host does not know.
    pub flags: u64,
    /// The table.
    #[sabi(last_prefix_field)]
    pub table: usize,
}

impl RootModule for PluginRootRef {
    abi_stable::declare_root_module_statics! {PluginRootRef}

    const BASE_NAME: &'static str = "drvhost_plugin";
    const NAME: &'static str = "drvhost_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

/// What the host looks for.
#[abi_stable::export_root_module]
pub fn drvhost_root_module() -> PluginRootRef {
    PluginRoot {
        abi_version: 1,
        flags: 0,
        table: 0,
    }
    .leak_into_prefix()
}
