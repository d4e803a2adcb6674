// SPDX-License-Identifier: MIT
//! Reads lines of bounded length from a socket: both of QEMU's protocols are lines.

use std::io::{self, Read};

/// Longer lines than this are not QEMU's: the largest answer the bridge asks for is far below.
const MAX_LINE: usize = 16 << 20;

/// A reader that keeps what came after the last line.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    source: R,
    buffer: Vec<u8>,
    /// Where the first byte not yet handed out stands in `buffer`.
    start: usize,
    /// Up to here `buffer` is known to hold no newline.
    searched: usize,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(source: R) -> Self {
        Lines {
            source,
            buffer: Vec::new(),
            start: 0,
            searched: 0,
        }
    }

    pub(crate) fn source(&self) -> &R {
        &self.source
    }

    /// A whole line without its newline if one has been read already.
    pub(crate) fn buffered(&mut self) -> Option<Vec<u8>> {
        let newline = self.buffer[self.searched..]
            .iter()
            .position(|&b| b == b'\n');
        let Some(at) = newline else {
            self.searched = self.buffer.len();
            return None;
        };
        let end = self.searched + at;
        let line = self.buffer[self.start..end].to_vec();
        self.start = end + 1;
        self.searched = self.start;
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
            self.searched = 0;
        }
        Some(line)
    }

    /// The next line without its newline, waiting for it.
    ///
    /// # Errors
    /// `UnexpectedEof` when the peer closed, `InvalidData` for a line without end, and what the
    /// source returns.
    pub(crate) fn next_line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(line) = self.buffered() {
                return Ok(line);
            }
            self.fill()?;
        }
    }

    /// Reads once from the source.
    fn fill(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
        }
        if self.buffer.len() > MAX_LINE {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a line without end",
            ));
        }
        let mut chunk = [0u8; 65536];
        let read = loop {
            match self.source.read(&mut chunk) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.buffer.extend_from_slice(&chunk[..read]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes in pieces of the given sizes.
    struct Pieces<'a>(&'a [u8], Vec<usize>);

    impl Read for Pieces<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let want = self
                .1
                .pop()
                .unwrap_or(1)
                .clamp(1, out.len())
                .min(self.0.len());
            out[..want].copy_from_slice(&self.0[..want]);
            self.0 = &self.0[want..];
            Ok(want)
        }
    }

    proptest::proptest! {
        #[test]
        fn lines_do_not_depend_on_how_bytes_arrive(
            lines in proptest::collection::vec("[a-z ]{0,20}", 0..20),
            pieces in proptest::collection::vec(1usize..30, 0..40),
        ) {
            let mut text = lines.join("\n");
            if !lines.is_empty() {
                text.push('\n');
            }
            let mut reader = Lines::new(Pieces(text.as_bytes(), pieces));
            for line in &lines {
                proptest::prop_assert_eq!(reader.next_line().unwrap(), line.as_bytes());
            }
            proptest::prop_assert_eq!(
                reader.next_line().unwrap_err().kind(),
                io::ErrorKind::UnexpectedEof
            );
        }
    }
}
