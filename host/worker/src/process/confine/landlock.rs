// SPDX-License-Identifier: MIT
//! Landlock: no file, no TCP port, no abstract socket, no signal to others. Files that lie in no
//! file system that anybody can see (the plugin's memfd) are not Landlock's to forbid.

use super::{ConfineError, failed};
use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetStatus, Scope};

/// Restricts this thread and those it starts. `Some` says what the kernel lacks.
pub(super) fn restrict() -> Result<Option<String>, ConfineError> {
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V5))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(ABI::V5)))
        .and_then(|rules| rules.scope(Scope::from_all(ABI::V6)))
        .and_then(|rules| rules.create())
        .and_then(|rules| rules.restrict_self());
    let status = ruleset.map_err(failed("Landlock"))?.ruleset;
    Ok(match status {
        RulesetStatus::FullyEnforced => None,
        RulesetStatus::PartiallyEnforced => {
            Some("Landlock of this kernel is older than version 6: it forbids less".into())
        }
        RulesetStatus::NotEnforced => Some("this kernel has no Landlock".into()),
    })
}
