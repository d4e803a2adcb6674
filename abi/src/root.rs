// SPDX-License-Identifier: MIT
//! The root module of a Rust plugin: the only place that knows `abi_stable`.
//!
//! Its layout check at load is the ABI check of Rust plugins. C plugins have no root module; they
//! export the table itself under the name [`C_SYMBOL`].

use crate::tables::DriverV1;
use abi_stable::{
    StableAbi, library::RootModule, package_version_strings, sabi_types::VersionStrings,
};

/// The data symbol that a C plugin exports: a [`DriverV1`].
pub const C_SYMBOL: &str = "drvhost_driver_v1";

/// The table, wrapped so that `abi_stable` takes it as it is: its own version field is checked.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug)]
#[sabi(unsafe_opaque_fields)]
pub struct Table(pub &'static DriverV1);

/// What a Rust plugin exports. Made by [`crate::export_driver!`].
#[repr(C)]
#[derive(StableAbi, Debug)]
#[sabi(kind(Prefix(prefix_ref = PluginRootRef)))]
#[sabi(missing_field(panic))]
pub struct PluginRoot {
    /// [`crate::ABI_VERSION`] that the plugin was built with.
    pub abi_version: u32,
    /// The driver's table.
    #[sabi(last_prefix_field)]
    pub table: Table,
}

impl RootModule for PluginRootRef {
    abi_stable::declare_root_module_statics! {PluginRootRef}

    const BASE_NAME: &'static str = "drvhost_plugin";
    const NAME: &'static str = "drvhost_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

/// Makes the root module around a table. Used by [`crate::export_driver!`].
pub fn module(table: &'static DriverV1) -> PluginRootRef {
    use abi_stable::prefix_type::PrefixTypeTrait;
    let abi_version = crate::ABI_VERSION;
    let table = Table(table);
    PluginRoot { abi_version, table }.leak_into_prefix()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_macro_exports_abi_stables_name() {
        let name = abi_stable::library::ROOT_MODULE_LOADER_NAME;
        assert!(include_str!("plugin.rs").contains(&format!("export_name = \"{name}\"")));
    }
}
