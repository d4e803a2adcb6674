// SPDX-License-Identifier: MIT
//! Which QEMU it is, as far as that changes how it is started.

use std::path::Path;
use std::process::{Command, Stdio};

use super::error::BridgeError;

/// From here on `-machine aux-ram-share=on` puts video memory into a shared file.
const SHARES_VIDEO_MEMORY: u32 = 10;

/// Reads the major version from what `--version` prints:
/// `QEMU emulator version 7.2.22 (Debian ...)`.
#[must_use]
pub fn parse_major(text: &str) -> Option<u32> {
    let (_, version) = text.split_once("QEMU emulator version ")?;
    let (major, _) = version.split_once('.')?;
    major.parse().ok()
}

/// Whether `program` can share its devices' video memory.
///
/// # Errors
/// When the program can't be started or does not say its version.
pub fn shares_video_memory(program: &Path) -> Result<bool, BridgeError> {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(|source| BridgeError::Start {
            program: program.to_owned(),
            source,
        })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let major = parse_major(&text).ok_or_else(|| BridgeError::Protocol {
        doing: format!("{} --version", program.display()),
        answer: text.chars().take(200).collect(),
    })?;
    Ok(major >= SHARES_VIDEO_MEMORY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let table = [
            (
                "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright",
                Some(7),
            ),
            ("QEMU emulator version 10.0.0\n", Some(10)),
            ("warning: x\nQEMU emulator version 9.2.1", Some(9)),
            ("QEMU emulator version x.2", None),
            ("QEMU emulator version 10", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_major(text), expected, "{text}");
        }
    }
}
