// SPDX-License-Identifier: MIT
//! What people read, as it stands in `golden/`: the messages about bad files with line and column,
//! the explanation of a selection, and a generated manifest.

// clippy.toml exempts test functions, not their helpers.
#![allow(clippy::expect_used)]

use std::fs;
use std::path::Path;

use drvhost_manifest::{Device, Document, Manifest, PciIds, Store, check};

/// Files, each followed by `=> ` and what is said about it.
const MESSAGES: &str = include_str!("golden/messages.txt");

#[test]
fn messages_name_the_place_and_the_reason() {
    let (mut text, mut cases) = (String::new(), 0);
    for line in MESSAGES.lines() {
        let Some(expected) = line.strip_prefix("=> ") else {
            text = if text.is_empty() {
                line.to_owned()
            } else {
                text + "\n" + line
            };
            continue;
        };
        match Document::parse(Path::new("x.ron"), text.as_bytes()) {
            Ok(document) => panic!("accepted {text}: {document:?}"),
            Err(problem) => assert_eq!(problem.to_string(), format!("x.ron:{expected}"), "{text}"),
        }
        text.clear();
        cases += 1;
    }
    assert!(cases >= 29, "only {cases} cases were read");
}

#[test]
fn what_is_not_text_has_a_place_too() {
    let problem = Document::parse(Path::new("x.ron"), b"Manifest(\n  \xc3\xbc\xff").err();
    let problem = problem.expect("bytes that are not UTF-8");
    assert_eq!(problem.to_string(), "x.ron:2:4: is not UTF-8 text");
    assert_eq!(problem.position(), Some((2, 4)));
}

/// A manifest with every field that can be written.
const FULL: &str = include_str!("golden/full.ron");

fn manifest(text: &str) -> Manifest {
    match Document::parse(Path::new("full.ron"), text.as_bytes()) {
        Ok(Document::Manifest(manifest)) => *manifest,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_manifest_is_written_as_people_would() {
    assert_eq!(manifest(FULL).to_ron(), FULL);
    let small = "Manifest(\n    driver: \"a\",\n    library: \"a.so\",\n)\n";
    assert_eq!(manifest(small).to_ron(), small);
}

#[test]
fn the_manifests_of_this_repository_are_good() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests");
    let (store, problems) = Store::load(&[&dir]);
    assert!(problems.is_empty(), "{problems:?}");
    assert!(!store.manifests().is_empty());
    for manifest in store.manifests() {
        let checked = check(&manifest.path).expect("checked");
        // The library is not in the source tree: nothing else may be odd.
        assert_eq!(checked.warnings.len(), 1, "{:?}", checked.warnings);
    }
}

#[test]
fn an_explanation_goes_rule_by_rule() {
    let root = tempfile::tempdir().expect("directory");
    let (drivers, overrides) = (root.path().join("drivers"), root.path().join("drivers.d"));
    fs::create_dir_all(&drivers).expect("directory");
    fs::create_dir_all(&overrides).expect("directory");
    let files = [
        (
            "a.ron",
            r#"Manifest(driver: "a", library: "a.so", matches: [(vendor: 0x1234, device: 0x1111)])"#,
        ),
        (
            "b.ron",
            r#"Manifest(driver: "b", library: "b.so", priority: 2, matches: [
            (vendor: 0x8086),
            (class: (code: 0x030000, mask: 0xff0000)),
        ])"#,
        ),
        (
            "c.ron",
            r#"Manifest(driver: "c", library: "b.so", matches: [(vendor: 0x1234, revision: (first: 1, last: 3))])"#,
        ),
        (
            "d.ron",
            r#"Manifest(driver: "d", library: "b.so", matches: [(vendor: 0x1234, revision: (first: 0, last: 2))])"#,
        ),
        (
            "e.ron",
            r#"Manifest(driver: "e", library: "b.so", matches: [
            (vendor: 0x1234, device: [0x1110, (first: 0x2000, last: 0x2fff)], revision: 9),
        ])"#,
        ),
        ("f.ron", r#"Manifest(driver: "f", library: "b.so")"#),
        ("b.so", ""),
    ];
    for (name, text) in files {
        fs::write(drivers.join(name), text).expect("file");
    }
    let text = r#"Override(address: "0000:00:02.0", params: {"modeset": "1"})"#;
    fs::write(overrides.join("slot.ron"), text).expect("file");
    let text = r#"Override(address: "0000:00:03.0", ids: (vendor: 0x8086), disabled: true)"#;
    fs::write(overrides.join("off.ron"), text).expect("file");

    let (store, problems) = Store::load(&[&drivers, &overrides]);
    assert!(problems.is_empty(), "{problems:?}");
    let ids = PciIds {
        vendor: 0x1234,
        device: 0x1111,
        class: 0x03_8000,
        revision: 2,
        ..PciIds::default()
    };
    let device = Device {
        address: "0000:00:02.0".parse().expect("address"),
        ids,
    };
    let explanation = store.explain(&device);
    let place = format!("{}/", root.path().display());
    let text = explanation.to_string().replace(&place, "");
    assert_eq!(text, include_str!("golden/explanation.txt"), "\n{text}");
    // For programs: the same as JSON.
    let json = serde_json::to_value(&explanation).expect("JSON");
    assert_eq!(json["manifests"][0]["driver"], "a");
    assert_eq!(json["manifests"][0]["verdict"]["Candidate"], 1);
    assert_eq!(json["device"]["address"], "0000:00:02.0");
}
