// SPDX-License-Identifier: MIT
//! What drivers ask for by name: files of one directory, as sealed copies.

use drvhost_abi::Errno;
use drvhost_channel::memory;
use drvhost_worker::Firmware;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Files are at most this large, in bytes.
const MAX: u64 = 256 << 20;

/// The files of a directory. A missing one is `ENOENT`, logged with the path.
pub fn source(dir: &Path) -> Firmware {
    let dir = dir.to_owned();
    Arc::new(move |name| {
        let path = inside(&dir, name).ok_or(Errno::EINVAL)?;
        let bytes = read(&path).inspect_err(|error| {
            log::warn!("firmware {name}: tried {}: {error}", path.display());
        });
        let bytes = bytes.map_err(|_| Errno::ENOENT)?;
        let size = bytes.len() as u64;
        let fd = memory::sealed("drvhost-firmware", size.max(1)).map_err(|_| Errno::ENOMEM)?;
        rustix::io::pwrite(&fd, &bytes, 0).map_err(|_| Errno::ENOMEM)?;
        Ok((fd, size))
    })
}

/// The path of a name, if it stays inside.
fn inside(dir: &Path, name: &str) -> Option<PathBuf> {
    let path = Path::new(name);
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    (plain && !name.is_empty()).then(|| dir.join(path))
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let meta = std::fs::metadata(path)?;
    if !meta.is_file() || meta.len() > MAX {
        return Err(std::io::Error::other("no file of a sensible size"));
    }
    std::fs::read(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside() {
        let dir = Path::new("/firmware");
        assert_eq!(inside(dir, "i915/a.bin"), Some(dir.join("i915/a.bin")));
        for name in ["", "../etc/passwd", "/etc/passwd", "a/../../b", "."] {
            assert_eq!(inside(dir, name), None, "{name}");
        }
    }
}
