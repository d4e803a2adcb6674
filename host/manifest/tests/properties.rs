// SPDX-License-Identifier: MIT
//! What holds for all manifests: writing and reading gives the same, the order is total apart from
//! reported ties, and the index finds what looking at every rule would find.

// clippy.toml exempts test functions, not their helpers.
#![allow(clippy::expect_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use common::Dirs;
use drvhost_manifest::rule::CLASS_MASK;
use drvhost_manifest::{
    Access, ClassMatch, Device, Document, IdRange, IdSet, Kind, Manifest, MatchError, NodeAccess,
    Override, PciIds, Policy, Restart, Rule,
};
use proptest::prelude::*;
use ron::extensions::Extensions;

/// Few different ids, so that rules meet devices, and each other.
fn id() -> impl Strategy<Value = u16> {
    prop_oneof![0_u16..4, Just(0xffff), any::<u16>()]
}

fn set(highest: u16) -> impl Strategy<Value = IdSet> {
    let range = (id(), id()).prop_map(move |(a, b)| {
        let (a, b) = (a & highest, b & highest);
        IdRange {
            first: a.min(b),
            last: a.max(b),
        }
    });
    let one = id().prop_map(move |id| IdRange::one(id & highest));
    prop::collection::vec(prop_oneof![3 => one, 1 => range], 0..3).prop_map(IdSet::of)
}

fn rule() -> impl Strategy<Value = Rule> {
    let mask = prop_oneof![Just(CLASS_MASK), Just(0xff_0000), 1..=CLASS_MASK];
    let code = prop_oneof![Just(0x03_0000), Just(0x03_8000), any::<u32>()];
    let class = (code, mask).prop_map(|(code, mask)| ClassMatch {
        code: code & mask,
        mask,
    });
    let sets = (
        set(0xffff),
        set(0xffff),
        set(0xffff),
        set(0xffff),
        set(0xff),
    );
    (sets, prop::option::of(class))
        .prop_map(
            |((vendor, device, subvendor, subdevice, revision), class)| Rule {
                vendor,
                device,
                subvendor,
                subdevice,
                revision,
                class,
            },
        )
        .prop_filter("a rule that can be meant", |rule| rule.validate().is_ok())
}

fn ids() -> impl Strategy<Value = PciIds> {
    let class = prop_oneof![Just(0x03_0000), Just(0x03_8000), 0..=CLASS_MASK];
    (
        id(),
        id(),
        id(),
        id(),
        class,
        prop_oneof![0_u8..4, any::<u8>()],
    )
        .prop_map(
            |(vendor, device, subvendor, subdevice, class, revision)| PciIds {
                vendor,
                device,
                subvendor,
                subdevice,
                class,
                revision,
            },
        )
}

fn manifest() -> impl Strategy<Value = Manifest> {
    let kind = prop_oneof![Just(Kind::Display), Just(Kind::Input), Just(Kind::Other)];
    let restart = prop_oneof![
        Just(Restart::Immediate),
        Just(Restart::BackOff),
        Just(Restart::Never)
    ];
    let policy =
        (restart, any::<[u32; 4]>(), any::<bool>()).prop_map(|(restart, n, spare)| Policy {
            restart,
            backoff_first_ms: n[0],
            backoff_limit_ms: n[1],
            quarantine_after: n[2],
            hang_limit_ms: n[3],
            spare,
        });
    let node = ("[a-z0-9_]{1,8}", "[a-z0-9_]{1,8}", 0..=0o777_u32)
        .prop_map(|(owner, group, mode)| NodeAccess { owner, group, mode });
    let access = (node.clone(), node).prop_map(|(card, render)| Access { card, render });
    let limits = (policy, prop::option::of(access));
    let names = (
        "[a-z0-9_.-]{1,64}",
        "(/[a-z]{1,4})?/?[a-z\"\\\\ü]{1,8}\\.so",
        ".{0,20}",
    );
    let lists = (
        prop::collection::vec(rule(), 0..4),
        prop::collection::btree_map("[a-z_]{1,6}", "[^\0]{0,9}", 0..4),
        prop::collection::vec("[a-z]{1,4}(/[a-z0-9]{1,5}){0,2}", 0..4),
    );
    (names, kind, any::<i32>(), lists, limits).prop_map(
        |((driver, library, notes), kind, priority, lists, (policy, access))| {
            let (matches, params, firmware) = lists;
            // Half of the made-up paths are neither absolute nor a plain name.
            let library = match library.strip_prefix('/') {
                Some(_) => library,
                None => library.replace('/', ""),
            };
            let access = access.unwrap_or_default();
            Manifest {
                driver,
                library,
                kind,
                notes,
                priority,
                matches,
                params,
                firmware,
                policy,
                access,
            }
        },
    )
}

fn device(ids: PciIds) -> Device {
    Device {
        ids,
        ..common::device()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(manifest in manifest()) {
        let text = manifest.to_ron();
        let parsed = Document::parse(Path::new("x.ron"), text.as_bytes());
        match parsed {
            Ok(Document::Manifest(parsed)) => prop_assert_eq!(*parsed, manifest),
            other => prop_assert!(false, "{:?} from {}", other, text),
        }
    }

    /// The serde form, which programs get as JSON, says the same too.
    #[test]
    fn json_is_read_back(manifest in manifest()) {
        let text = serde_json::to_string(&manifest).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<Manifest>(&text).expect("manifest"), manifest);
    }

    #[test]
    fn a_rule_fits_or_says_why_not(rule in rule(), ids in ids()) {
        match rule.fit(&ids) {
            Ok(specificity) => prop_assert_eq!(rule.specificity(&ids), Some(specificity)),
            Err(why) => {
                prop_assert!(rule.specificity(&ids).is_none());
                prop_assert!(!why.is_empty());
            }
        }
    }

    /// One field more makes a rule that matches still more specific, whichever field it is.
    #[test]
    fn more_fields_are_more_specific(rule in rule(), ids in ids(), field in 0..4) {
        let mut more = rule.clone();
        let (known, value) = match field {
            0 => (&mut more.device, ids.device),
            1 => (&mut more.subvendor, ids.subvendor),
            2 => (&mut more.subdevice, ids.subdevice),
            _ => (&mut more.revision, ids.revision.into()),
        };
        prop_assume!(known.is_any());
        *known = IdSet::one(value);
        if let Some(before) = rule.specificity(&ids) {
            prop_assert!(more.specificity(&ids) > Some(before));
        }
    }

    /// Every manifest that has a matching rule is a candidate or reported as tied, never both and
    /// never twice; candidates go strictly down; the order does not depend on file names.
    #[test]
    fn the_order_is_total_apart_from_ties(
        rules in prop::collection::vec((prop::collection::vec(rule(), 1..3), 0..3_i32), 1..8),
        ids in prop::collection::vec(ids(), 8),
    ) {
        let (dirs, reversed) = (Dirs::new(), Dirs::new());
        for (n, (matches, priority)) in rules.iter().enumerate() {
            let manifest = Manifest {
                driver: format!("d{n}"),
                library: "d.so".to_owned(),
                priority: *priority,
                matches: matches.clone(),
                ..Manifest::default()
            };
            dirs.write(0, &format!("{n}.ron"), manifest.to_ron());
            reversed.write(0, &format!("{}.ron", 9 - n), manifest.to_ron());
        }
        let (store, other) = (dirs.store(), reversed.store());
        prop_assert_eq!(store.manifests().len(), rules.len());
        for ids in ids {
            let selection = store.select(&device(ids));
            let rank = |n: usize| {
                let (matches, priority) = &rules[n];
                matches.iter().filter_map(|r| r.specificity(&ids)).max().map(|s| (s, *priority))
            };
            let number = |driver: &str| driver[1..].parse::<usize>().expect("number");
            let chosen: Vec<usize> =
                selection.candidates.iter().map(|c| number(c.driver())).collect();
            for pair in chosen.windows(2) {
                prop_assert!(rank(pair[0]) > rank(pair[1]));
            }
            let mut seen: BTreeMap<usize, u32> = BTreeMap::new();
            chosen.iter().for_each(|&n| *seen.entry(n).or_default() += 1);
            for error in &selection.errors {
                let MatchError::Tie(files) = error else { panic!("{error}") };
                let tied: Vec<usize> = files
                    .iter()
                    .map(|f| f.file_stem().and_then(|s| s.to_str()).expect("name"))
                    .map(|name| name.parse().expect("number"))
                    .collect();
                prop_assert!(tied.len() >= 2);
                prop_assert!(tied.iter().all(|&n| rank(n) == rank(tied[0])));
                tied.iter().for_each(|&n| *seen.entry(n).or_default() += 1);
            }
            let matching: BTreeMap<usize, u32> =
                (0..rules.len()).filter(|&n| rank(n).is_some()).map(|n| (n, 1)).collect();
            prop_assert_eq!(seen, matching, "by looking at every rule");
            let names = |s: &drvhost_manifest::Selection| {
                s.candidates.iter().map(|c| c.driver().to_owned()).collect::<Vec<_>>()
            };
            prop_assert_eq!(names(&selection), names(&other.select(&device(ids))));
        }
    }

    #[test]
    fn overrides_are_read_back(
        ids in prop::option::of(rule()),
        params in prop::collection::btree_map("[a-z_]{1,6}", "[^\0]{0,9}", 1..4),
        disabled in any::<Option<bool>>(),
    ) {
        let address = ids.is_none().then(|| common::device().address);
        let (driver, library) = (Some("a".to_owned()), None);
        let over = Override { address, ids, driver, library, params, disabled };
        let text = ron::Options::default()
            .with_default_extension(Extensions::IMPLICIT_SOME)
            .with_default_extension(Extensions::UNWRAP_VARIANT_NEWTYPES)
            .to_string(&Document::Override(Box::new(over.clone())))
            .expect("RON");
        match Document::parse(Path::new("x.ron"), text.as_bytes()) {
            Ok(Document::Override(parsed)) => prop_assert_eq!(*parsed, over),
            other => prop_assert!(false, "{:?} from {}", other, text),
        }
    }
}

/// A thousand manifests and devices of all kinds: each device finds exactly its own.
#[test]
fn a_thousand_manifests_and_devices() {
    let dirs = Dirs::new();
    for n in 0..1000_u16 {
        let vendor = 0x1000 + n % 10;
        dirs.manifest(
            0,
            &format!("d{n}"),
            &format!("matches: [(vendor: {vendor}, device: {n})]"),
        );
    }
    let store = dirs.store();
    let mut drivers = BTreeSet::new();
    for n in 0..1000_u16 {
        let ids = PciIds {
            vendor: 0x1000 + n % 10,
            device: n,
            ..PciIds::default()
        };
        let selection = store.select(&device(ids));
        assert_eq!(selection.candidates.len(), 1);
        drivers.insert(selection.candidates[0].driver().to_owned());
    }
    assert_eq!(drivers.len(), 1000);
}
