// SPDX-License-Identifier: MIT
//! Hostile files: cut off anywhere, and changed anywhere, are errors or good files, never a panic.

// clippy.toml exempts test functions, not their helpers.
#![allow(clippy::expect_used)]

mod common;

use common::Lab;
use drvhost_plugin::{Checker, PluginError, Reason};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// A runner with a seed of its own, so that every run tries the same files.
fn runner(cases: u32) -> TestRunner {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[9; 32]))
}

fn checker() -> Result<Checker, PluginError> {
    Checker::system()
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = Lab::new().good_bytes();
    let checker = checker().expect("checker");
    checker.check(&bytes).expect("good");
    let ends = (0..bytes.len())
        .step_by(64)
        .chain([bytes.len() - 1, 1, 2, 3, 4, 63]);
    for end in ends {
        let reason = checker.check(&bytes[..end]).expect_err("a truncated file");
        let expected = if end < 4 {
            matches!(reason, Reason::NotElf)
        } else {
            matches!(reason, Reason::Truncated { size, .. } if size == end as u64)
        };
        assert!(expected, "{end}: {reason}");
    }
}

#[test]
fn every_byte_changed() {
    let bytes = Lab::new().good_bytes();
    let checker = checker().expect("checker");
    let (mut good, mut bad) = (0, 0);
    for at in 0..bytes.len() {
        for new in [0, 0xff, bytes[at] ^ 1, bytes[at] ^ 0x80] {
            let mut changed = bytes.clone();
            changed[at] = new;
            match checker.check(&changed) {
                Ok(_) => good += 1,
                Err(_) => bad += 1,
            }
        }
    }
    // Most of a file is code and padding; the rest matters.
    assert!(good > 1000 && bad > 200, "{good} good, {bad} bad");
}

/// Several changes at once, most of them where the tables are: numbers that are large, negative,
/// or those of other tables.
#[test]
fn mutations_never_panic() {
    let bytes = Lab::new().good_bytes();
    let checker = checker().expect("checker");
    let value = prop_oneof![
        any::<u64>(),
        0..4096_u64,
        (0..64_u32).prop_map(|bit| 1 << bit),
        (0..64_u32).prop_map(|bit| (1_u64 << bit).wrapping_neg()),
    ];
    // The headers, then the tables that linkers put behind them, then the dynamic segment.
    let dynamic = bytes.len() as u64;
    let place = prop_oneof![0..0x40_u64, 0x40..0x400_u64, 0x200..0x800_u64, 0..dynamic];
    let width = prop_oneof![Just(1_usize), Just(2), Just(4), Just(8)];
    let edits = prop::collection::vec((place, width, value), 1..6);
    runner(20_000)
        .run(&edits, |edits| {
            let mut changed = bytes.clone();
            for (place, width, value) in edits {
                let at = usize::try_from(place).expect("small") / width * width;
                let end = (at + width).min(changed.len());
                changed[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
            }
            let _ = checker.check(&changed);
            Ok(())
        })
        .expect("mutations");
}

#[test]
fn every_number_of_the_tables_changed() {
    let bytes = Lab::new().good_bytes();
    let checker = checker().expect("checker");
    // Everything up to the code, and the dynamic segment wherever it is: eight bytes at a time.
    for at in (0x10..bytes.len() - 8).step_by(8) {
        for value in [
            0,
            1,
            8,
            u64::MAX,
            1 << 63,
            bytes.len() as u64,
            0x7fff_ffff,
            !7,
        ] {
            let mut changed = bytes.clone();
            changed[at..at + 8].copy_from_slice(&value.to_le_bytes());
            let _ = checker.check(&changed);
        }
    }
}

#[test]
fn garbage_never_panics() {
    let checker = checker().expect("checker");
    let header = Lab::new().good_bytes()[..64].to_vec();
    runner(3_000)
        .run(&prop::collection::vec(any::<u8>(), 0..2048), |garbage| {
            prop_assert!(checker.check(&garbage).is_err());
            let file = [header.as_slice(), &garbage].concat();
            prop_assert!(checker.check(&file).is_err());
            Ok(())
        })
        .expect("garbage");
}
