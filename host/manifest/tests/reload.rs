// SPDX-License-Identifier: MIT
//! What a second reading of the directories says has changed.

// clippy.toml exempts test functions, not their helpers.
#![allow(clippy::expect_used)]

mod common;

use std::fs;

use common::{Dirs, device};
use drvhost_manifest::{Change, ChangeKind, Diff, Store};

/// The changes as one line: `+`, `~` or `-` and the file name, for each list.
fn line(diff: &Diff) -> String {
    let list = |changes: &[Change]| {
        let one = |c: &Change| {
            let sign = match c.kind {
                ChangeKind::Added => '+',
                ChangeKind::Changed => '~',
                ChangeKind::Removed => '-',
            };
            let parent = c
                .path
                .parent()
                .and_then(|p| p.file_name())
                .expect("a directory");
            let name = c.path.file_name().expect("a name");
            format!("{sign}{}/{}", parent.display(), name.display())
        };
        changes.iter().map(one).collect::<Vec<_>>().join(" ")
    };
    let lists = [&diff.manifests, &diff.overrides, &diff.libraries].map(|l| list(l));
    assert_eq!(diff.is_empty(), lists.iter().all(String::is_empty));
    lists.join(" | ")
}

#[test]
fn each_kind_of_change() {
    let dirs = Dirs::new();
    let mut store = dirs.store();
    let mut step = |expected: &str| {
        let (new, _, diff) = store.reload();
        assert_eq!(line(&diff), expected);
        assert!(
            new.reload().2.is_empty(),
            "nothing changes by reading twice"
        );
        store = new;
    };
    step(" |  | ");
    dirs.write(0, "a.so", "1");
    step(" |  | +0/a.so");
    dirs.manifest(0, "a", "matches: [(vendor: 0x1234)]");
    step("+0/a.ron |  | ");
    // Touched, or written anew with the same meaning: no change.
    dirs.manifest(0, "a", "  matches: [(vendor: 4660)]");
    step(" |  | ");
    dirs.manifest(0, "a", "matches: [(vendor: 0x1234)], priority: 1");
    step("~0/a.ron |  | ");
    dirs.write(0, "a.so", "22");
    step(" |  | ~0/a.so");
    // Renamed into place, same size: another inode.
    dirs.write(0, "new", "33");
    fs::rename(dirs.path(0, "new"), dirs.path(0, "a.so")).expect("rename");
    step(" |  | ~0/a.so");
    dirs.over(1, "o", "ids: (vendor: 0x1234), disabled: true");
    step(" | +1/o.ron | ");
    dirs.over(1, "o", "ids: (vendor: 0x1234), disabled: false");
    step(" | ~1/o.ron | ");
    // A file of the same name in the later directory takes the earlier one's place.
    dirs.manifest(1, "a", "matches: [(vendor: 0x1234)]");
    step("-0/a.ron +1/a.ron |  | ");
    // A file that becomes bad is gone until it is good again, and the earlier one is back.
    dirs.write(1, "a.ron", "Manifest(");
    step("+0/a.ron -1/a.ron |  | ");
    fs::remove_file(dirs.path(1, "a.ron")).expect("remove");
    step(" |  | ");
    // A library that is now beside the manifest changes what the manifest means.
    dirs.manifest(1, "b", "");
    dirs.write(0, "b.so", "");
    step("+1/b.ron |  | +0/b.so");
    dirs.write(1, "b.so", "");
    step("~1/b.ron |  | +1/b.so");
    fs::remove_dir_all(dirs.path(1, "")).expect("remove");
    step("-1/b.ron | -1/o.ron | -1/b.so");
}

#[test]
fn a_library_elsewhere_is_watched_too() {
    let (dirs, elsewhere) = (Dirs::new(), Dirs::new());
    let library = elsewhere.path(0, "x.so");
    let text = format!("ids: (vendor: 0x1234), driver: \"a\", library: {library:?}");
    dirs.manifest(0, "a", "");
    dirs.over(0, "o", &text);
    let store = dirs.store();
    assert_eq!(store.select(&device()).candidates[0].library, library);
    elsewhere.write(0, "x.so", "1");
    let (_, _, diff) = store.reload();
    assert_eq!(line(&diff), " |  | +0/x.so");
}

#[test]
fn a_store_that_was_replaced_stays_as_it_was() {
    let dirs = Dirs::new();
    dirs.manifest(0, "a", "matches: [(vendor: 0x1234)]");
    let store = dirs.store();
    let candidate = store.select(&device()).candidates.remove(0);
    fs::remove_file(dirs.path(0, "a.ron")).expect("remove");
    let (new, problems, _) = store.reload();
    assert!(problems.is_empty() && new.manifests().is_empty());
    assert_eq!(candidate, store.select(&device()).candidates[0]);
    let none: [&str; 0] = [];
    assert!(
        Store::load(&none)
            .0
            .explain(&device())
            .to_string()
            .contains("no manifests")
    );
}
