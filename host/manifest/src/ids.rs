// SPDX-License-Identifier: MIT
//! A set of 16-bit ids: a number, a range, or a list of both.
//!
//! In RON: `0x1111`, `(first: 0x4680, last: 0x46ff)`, `[0x1111, (first: 0x20, last: 0x2f)]`.
//! A field left out means any id.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// Ids from `first` to `last`, both included; one id where they are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
pub struct IdRange {
    /// The lowest id.
    pub first: u16,
    /// The highest id; never below `first`.
    pub last: u16,
}

impl IdRange {
    /// A range of one id.
    #[must_use]
    pub fn one(id: u16) -> Self {
        Self {
            first: id,
            last: id,
        }
    }

    /// Whether this range is a single id.
    #[must_use]
    pub fn is_one(self) -> bool {
        self.first == self.last
    }

    /// How narrow the range is: 65536 for one id, 1 for all of them.
    fn narrowness(self) -> u32 {
        65536 - u32::from(self.last - self.first)
    }
}

/// Ranges of ids; no range at all means any id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct IdSet(Vec<IdRange>);

impl IdSet {
    /// The set of these ranges; any id where there are none.
    #[must_use]
    pub fn of(ranges: impl IntoIterator<Item = IdRange>) -> Self {
        Self(ranges.into_iter().collect())
    }

    /// The set of one id.
    #[must_use]
    pub fn one(id: u16) -> Self {
        Self(vec![IdRange::one(id)])
    }

    /// Whether every id is in the set because it names none.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.0.is_empty()
    }

    /// The ranges as written.
    #[must_use]
    pub fn ranges(&self) -> &[IdRange] {
        &self.0
    }

    /// How closely the set fits `id`: `None` if it is not in it, 0 if any id is, else from 1 (by
    /// the range of all ids) to 65536 (by a single id). The narrowest range that holds it counts.
    #[must_use]
    pub fn fit(&self, id: u16) -> Option<u32> {
        if self.is_any() {
            return Some(0);
        }
        let holds = |r: &&IdRange| r.first <= id && id <= r.last;
        self.0.iter().filter(holds).map(|r| r.narrowness()).max()
    }
}

impl fmt::Display for IdRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:04x}", self.first)?;
        if self.is_one() {
            Ok(())
        } else {
            write!(f, " to 0x{:04x}", self.last)
        }
    }
}

impl fmt::Display for IdSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_any() {
            return f.write_str("any");
        }
        for (i, range) in self.0.iter().enumerate() {
            write!(f, "{}{range}", if i == 0 { "" } else { " or " })?;
        }
        Ok(())
    }
}

/// As written: a number or a map for one range, a list else.
impl Serialize for IdSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        #[serde(untagged)]
        enum Item {
            One(u16),
            Range(IdRange),
        }
        let item = |r: &IdRange| {
            if r.is_one() {
                Item::One(r.first)
            } else {
                Item::Range(*r)
            }
        };
        match self.0.as_slice() {
            [one] => item(one).serialize(serializer),
            ranges => serializer.collect_seq(ranges.iter().map(item)),
        }
    }
}

impl<'de> Deserialize<'de> for IdSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SetVisitor)
    }
}

impl<'de> Deserialize<'de> for IdRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RangeVisitor)
    }
}

struct RangeVisitor;

impl<'de> Visitor<'de> for RangeVisitor {
    type Value = IdRange;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id from 0 to 0xffff or a range (first: .., last: ..)")
    }

    fn visit_u64<E: de::Error>(self, id: u64) -> Result<IdRange, E> {
        u16::try_from(id)
            .map(IdRange::one)
            .map_err(|_| E::custom(format_args!("0x{id:x} is no id: ids have 16 bits")))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<IdRange, A::Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Ends {
            first: u16,
            last: u16,
        }
        let Ends { first, last } = Ends::deserialize(de::value::MapAccessDeserializer::new(map))?;
        if first > last {
            return Err(de::Error::custom(format_args!(
                "the range 0x{first:04x} to 0x{last:04x} ends before it begins"
            )));
        }
        Ok(IdRange { first, last })
    }
}

struct SetVisitor;

impl<'de> Visitor<'de> for SetVisitor {
    type Value = IdSet;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id, a range (first: .., last: ..) or a list of them")
    }

    fn visit_u64<E: de::Error>(self, id: u64) -> Result<IdSet, E> {
        RangeVisitor.visit_u64(id).map(|r| IdSet(vec![r]))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<IdSet, A::Error> {
        RangeVisitor.visit_map(map).map(|r| IdSet(vec![r]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<IdSet, A::Error> {
        let mut ranges = Vec::new();
        while let Some(range) = seq.next_element()? {
            ranges.push(range);
        }
        if ranges.is_empty() {
            return Err(de::Error::custom(
                "an empty list matches nothing: leave the field out",
            ));
        }
        Ok(IdSet(ranges))
    }
}
