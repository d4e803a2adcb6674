// SPDX-License-Identifier: MIT
//! A manifest as text: ids in hex, and only what differs from the defaults.
//!
//! Written by hand because a serializer would write ids in decimal.

use std::fmt::{self, Write};

use crate::access::{Access, NodeAccess};
use crate::ids::{IdRange, IdSet};
use crate::manifest::{Kind, Manifest};
use crate::policy::Policy;
use crate::rule::{CLASS_MASK, Rule};

impl Manifest {
    /// The text of a manifest file that says the same.
    #[must_use]
    pub fn to_ron(&self) -> String {
        let mut text = String::new();
        // Writing into a String can't fail.
        let _ = write(&mut text, self);
        text
    }
}

fn write(out: &mut String, m: &Manifest) -> fmt::Result {
    writeln!(out, "Manifest(")?;
    writeln!(out, "    driver: {},", Quoted(&m.driver))?;
    writeln!(out, "    library: {},", Quoted(&m.library))?;
    if m.kind != Kind::default() {
        writeln!(out, "    kind: {:?},", m.kind)?;
    }
    if !m.notes.is_empty() {
        writeln!(out, "    notes: {},", Quoted(&m.notes))?;
    }
    if m.priority != 0 {
        writeln!(out, "    priority: {},", m.priority)?;
    }
    block(out, "matches", ('[', ']'), m.matches.iter().map(rule))?;
    let params = m
        .params
        .iter()
        .map(|(k, v)| format!("{}: {}", Quoted(k), Quoted(v)));
    block(out, "params", ('{', '}'), params)?;
    block(
        out,
        "firmware",
        ('[', ']'),
        m.firmware.iter().map(|f| Quoted(f).to_string()),
    )?;
    block(out, "policy", ('(', ')'), policy(&m.policy))?;
    block(out, "access", ('(', ')'), access(&m.access))?;
    writeln!(out, ")")
}

/// A field with one line for each of its parts; nothing without parts.
fn block(
    out: &mut String,
    name: &str,
    (open, close): (char, char),
    lines: impl IntoIterator<Item = String>,
) -> fmt::Result {
    let mut lines = lines.into_iter().peekable();
    if lines.peek().is_none() {
        return Ok(());
    }
    writeln!(out, "    {name}: {open}")?;
    for line in lines {
        writeln!(out, "        {line},")?;
    }
    writeln!(out, "    {close},")
}

fn rule(rule: &Rule) -> String {
    let sets = [
        ("vendor", &rule.vendor),
        ("device", &rule.device),
        ("subvendor", &rule.subvendor),
        ("subdevice", &rule.subdevice),
        ("revision", &rule.revision),
    ];
    let given = sets.iter().filter(|(_, set)| !set.is_any());
    let mut fields: Vec<String> = given
        .map(|(name, ids)| format!("{name}: {}", set(ids)))
        .collect();
    fields.extend(rule.class.map(|c| match c.mask {
        CLASS_MASK => format!("class: (code: 0x{:06x})", c.code),
        mask => format!("class: (code: 0x{:06x}, mask: 0x{mask:06x})", c.code),
    }));
    format!("({})", fields.join(", "))
}

fn set(set: &IdSet) -> String {
    let range = |r: &IdRange| {
        if r.is_one() {
            format!("0x{:04x}", r.first)
        } else {
            format!("(first: 0x{:04x}, last: 0x{:04x})", r.first, r.last)
        }
    };
    match set.ranges() {
        [one] => range(one),
        ranges => format!(
            "[{}]",
            ranges.iter().map(range).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// `name: value` for each field that has another value than the default's.
macro_rules! differing {
    ($value:expr, $default:expr, $($field:ident),+) => {{
        let (value, default) = ($value, $default);
        let mut lines = Vec::new();
        $(if value.$field != default.$field {
            lines.push(format!("{}: {:?}", stringify!($field), value.$field));
        })+
        lines
    }};
}

fn policy(policy: &Policy) -> Vec<String> {
    differing!(
        policy,
        Policy::default(),
        restart,
        backoff_first_ms,
        backoff_limit_ms,
        quarantine_after,
        hang_limit_ms,
        spare
    )
}

fn access(access: &Access) -> Vec<String> {
    let default = Access::default();
    let node = |name: &str, node: &NodeAccess, default: &NodeAccess| {
        let (owner, group) = (Quoted(&node.owner), Quoted(&node.group));
        let text = format!(
            "{name}: (owner: {owner}, group: {group}, mode: 0o{:03o})",
            node.mode
        );
        (node != default).then_some(text)
    };
    let card = node("card", &access.card, &default.card);
    card.into_iter()
        .chain(node("render", &access.render, &default.render))
        .collect()
}

/// A string in RON's quotes.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c.is_control() => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}
