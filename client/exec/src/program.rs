// SPDX-License-Identifier: MIT
//! Which programs can be run with a preload library.

use crate::exec::ExecError;
use rustix::fs::{Access, AtFlags, CWD, accessat};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// How deep scripts may be each other's interpreters; the kernel's limit is near.
const MAX_SCRIPTS: u32 = 5;
/// The longest first line of a script, in bytes (`BINPRM_BUF_SIZE`).
const FIRST_LINE: usize = 256;

const PT_INTERP: u32 = 3;
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;

/// Where a program is, as `execvp` would look.
pub fn find(program: &OsStr) -> Result<PathBuf, ExecError> {
    let not_found = || ExecError::NotFound(program.into());
    if program.as_bytes().contains(&b'/') {
        let path = PathBuf::from(program);
        return if path.exists() {
            Ok(path)
        } else {
            Err(not_found())
        };
    }
    let list = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    std::env::split_paths(&list)
        .map(|dir| dir.join(program))
        .find(|path| path.is_file() && executable(path).is_ok())
        .ok_or_else(not_found)
}

/// Whether the loader will take the preload library into this program.
pub fn check(path: &Path) -> Result<(), ExecError> {
    let mut path = path.to_owned();
    for _ in 0..MAX_SCRIPTS {
        match interpreter(&path)? {
            None => return Ok(()),
            Some(next) => path = next,
        }
    }
    Err(ExecError::UnknownFormat(path))
}

fn executable(path: &Path) -> io::Result<()> {
    Ok(accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS)?)
}

/// Checks one file; a script's interpreter is to be checked next.
fn interpreter(path: &Path) -> Result<Option<PathBuf>, ExecError> {
    let unusable = |error| ExecError::Unusable(path.into(), error);
    let file = File::open(path).map_err(unusable)?;
    let metadata = file.metadata().map_err(unusable)?;
    if !metadata.is_file() {
        return Err(unusable(io::ErrorKind::IsADirectory.into()));
    }
    executable(path).map_err(unusable)?;
    let mut start = [0; FIRST_LINE];
    let len = read_start(&file, &mut start).map_err(unusable)?;
    let start = start.get(..len).unwrap_or(&[]);
    if let Some(line) = start.strip_prefix(b"#!") {
        // A script's own bits count for nothing.
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or(&[]);
        let name = line
            .split(|byte| b" \t".contains(byte))
            .find(|word| !word.is_empty())
            .ok_or_else(|| ExecError::UnknownFormat(path.into()))?;
        return Ok(Some(PathBuf::from(OsStr::from_bytes(name))));
    }
    if gains_privileges(&file, &metadata) {
        return Err(ExecError::Privileged(path.into()));
    }
    match dynamic(&file, start) {
        Elf::Dynamic => Ok(None),
        Elf::Static => Err(ExecError::Static(path.into())),
        Elf::OtherMachine => Err(ExecError::OtherMachine(path.into())),
        Elf::No => Err(ExecError::UnknownFormat(path.into())),
    }
}

fn read_start(file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, done as u64)? {
            0 => break,
            len => done += len,
        }
    }
    Ok(done)
}

/// Whether the kernel would start it "secure": then the loader looks at no `LD_PRELOAD`.
fn gains_privileges(file: &File, metadata: &std::fs::Metadata) -> bool {
    let (uid, gid) = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    let other_user = metadata.mode() & libc::S_ISUID != 0 && metadata.uid() != uid;
    let group_bits = libc::S_ISGID | libc::S_IXGRP;
    let other_group = metadata.mode() & group_bits == group_bits && metadata.gid() != gid;
    let capable = uid != 0
        && rustix::fs::fgetxattr(file, c"security.capability", &mut [0u8; 64][..])
            .is_ok_and(|len| len > 0);
    other_user || other_group || capable
}

#[derive(Debug, PartialEq)]
enum Elf {
    No,
    OtherMachine,
    Static,
    Dynamic,
}

/// What an ELF file's header and program headers say.
fn dynamic(file: &File, start: &[u8]) -> Elf {
    let half = |at: usize| {
        let bytes = start
            .get(at..at + 2)
            .and_then(|bytes| bytes.try_into().ok());
        bytes.map(u16::from_le_bytes)
    };
    let long = start.get(32..40).and_then(|bytes| bytes.try_into().ok());
    let (Some(kind), Some(machine), Some(size), Some(count), Some(at)) = (
        half(16),
        half(18),
        half(54),
        half(56),
        long.map(u64::from_le_bytes),
    ) else {
        return Elf::No;
    };
    if !start.starts_with(b"\x7fELF") {
        return Elf::No;
    }
    let own = match std::env::consts::ARCH {
        "x86_64" => 62,
        "aarch64" => 183,
        _ => return Elf::OtherMachine,
    };
    // 64 bits, little endian.
    if start.get(4..6) != Some(&[2, 1]) || machine != own {
        return Elf::OtherMachine;
    }
    if kind != ET_EXEC && kind != ET_DYN {
        return Elf::No;
    }
    for index in 0..count {
        let Some(at) = at.checked_add(u64::from(index) * u64::from(size)) else {
            return Elf::No;
        };
        let mut kind = [0; 4];
        match file.read_exact_at(&mut kind, at) {
            Ok(()) if u32::from_le_bytes(kind) == PT_INTERP => return Elf::Dynamic,
            Ok(()) => {}
            Err(_) => return Elf::No,
        }
    }
    Elf::Static
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn file(dir: &Path, content: &[u8], mode: u32) -> PathBuf {
        let path = dir.join("program");
        let _ = fs::remove_file(&path);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn programs_and_scripts_are_accepted() {
        check(&find("sh".as_ref()).unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        for script in ["#!/bin/sh\n", "#! /bin/sh -e\n", "#!/usr/bin/env sh"] {
            check(&file(dir.path(), script.as_bytes(), 0o755)).unwrap();
        }
    }

    #[test]
    fn others_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let code = |content: &[u8], mode| check(&file(dir.path(), content, mode)).unwrap_err();
        assert!(matches!(code(b"text", 0o755), ExecError::UnknownFormat(_)));
        assert!(matches!(code(b"", 0o755), ExecError::UnknownFormat(_)));
        assert!(matches!(code(b"#!", 0o755), ExecError::UnknownFormat(_)));
        assert!(matches!(code(b"#!/bin/sh", 0o644), ExecError::Unusable(..)));
        assert!(matches!(
            code(b"#!/no/such", 0o755),
            ExecError::Unusable(..)
        ));
        assert!(matches!(
            check(dir.path()).unwrap_err(),
            ExecError::Unusable(..)
        ));
        let missing = find("no-such-program".as_ref()).unwrap_err();
        assert!(matches!(missing, ExecError::NotFound(_)));
    }

    #[test]
    fn elf_kinds() {
        let dir = tempfile::tempdir().unwrap();
        let mut real = fs::read("/proc/self/exe").unwrap();
        let kind = |content: &[u8]| {
            let path = file(dir.path(), content, 0o755);
            dynamic(
                &File::open(path).unwrap(),
                &content[..content.len().min(FIRST_LINE)],
            )
        };
        assert_eq!(kind(&real), Elf::Dynamic);
        assert_eq!(kind(&real[..64]), Elf::No);
        for len in 0..58 {
            assert_eq!(kind(&real[..len]), Elf::No, "{len}");
        }
        real[18] ^= 1;
        assert_eq!(kind(&real), Elf::OtherMachine);
        real[18] ^= 1;
        real[4] = 1;
        assert_eq!(kind(&real), Elf::OtherMachine);
        real[4] = 2;
        real[56] = 0;
        assert_eq!(kind(&real), Elf::Static);
        // Program headers beyond any file.
        real[56] = 9;
        real[32..40].fill(0xff);
        assert_eq!(kind(&real), Elf::No);
    }

    #[test]
    fn privileged_programs_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let own = fs::read("/bin/true").unwrap();
        // One's own rights are none gained.
        check(&file(dir.path(), &own, 0o4755)).unwrap();
        if rustix::process::geteuid().is_root() {
            let path = file(dir.path(), &own, 0o755);
            std::os::unix::fs::chown(&path, Some(1), Some(1)).unwrap();
            check(&path).unwrap();
            for mode in [0o4755, 0o2755] {
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
                assert!(matches!(
                    check(&path).unwrap_err(),
                    ExecError::Privileged(_)
                ));
            }
        }
    }
}
