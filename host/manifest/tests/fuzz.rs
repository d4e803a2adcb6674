// SPDX-License-Identifier: MIT
//! Files that nobody meant: garbage, mutations and deep nesting are errors, never a panic.

// clippy.toml exempts test functions, not their helpers.
#![allow(clippy::expect_used)]

mod common;

use std::path::Path;

use common::Dirs;
use drvhost_manifest::{Document, Problem};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

const FULL: &[u8] = include_bytes!("golden/full.ron");

const OVERRIDE: &[u8] = br#"Override(
    address: "0000:00:02.0", ids: (vendor: 0x1234), driver: "a",
    library: "/opt/a.so", params: {"p": "1"}, disabled: false,
)"#;

fn parse(bytes: &[u8]) -> Result<Document, Problem> {
    Document::parse(Path::new("x.ron"), bytes)
}

/// A runner with a seed of its own, so that every run tries the same files.
fn runner(cases: u32) -> TestRunner {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]))
}

#[test]
fn mutations_never_panic() {
    let pieces: &[&[u8]] = &[
        b"(",
        b")",
        b"[",
        b"]",
        b"{",
        b"}",
        b"\"",
        b"r#\"",
        b"/*",
        b"//",
        b",",
        b":",
        b"0x",
        b"1e999",
        b"Some(",
        b"-",
        b"'",
        b"\\u{",
        b"#![enable(implicit_some)]",
        b"\xff",
        b"\0",
        b"inf",
        b"99999999999999999999",
    ];
    let edit = (
        any::<prop::sample::Index>(),
        0..6_u8,
        any::<u8>(),
        0..pieces.len(),
    );
    let edits = (any::<bool>(), prop::collection::vec(edit, 1..8));
    runner(20_000)
        .run(&edits, |(over, edits)| {
            let mut bytes = if over {
                OVERRIDE.to_vec()
            } else {
                FULL.to_vec()
            };
            for (at, what, byte, piece) in edits {
                let at = at.index(bytes.len().max(1));
                match what {
                    _ if bytes.is_empty() => bytes.push(byte),
                    0 => bytes[at] = byte,
                    1 => bytes.truncate(at),
                    2 => drop(bytes.remove(at)),
                    3 => drop(bytes.splice(at..at, pieces[piece].iter().copied())),
                    4 => bytes[at] ^= 1 << (byte % 8),
                    _ => {
                        let end = (at + usize::from(byte)).min(bytes.len());
                        let copy = bytes[at..end].to_vec();
                        drop(bytes.splice(at..at, copy));
                    }
                }
            }
            if let Err(problem) = parse(&bytes) {
                let (line, column) = problem.position().expect("a place");
                let lines = bytes.iter().filter(|&&b| b == b'\n').count() + 1;
                prop_assert!(line >= 1 && line <= lines && column >= 1, "{problem}");
            }
            Ok(())
        })
        .expect("mutations");
    // One changed byte is often a good file still: the mutations reach all of the parser.
    let mut accepted = 0_u32;
    for at in 0..FULL.len() {
        let mut bytes = FULL.to_vec();
        bytes[at] = b'0';
        accepted += u32::from(parse(&bytes).is_ok());
    }
    assert!(accepted > 100, "{accepted}");
}

#[test]
fn garbage_never_panics() {
    let text = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..512),
        "\\PC{0,200}".prop_map(String::into_bytes),
        "(Manifest|Override)\\([a-z:, \\[\\](){}\"0-9x]{0,200}".prop_map(String::into_bytes),
    ];
    runner(3_000)
        .run(&text, |bytes| {
            prop_assert!(parse(&bytes).is_err());
            Ok(())
        })
        .expect("garbage");
}

#[test]
fn every_truncation_is_an_error() {
    for end in 0..FULL.len() - 2 {
        assert!(parse(&FULL[..end]).is_err(), "{end}");
    }
}

#[test]
fn deep_nesting_ends_at_a_limit() {
    // In a thread with a small stack, so that a parser without a limit would surely overflow it.
    let test = || {
        for opening in [
            "(",
            "[",
            "{",
            "Some(",
            "/*",
            "Manifest(",
            "{[",
            "\"a\":(",
            "r#",
            "#![enable(",
        ] {
            for prefix in [
                "",
                "Manifest(driver: \"a\", library: \"a.so\", matches: ",
                "Manifest(driver: \"a\", library: \"a.so\", matches: [(vendor: ",
                "Manifest(driver: \"a\", library: \"a.so\", params: ",
                "Manifest(driver: \"a\", library: \"a.so\", policy: ",
                "Override(address: ",
                "Override(ids: ",
            ] {
                let text = format!("{prefix}{}", opening.repeat(100_000));
                assert!(parse(text.as_bytes()).is_err(), "{prefix}{opening}");
            }
        }
    };
    let thread = std::thread::Builder::new()
        .stack_size(512 << 10)
        .spawn(test);
    thread.expect("thread").join().expect("no panic");
}

#[test]
fn a_bad_file_skips_only_itself() {
    let dirs = Dirs::new();
    dirs.manifest(0, "good", "matches: [(vendor: 0x1234)]");
    dirs.write(0, "bad.ron", "Manifest(\n  driver: 7)");
    dirs.write(0, "huge.ron", vec![b' '; (1 << 20) + 1]);
    dirs.write(0, "bytes.ron", b"\xff\xfe");
    dirs.write(0, ".hidden.ron", "not looked at");
    dirs.write(0, "notes.txt", "not looked at");
    std::fs::create_dir(dirs.path(0, "dir.ron")).expect("directory");
    std::os::unix::fs::symlink("/nonexistent", dirs.path(0, "dangling.ron")).expect("link");
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        dirs.path(0, "pipe.ron"),
        rustix::fs::Mode::RUSR,
    )
    .expect("pipe");
    let _socket = std::os::unix::net::UnixListener::bind(dirs.path(0, "socket.ron"));
    let (store, problems) = drvhost_manifest::Store::load(&dirs.dirs());
    assert_eq!(store.manifests().len(), 1);
    let text: Vec<String> = problems
        .iter()
        .map(|p| {
            p.to_string()
                .replace(&dirs.path(0, "").display().to_string(), "")
        })
        .collect();
    let expected = [
        "bad.ron:2:10: Expected string",
        "bytes.ron:1:1: is not UTF-8 text",
        "dangling.ron: can't be read: No such file or directory (os error 2)",
        "dir.ron: is no regular file",
        "huge.ron: has more than 1048576 bytes: no manifest needs that",
        "pipe.ron: is no regular file",
        "socket.ron: can't be read: No such device or address (os error 6)",
    ];
    assert_eq!(text, expected);
}

#[test]
fn a_directory_that_can_not_be_listed_is_reported() {
    let dirs = Dirs::new();
    dirs.manifest(0, "good", "");
    dirs.write(1, "file", "");
    let (store, problems) = drvhost_manifest::Store::load(&[
        dirs.path(0, ""),
        dirs.path(1, "file"),
        dirs.path(1, "missing"),
    ]);
    assert_eq!(store.manifests().len(), 1);
    assert_eq!(problems.len(), 1, "a missing one is empty: {problems:?}");
    assert_eq!(problems[0].path(), dirs.path(1, "file"));
}
