// SPDX-License-Identifier: MIT
//! Video memory, mapped by clients and shown by QEMU.
//!
//! QEMU 7.2 has no option that puts a device's video memory into a file: it is private memory of
//! the QEMU process, which nobody else can map. So a display's video memory is a file of the
//! bridge, which clients map, and QEMU's copy is brought up to date whenever somebody looks:
//! before a screenshot, and before any other command of the monitor. Nobody can see the
//! difference, since all looking goes through the bridge, QEMU has no window, and these models
//! only ever read their video memory. For models that write it too, this would be wrong; their
//! BARs go through qtest, access by access.
//!
//! The copy goes through `/proc/PID/mem` at the address that the monitor's `gpa2hva` tells: 1 ms
//! for 3 MB, against 68 ms through qtest. QEMU does not learn which pages are dirty, and need
//! not: in 15, 16, 24 and 32 bits per pixel a screenshot reads video memory itself.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use rustix::fs::{MemfdFlags, SealFlags};

use super::error::BridgeError;

/// How much is copied at once.
const CHUNK: usize = 1 << 20;

/// Whether QEMU's `model` has video memory that it only ever reads.
#[must_use]
pub fn only_reads(model: &str) -> bool {
    matches!(model, "bochs-display" | "VGA" | "secondary-vga")
}

/// A display's video memory.
#[derive(Debug, Clone)]
pub struct VideoMemory {
    file: Arc<OwnedFd>,
    size: u64,
}

impl VideoMemory {
    /// Makes `size` bytes of it, all zero, and seals the size.
    ///
    /// # Errors
    /// When the system refuses so much.
    pub fn new(size: u64) -> Result<Self, BridgeError> {
        let make = || {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            let file = rustix::fs::memfd_create("drvhost-qemu-vram", flags)?;
            rustix::fs::ftruncate(&file, size)?;
            let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
            rustix::fs::fcntl_add_seals(&file, seals)?;
            Ok(file)
        };
        let error = |e: rustix::io::Errno| BridgeError::io("making video memory")(e.into());
        Ok(VideoMemory {
            file: Arc::new(make().map_err(error)?),
            size,
        })
    }

    /// The file that clients map.
    #[must_use]
    pub fn file(&self) -> &Arc<OwnedFd> {
        &self.file
    }

    /// In bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads what lies within it.
    ///
    /// # Errors
    /// What the system says.
    pub fn read(&self, offset: u64, data: &mut [u8]) -> Result<(), BridgeError> {
        let mut done = 0;
        while done < data.len() {
            let at = offset + done as u64;
            match rustix::io::pread(&*self.file, &mut data[done..], at) {
                Ok(0) => return Err(short("reading video memory")),
                Ok(read) => done += read,
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(BridgeError::io("reading video memory")(e.into())),
            }
        }
        Ok(())
    }

    /// Writes what lies within it.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, offset: u64, data: &[u8]) -> Result<(), BridgeError> {
        let mut done = 0;
        while done < data.len() {
            let at = offset + done as u64;
            match rustix::io::pwrite(&*self.file, &data[done..], at) {
                Ok(0) => return Err(short("writing video memory")),
                Ok(written) => done += written,
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(BridgeError::io("writing video memory")(e.into())),
            }
        }
        Ok(())
    }

    /// Brings the copy at `address` in a process's `memory` up to date.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn show(&self, memory: &File, address: u64) -> Result<(), BridgeError> {
        let mut chunk = vec![0; CHUNK];
        let mut at = 0;
        while at < self.size {
            let left = usize::try_from(self.size - at).unwrap_or(CHUNK);
            let chunk = &mut chunk[..left.min(CHUNK)];
            self.read(at, chunk)?;
            memory
                .write_all_at(chunk, address + at)
                .map_err(BridgeError::io("writing QEMU's video memory"))?;
            at += chunk.len() as u64;
        }
        Ok(())
    }
}

fn short(doing: &str) -> BridgeError {
    BridgeError::io(doing)(std::io::ErrorKind::UnexpectedEof.into())
}

/// Reads what `gpa2hva` prints for an address in RAM:
/// `Host virtual address for 0xe0000000 (bochs-display-vram) is 0x7f7510800000`.
#[must_use]
pub fn parse_gpa2hva(text: &str) -> Option<u64> {
    let (before, address) = text.trim().rsplit_once(" is 0x")?;
    if !before.starts_with("Host virtual address for ") || address.starts_with('+') {
        return None;
    }
    u64::from_str_radix(address, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpa2hva() {
        let good = "Host virtual address for 0xe0000000 (vga.vram) is 0x7fa255a00000\r\n";
        assert_eq!(parse_gpa2hva(good), Some(0x7fa2_55a0_0000));
        let table = [
            "Memory at address 0xe1000000 is not RAM",
            "No memory is mapped at address 0xe0000000",
            "Host virtual address for 0xe0000000 (x) is 0x",
            "Host virtual address for 0xe0000000 (x) is 0x+1",
            "",
        ];
        for text in table {
            assert_eq!(parse_gpa2hva(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(
            text in "(Host virtual address for )?[ -~]{0,40}( is 0x[0-9a-f]{0,20})?"
        ) {
            let _ = parse_gpa2hva(&text);
        }
    }
}
