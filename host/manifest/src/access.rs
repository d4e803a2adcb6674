// SPDX-License-Identifier: MIT
//! Who may open a driver's nodes.

use serde::{Deserialize, Serialize};

/// Owner, group and mode of a node, as `ls -l` would show them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeAccess {
    /// A user's name, or number in decimal.
    pub owner: String,
    /// A group's name, or number in decimal.
    pub group: String,
    /// Permission bits, at most 0o777.
    pub mode: u32,
}

/// Who may open the nodes; the defaults are udev's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawAccess")]
pub struct Access {
    /// `/dev/dri/cardN`: root:video 0660 if left out.
    pub card: NodeAccess,
    /// `/dev/dri/renderDN`: root:render 0666 if left out.
    pub render: NodeAccess,
}

impl Default for Access {
    fn default() -> Self {
        let node = |group: &str, mode| NodeAccess {
            owner: "root".into(),
            group: group.into(),
            mode,
        };
        Self {
            card: node("video", 0o660),
            render: node("render", 0o666),
        }
    }
}

/// An access line that can't be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAccess {
    /// More than permission bits.
    #[error("mode 0o{0:o} has more than permission bits: at most 0o777, such as 0o660")]
    Mode(u32),
    /// No possible user or group.
    #[error("`{0}` can be no user or group: use a name or a decimal number")]
    Name(String),
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename = "Access")]
struct RawAccess {
    card: RawNode,
    render: RawNode,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename = "NodeAccess")]
struct RawNode {
    owner: Option<String>,
    group: Option<String>,
    mode: Option<u32>,
}

impl RawNode {
    /// What is left out comes from `node`.
    fn over(self, node: NodeAccess) -> Result<NodeAccess, BadAccess> {
        let name = |given: Option<String>, default| match given {
            Some(s) if s.is_empty() || s.contains(|c: char| c == ':' || !c.is_ascii_graphic()) => {
                Err(BadAccess::Name(s.chars().take(40).collect()))
            }
            Some(s) => Ok(s),
            None => Ok(default),
        };
        let mode = self.mode.unwrap_or(node.mode);
        if mode > 0o777 {
            return Err(BadAccess::Mode(mode));
        }
        let (owner, group) = (name(self.owner, node.owner)?, name(self.group, node.group)?);
        Ok(NodeAccess { owner, group, mode })
    }
}

impl TryFrom<RawAccess> for Access {
    type Error = BadAccess;

    fn try_from(raw: RawAccess) -> Result<Self, BadAccess> {
        let Self { card, render } = Self::default();
        Ok(Self {
            card: raw.card.over(card)?,
            render: raw.render.over(render)?,
        })
    }
}
