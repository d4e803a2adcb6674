// SPDX-License-Identifier: MIT
//! Numbers as Linux's idr gives them: the lowest free one; or, on replay, the one that is wanted.

use drvhost_abi::Errno;
use std::collections::BTreeMap;

/// The lowest number from `first` on that `taken` does not hold. `taken` is ascending.
pub fn lowest_free(first: u32, taken: impl Iterator<Item = u32>) -> Option<u32> {
    let mut candidate = first;
    for id in taken.skip_while(|id| *id < first) {
        if id != candidate {
            break;
        }
        candidate = candidate.checked_add(1)?;
    }
    Some(candidate)
}

/// Picks `want` if it is free (`EEXIST` if not), else the lowest free number (`ENOSPC` if none).
pub fn pick<T>(map: &BTreeMap<u32, T>, first: u32, want: Option<u32>) -> Result<u32, Errno> {
    match want {
        Some(id) if map.contains_key(&id) => Err(Errno::EEXIST),
        Some(id) => Ok(id),
        None => lowest_free(first, map.keys().copied()).ok_or(Errno::ENOSPC),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_lowest_free_or_the_wanted_one() {
        let mut map: BTreeMap<u32, ()> = [1, 2, 4].map(|id| (id, ())).into();
        for (want, expected) in [
            (None, Ok(3)),
            (Some(9), Ok(9)),
            (Some(4), Err(Errno::EEXIST)),
        ] {
            assert_eq!(pick(&map, 1, want), expected);
        }
        map.insert(3, ());
        assert_eq!(pick(&map, 1, None), Ok(5));
        assert_eq!(pick(&map, 0x10000, None), Ok(0x10000));
        assert_eq!(lowest_free(u32::MAX, [u32::MAX].into_iter()), None);
    }
}
