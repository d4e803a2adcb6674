// SPDX-License-Identifier: MIT
//! Which driver is chosen: tables of rules, files and overrides.

// clippy.toml exempts test functions, not their helpers.
#![allow(clippy::expect_used)]

mod common;

use common::{Dirs, device};
use drvhost_manifest::MatchError;

/// Rules of drivers a, b, ..., and the order in which they are tried for 1234:1111, subsystem
/// 1af4:1100, class 030000, revision 2. What is tied stands in brackets, without an order.
#[test]
fn the_most_specific_rule_wins() {
    let cases: &[(&[&str], &str)] = &[
        // One field more is more specific, in every field.
        (&["vendor: 0x1234", "vendor: 0x1234, device: 0x1111"], "b a"),
        (&["class: (code: 0x030000)", "vendor: 0x1234"], "b a"),
        (
            &[
                "vendor: 0x1234",
                "vendor: 0x1234, class: (code: 0x030000, mask: 0xff0000)",
            ],
            "b a",
        ),
        (&["vendor: 0x1234", "vendor: 0x1234, revision: 2"], "b a"),
        (
            &["vendor: 0x1234, subvendor: 0x1af4", "vendor: 0x1234"],
            "a b",
        ),
        (
            &[
                "vendor: 0x1234, device: 0x1111",
                "vendor: 0x1234, device: 0x1111, subvendor: 0x1af4",
                "vendor: 0x1234, device: 0x1111, subvendor: 0x1af4, subdevice: 0x1100",
                "vendor: 0x1234, device: 0x1111, class: (code: 0x030000)",
                "vendor: 0x1234, device: 0x1111, revision: 2",
            ],
            "c b e d a",
        ),
        // The device counts more than everything else together.
        (
            &[
                "vendor: 0x1234, subvendor: 0x1af4, subdevice: 0x1100, revision: 2, class: (code: 0x030000)",
                "vendor: 0x1234, device: 0x1111",
            ],
            "b a",
        ),
        // A number is narrower than a range, and a small range than a large one.
        (
            &[
                "vendor: 0x1234, device: (first: 0x1000, last: 0x1fff)",
                "vendor: 0x1234, device: (first: 0x1110, last: 0x1112)",
                "vendor: 0x1234, device: 0x1111",
                "vendor: 0x1234, device: (first: 0, last: 0xffff)",
                "vendor: 0x1234",
            ],
            "c b a d e",
        ),
        // An id in a list is as good as alone; in a list the narrowest range counts.
        (
            &[
                "vendor: 0x1234, device: [1, 0x1111]",
                "vendor: 0x1234, device: 0x1111",
            ],
            "[a b]",
        ),
        (
            &[
                "vendor: 0x1234, device: [(first: 0, last: 0xffff), (first: 0x1111, last: 0x1112)]",
                "vendor: 0x1234, device: (first: 0x1111, last: 0x1113)",
            ],
            "a b",
        ),
        (
            &[
                "vendor: 0x1234, device: (first: 0x1111, last: 0x1111)",
                "vendor: 0x1234",
            ],
            "a b",
        ),
        // More bits of the class.
        (
            &[
                "class: (code: 0x030000, mask: 0xff0000)",
                "class: (code: 0x030000, mask: 0xffff00)",
            ],
            "b a",
        ),
        // What does not match is not tried.
        (
            &[
                "vendor: 0x1235",
                "vendor: 0x1234, device: [0x1110, 0x1112]",
                "vendor: 0x1234, device: (first: 0x1112, last: 0x2000)",
                "vendor: 0x1234, subvendor: 1",
                "vendor: 0x1234, subvendor: 0x1af4, subdevice: 1",
                "vendor: 0x1234, revision: [1, 3]",
                "class: (code: 0x030100)",
                "class: (code: 0x020000, mask: 0xff0000)",
            ],
            "",
        ),
        // Ties are not used, whatever comes behind them is.
        (
            &[
                "vendor: 0x1234",
                "vendor: 0x1234",
                "class: (code: 0x030000)",
            ],
            "[a b] c",
        ),
        (
            &[
                "vendor: 0x1234, device: 0x1111",
                "vendor: 0x1234",
                "vendor: 0x1234",
            ],
            "a [b c]",
        ),
    ];
    for (rules, expected) in cases {
        let dirs = Dirs::new();
        for (name, rule) in ('a'..).zip(*rules) {
            dirs.manifest(0, &name.to_string(), &format!("matches: [({rule})]"));
        }
        assert_eq!(dirs.order(), *expected, "{rules:#?}");
    }
}

#[test]
fn priority_decides_between_equals_only() {
    let cases = [
        ("priority: 1", "priority: 0", "a b"),
        ("priority: -1", "", "b a"),
        ("priority: 7", "priority: 7", "[a b]"),
    ];
    for (a, b, expected) in cases {
        let dirs = Dirs::new();
        dirs.manifest(0, "a", &format!("matches: [(vendor: 0x1234)], {a}"));
        dirs.manifest(0, "b", &format!("matches: [(vendor: 0x1234)], {b}"));
        assert_eq!(dirs.order(), expected, "{a}, {b}");
    }
    let dirs = Dirs::new();
    dirs.manifest(0, "a", "matches: [(vendor: 0x1234)], priority: 1000");
    dirs.manifest(
        0,
        "b",
        "matches: [(vendor: 0x1234, device: 0x1111)], priority: -1000",
    );
    assert_eq!(dirs.order(), "b a");
}

#[test]
fn the_best_rule_of_a_manifest_counts() {
    let dirs = Dirs::new();
    dirs.manifest(
        0,
        "a",
        "matches: [(vendor: 0x1234), (vendor: 0x1234, device: 0x1111)]",
    );
    dirs.manifest(
        0,
        "b",
        "matches: [(vendor: 0x1234, device: (first: 0x1110, last: 0x1112))]",
    );
    assert_eq!(dirs.order(), "a b");
    let (rule, _) = dirs.select().candidates[0].rule.expect("a rule");
    assert_eq!(rule, 1);
}

#[test]
fn a_tie_names_both_files() {
    let dirs = Dirs::new();
    dirs.manifest(0, "a", "matches: [(vendor: 0x1234)]");
    dirs.manifest(1, "b", "matches: [(vendor: 0x1234)]");
    let selection = dirs.select();
    let error = selection.errors[0].to_string();
    assert!(
        matches!(selection.errors[..], [MatchError::Tie(_)]),
        "{error}"
    );
    assert!(
        error.contains("0/a.ron") && error.contains("1/b.ron"),
        "{error}"
    );
}

#[test]
fn later_directories_win_file_by_file() {
    let dirs = Dirs::new();
    dirs.manifest(0, "a", "matches: [(vendor: 0x1234)]");
    dirs.manifest(0, "b", "matches: [(class: (code: 0x030000))]");
    // The file a.ron of directory 1 replaces that of directory 0 and drives something else.
    dirs.manifest(1, "a", "matches: [(vendor: 0x5678)]");
    assert_eq!(dirs.order(), "b");
    // One that is bad replaces nothing.
    dirs.write(1, "a.ron", "Manifest(");
    assert_eq!(dirs.order(), "a b");
    // Nor does an override of that name replace a manifest.
    dirs.over(1, "a", r#"address: "0000:00:02.0", params: {"x": "1"}"#);
    assert_eq!(dirs.order(), "a b");
    assert_eq!(dirs.select().candidates[0].params["x"], "1");
}

#[test]
fn a_library_is_found_beside_the_manifest_or_in_another_directory() {
    let dirs = Dirs::new();
    dirs.manifest(1, "a", "matches: [(vendor: 0x1234)]");
    let library = |dirs: &Dirs| dirs.select().candidates[0].library.clone();
    assert_eq!(library(&dirs), dirs.path(1, "a.so"), "where it should be");
    dirs.write(0, "a.so", "");
    assert_eq!(
        library(&dirs),
        dirs.path(0, "a.so"),
        "in the other directory"
    );
    dirs.write(1, "a.so", "");
    assert_eq!(library(&dirs), dirs.path(1, "a.so"), "beside");
    dirs.over(1, "z", r#"ids: (vendor: 0x1234), library: "/opt/a.so""#);
    assert_eq!(library(&dirs).to_str(), Some("/opt/a.so"));
}

/// Overrides by file name, and what comes of them: the drivers in order, the first one's library
/// and parameters.
#[test]
fn overrides() {
    let here = r#"address: "0000:00:02.0""#;
    let there = r#"address: "0000:00:03.0""#;
    let model = "ids: (vendor: 0x1234, device: 0x1111)";
    let cases: Vec<(Vec<String>, &str, &str, &str)> = vec![
        (vec![], "a b", "a.so", "p=a q=a"),
        (
            vec![format!("{there}, disabled: true")],
            "a b",
            "a.so",
            "p=a q=a",
        ),
        (
            vec![format!("{here}, ids: (vendor: 1), disabled: true")],
            "a b",
            "a.so",
            "p=a q=a",
        ),
        (vec![format!("{here}, disabled: true")], "disabled", "", ""),
        (vec![format!("{model}, disabled: true")], "disabled", "", ""),
        // Another driver: nothing else is tried, whether its rules match or not.
        (vec![format!(r#"{here}, driver: "b""#)], "b", "b.so", ""),
        (
            vec![format!(r#"{here}, driver: "other""#)],
            "other",
            "other.so",
            "",
        ),
        (vec![format!(r#"{here}, driver: "nobody""#)], "", "", ""),
        // Parameters one by one, the library for the first candidate.
        (
            vec![format!(r#"{model}, params: {{"q": "1"}}"#)],
            "a b",
            "a.so",
            "p=a q=1",
        ),
        (
            vec![format!(r#"{model}, library: "new.so""#)],
            "a b",
            "new.so",
            "p=a q=a",
        ),
        // The later file name wins.
        (
            vec![
                format!(r#"{model}, params: {{"p": "1", "q": "1"}}"#),
                format!(r#"{model}, params: {{"q": "2"}}"#),
            ],
            "a b",
            "a.so",
            "p=1 q=2",
        ),
        // The address wins over ids, whatever the names.
        (
            vec![
                format!(r#"{here}, params: {{"p": "1", "q": "1"}}"#),
                format!(r#"{model}, params: {{"q": "2"}}"#),
            ],
            "a b",
            "a.so",
            "p=1 q=1",
        ),
        (
            vec![
                format!("{here}, disabled: false"),
                format!("{model}, disabled: true"),
            ],
            "a b",
            "a.so",
            "p=a q=a",
        ),
        // A library and parameters that were meant for another driver don't go along.
        (
            vec![
                format!(r#"{model}, driver: "a", library: "x.so", params: {{"p": "1"}}"#),
                format!(r#"{here}, driver: "b""#),
            ],
            "b",
            "b.so",
            "",
        ),
        (
            vec![
                format!(r#"{model}, driver: "a", library: "x.so", params: {{"p": "1"}}"#),
                format!(r#"{here}, driver: "a""#),
            ],
            "a",
            "x.so",
            "p=1 q=a",
        ),
    ];
    for (overrides, order, library, params) in cases {
        let dirs = Dirs::new();
        let p = r#"params: {"p": "a", "q": "a"}"#;
        dirs.manifest(
            0,
            "a",
            &format!("matches: [(vendor: 0x1234, device: 0x1111)], {p}"),
        );
        dirs.manifest(0, "b", "matches: [(vendor: 0x1234)]");
        dirs.manifest(0, "other", "matches: [(vendor: 0x5678)]");
        for (name, text) in ('a'..).zip(&overrides) {
            dirs.over(1, &name.to_string(), text);
        }
        assert_eq!(dirs.order(), order, "{overrides:#?}");
        if let Some(first) = dirs.select().candidates.first() {
            let name = first.library.file_name().expect("a file name");
            assert_eq!(name, library, "{overrides:#?}");
            let all: Vec<_> = first
                .params
                .iter()
                .map(|(k, v)| format!("{k}={v}"))
                .collect();
            assert_eq!(all.join(" "), params, "{overrides:#?}");
        }
    }
}

#[test]
fn later_directories_override_earlier_ones_whatever_the_names() {
    let dirs = Dirs::new();
    dirs.manifest(0, "a", "matches: [(vendor: 0x1234)]");
    dirs.over(0, "z", r#"ids: (vendor: 0x1234), params: {"p": "0"}"#);
    dirs.over(1, "b", r#"ids: (vendor: 0x1234), params: {"p": "1"}"#);
    assert_eq!(dirs.select().candidates[0].params["p"], "1");
}

#[test]
fn a_driver_that_is_named_must_be_there_once() {
    let dirs = Dirs::new();
    dirs.over(1, "z", r#"address: "0000:00:02.0", driver: "a""#);
    let only = |dirs: &Dirs| match &dirs.select().errors[..] {
        [error] => error.to_string(),
        other => panic!("{other:?}"),
    };
    let error = only(&dirs);
    assert!(
        error.ends_with("1/z.ron: driver `a` has no manifest"),
        "{error}"
    );
    for file in ["x.ron", "y.ron"] {
        dirs.write(0, file, r#"Manifest(driver: "a", library: "a.so")"#);
    }
    let error = only(&dirs);
    assert!(
        error.contains("0/x.ron") && error.contains("0/y.ron"),
        "{error}"
    );
    assert!(dirs.select().candidates.is_empty());
}

/// The explanation and the selection agree, for each device on a small grid.
#[test]
fn explained_as_selected() {
    use drvhost_manifest::explain::Verdict;
    let dirs = Dirs::new();
    dirs.manifest(
        0,
        "a",
        "matches: [(vendor: 0x1234, device: [0x1111, 0x1112])]",
    );
    dirs.manifest(
        0,
        "b",
        "matches: [(vendor: 0x1234, device: (first: 0x1112, last: 0x1113))]",
    );
    dirs.manifest(
        0,
        "c",
        "matches: [(class: (code: 0x030000, mask: 0xff0000)), (vendor: 0x1235)]",
    );
    dirs.manifest(
        0,
        "d",
        "matches: [(class: (code: 0x030000, mask: 0xff0000)), (vendor: 0x1234)]",
    );
    let store = dirs.store();
    for vendor in 0x1233..=0x1236 {
        for id in 0x1110..=0x1114 {
            let mut device = device();
            (device.ids.vendor, device.ids.device) = (vendor, id);
            let selection = store.select(&device);
            let explanation = store.explain(&device);
            let ranked = explanation
                .manifests
                .iter()
                .filter_map(|m| match m.verdict {
                    Verdict::Candidate(_) => Some(m.driver.as_str()),
                    _ => None,
                });
            let selected: Vec<_> = selection.candidates.iter().map(|c| c.driver()).collect();
            assert_eq!(ranked.collect::<Vec<_>>(), selected, "{device}");
            assert_eq!(explanation.errors.len(), selection.errors.len(), "{device}");
        }
    }
}
