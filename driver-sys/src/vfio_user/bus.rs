// SPDX-License-Identifier: MIT
//! The bus of simulated devices: a directory with one socket per PCI function.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::address::PciAddress;
use crate::error::{Error, Result};

/// What follows the address in a socket's name.
pub const SOCKET_SUFFIX: &str = ".sock";

/// The socket of the function at `address`.
pub fn socket_path(dir: &Path, address: PciAddress) -> PathBuf {
    dir.join(format!("{address}{SOCKET_SUFFIX}"))
}

/// The address that a socket's path names; `None` for files that are something else.
pub fn socket_address(path: &Path) -> Option<PciAddress> {
    path.file_name()?
        .to_str()?
        .strip_suffix(SOCKET_SUFFIX)?
        .parse()
        .ok()
}

/// Lists the functions whose sockets stand in `dir`, in the order of their addresses.
/// A directory that does not exist (yet) is an empty bus.
///
/// # Errors
/// `Io` when the directory can't be read.
pub fn enumerate(dir: &Path) -> Result<Vec<PciAddress>> {
    let what = || format!("list devices in {}", dir.display());
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(what(), error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| Error::io(what(), error))?;
        // A file that vanishes between the two calls is no device any more.
        if entry.file_type().is_ok_and(|kind| kind.is_socket()) {
            found.extend(socket_address(&entry.path()));
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_with_an_address_count() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(enumerate(&dir.path().join("none")).unwrap(), []);
        std::fs::write(dir.path().join("0000:00:05.0.sock"), "").unwrap();
        let mut keep = Vec::new();
        for name in [
            "0000:00:03.0.sock",
            "0000:00:02.0.sock",
            "control.sock",
            "0000:00:04.0",
        ] {
            keep.push(std::os::unix::net::UnixListener::bind(dir.path().join(name)).unwrap());
        }
        let found: Vec<_> = enumerate(dir.path())
            .unwrap()
            .iter()
            .map(|a| a.to_string())
            .collect();
        assert_eq!(found, ["0000:00:02.0", "0000:00:03.0"]);
    }
}
