// SPDX-License-Identifier: MIT
//! The qtest protocol: QEMU's buses, one line per access.
//!
//! One client owns the socket for QEMU's whole life, and a line is written whole: a client that
//! goes away in the middle of a line makes QEMU abort. Source of the commands: the comment at the
//! head of QEMU's `softmmu/qtest.c` (`system/qtest.c` in newer ones).

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

pub use super::access::{Space, Width, Write, writes};

use super::access::pieces;
use super::error::BridgeError;
use super::lines::Lines;

/// An emulator that is silent for so long is taken for hung.
const PATIENCE: Duration = Duration::from_secs(30);
/// Interrupt reports kept until someone asks for them.
const MAX_IRQS: usize = 4096;
/// Accesses sent before their answers are read: enough to hide the round trip, and well below
/// what a socket's buffer holds, so that neither side blocks on the other.
const PIPELINE: usize = 256;

/// A line from QEMU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The command was carried out; what it returned follows.
    Ok(String),
    /// The command was refused.
    Refused(String),
    /// An intercepted interrupt line changed.
    Irq {
        /// Which line of the intercepted controller.
        line: u32,
        /// Whether it is asserted now.
        raised: bool,
    },
}

/// Reads one line of QEMU's; `None` when it is none of the protocol's.
#[must_use]
pub fn parse_line(line: &[u8]) -> Option<Line> {
    let line = std::str::from_utf8(line).ok()?.trim_end();
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "OK" => Some(Line::Ok(rest.to_owned())),
        "FAIL" | "ERR" => Some(Line::Refused(rest.to_owned())),
        "IRQ" => {
            let (what, number) = rest.split_once(' ')?;
            let raised = match what {
                "raise" => true,
                "lower" => false,
                _ => return None,
            };
            Some(Line::Irq {
                line: number.parse().ok()?,
                raised,
            })
        }
        _ => None,
    }
}

/// Reads the number that a read command returns: `0x` and hex digits.
#[must_use]
pub fn parse_number(text: &str) -> Option<u64> {
    let digits = text.trim().strip_prefix("0x")?;
    if digits.starts_with('+') {
        return None;
    }
    u64::from_str_radix(digits, 16).ok()
}

/// The client.
#[derive(Debug)]
pub struct Qtest {
    lines: Lines<UnixStream>,
    irqs: VecDeque<(u32, bool)>,
    /// Set after an error that leaves the two sides out of step.
    broken: bool,
}

impl Qtest {
    /// A client on a connected socket.
    ///
    /// # Errors
    /// When the socket's time-out can't be set.
    pub fn new(stream: UnixStream) -> Result<Self, BridgeError> {
        let doing = "setting the qtest socket's time-out";
        stream
            .set_read_timeout(Some(PATIENCE))
            .map_err(BridgeError::io(doing))?;
        stream
            .set_write_timeout(Some(PATIENCE))
            .map_err(BridgeError::io(doing))?;
        Ok(Qtest {
            lines: Lines::new(stream),
            irqs: VecDeque::new(),
            broken: false,
        })
    }

    /// Sends one command without its newline and returns what QEMU's OK carries.
    ///
    /// # Errors
    /// [`BridgeError::Refused`] leaves the client usable; after any other the socket is dead.
    pub fn command(&mut self, command: &str) -> Result<String, BridgeError> {
        self.send(&format!("{command}\n"))?;
        self.answer(command)
    }

    /// Reads `data.len()` bytes at `address` with the widest aligned accesses up to `most`.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub fn read(
        &mut self,
        space: Space,
        address: u64,
        data: &mut [u8],
        most: Width,
    ) -> Result<(), BridgeError> {
        let pieces = pieces(address, data.len(), most);
        for batch in pieces.chunks(PIPELINE) {
            let mut text = String::new();
            for &(at, width) in batch {
                let at = address + at as u64;
                let verb = if space == Space::Memory { "read" } else { "in" };
                let _ = writeln!(text, "{verb}{} {at:#x}", width.letter());
            }
            for (answer, &(at, width)) in self.pipeline(&text)?.iter().zip(batch) {
                let number = parse_number(answer);
                let value = number.ok_or_else(|| self.nonsense("a read", answer))?;
                let bytes = width.bytes();
                data[at..at + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
            }
        }
        Ok(())
    }

    /// Writes `data` at `address` with the widest aligned accesses up to `most`.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub fn write(
        &mut self,
        space: Space,
        address: u64,
        data: &[u8],
        most: Width,
    ) -> Result<(), BridgeError> {
        self.write_all(&writes(space, address, data, most))
    }

    /// Carries writes out in their order, many per round trip.
    ///
    /// # Errors
    /// As [`Self::command`]; the writes after a refused one may have been carried out.
    pub fn write_all(&mut self, writes: &[Write]) -> Result<(), BridgeError> {
        for batch in writes.chunks(PIPELINE) {
            let mut text = String::new();
            for write in batch {
                let space = write.space;
                let verb = if space == Space::Memory {
                    "write"
                } else {
                    "out"
                };
                let (letter, at, value) = (write.width.letter(), write.address, write.value);
                let _ = writeln!(text, "{verb}{letter} {at:#x} {value:#x}");
            }
            self.pipeline(&text)?;
        }
        Ok(())
    }

    /// Sends several commands at once and returns all their answers.
    fn pipeline(&mut self, text: &str) -> Result<Vec<String>, BridgeError> {
        self.send(text)?;
        let mut answers = Vec::new();
        let mut refused = None;
        for command in text.lines() {
            match self.answer(command) {
                Ok(answer) => answers.push(answer),
                // The answers to the others are on their way all the same.
                Err(e @ BridgeError::Refused { .. }) => refused = refused.or(Some(e)),
                Err(e) => return Err(e),
            }
        }
        refused.map_or(Ok(answers), Err)
    }

    /// Writes a port.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub fn outl(&mut self, port: u16, value: u32) -> Result<(), BridgeError> {
        self.write(Space::Port, port.into(), &value.to_le_bytes(), Width::Long)
    }

    /// Makes sure that every interrupt raised by now has been reported, then takes the reports:
    /// (line, raised), oldest first.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub fn take_irqs(&mut self) -> Result<Vec<(u32, bool)>, BridgeError> {
        self.command("endianness")?;
        Ok(self.irqs.drain(..).collect())
    }

    fn send(&mut self, text: &str) -> Result<(), BridgeError> {
        let doing = text.lines().next().unwrap_or_default();
        if self.broken {
            return Err(gone(doing));
        }
        self.lines.source().write_all(text.as_bytes()).map_err(|e| {
            self.broken = true;
            failed(doing, e)
        })
    }

    fn answer(&mut self, doing: &str) -> Result<String, BridgeError> {
        loop {
            let line = self.lines.next_line().map_err(|e| {
                self.broken = true;
                failed(doing, e)
            })?;
            match parse_line(&line) {
                Some(Line::Ok(rest)) => return Ok(rest),
                Some(Line::Refused(reason)) => {
                    return Err(BridgeError::Refused {
                        doing: doing.to_owned(),
                        reason,
                    });
                }
                Some(Line::Irq { line, raised }) => {
                    if self.irqs.len() == MAX_IRQS {
                        self.irqs.pop_front();
                    }
                    self.irqs.push_back((line, raised));
                }
                None => return Err(self.nonsense(doing, &String::from_utf8_lossy(&line))),
            }
        }
    }

    fn nonsense(&mut self, doing: &str, answer: &str) -> BridgeError {
        self.broken = true;
        BridgeError::Protocol {
            doing: doing.to_owned(),
            answer: answer.chars().take(200).collect(),
        }
    }
}

fn gone(doing: &str) -> BridgeError {
    BridgeError::Gone {
        device: "qtest".to_owned(),
        doing: doing.to_owned(),
        stderr: "its qtest socket is dead".to_owned(),
    }
}

pub(super) fn failed(doing: &str, e: io::Error) -> BridgeError {
    match e.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset => gone(doing),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => BridgeError::Timeout {
            doing: doing.to_owned(),
            seconds: PATIENCE.as_secs(),
        },
        _ => BridgeError::Io {
            doing: doing.to_owned(),
            source: e,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let table: [(&str, Option<Line>); 9] = [
            ("OK", Some(Line::Ok(String::new()))),
            ("OK 0x0000b0c5", Some(Line::Ok("0x0000b0c5".into()))),
            (
                "FAIL Unknown command",
                Some(Line::Refused("Unknown command".into())),
            ),
            (
                "IRQ raise 16",
                Some(Line::Irq {
                    line: 16,
                    raised: true,
                }),
            ),
            (
                "IRQ lower 3",
                Some(Line::Irq {
                    line: 3,
                    raised: false,
                }),
            ),
            ("IRQ toggle 3", None),
            ("IRQ raise x", None),
            ("OKAY", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_line(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(parse_line(b"OK \xff"), None);
        assert_eq!(parse_number("0xb0c5"), Some(0xb0c5));
        assert_eq!(parse_number("b0c5"), None);
        assert_eq!(parse_number("0x"), None);
        assert_eq!(parse_number("0x+1"), None);
        assert_eq!(parse_number("0x10000000000000000"), None);
    }

    #[test]
    fn a_refusal_in_a_pipeline_leaves_both_sides_in_step() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (&theirs)
            .write_all(b"OK\nFAIL no\nIRQ raise 1\nOK\nOK 0x7\n")
            .unwrap();
        let mut qtest = Qtest::new(ours).unwrap();
        let error = qtest
            .write(Space::Memory, 0, &[0; 12], Width::Long)
            .unwrap_err();
        assert!(matches!(error, BridgeError::Refused { .. }), "{error}");
        let mut byte = [0];
        qtest
            .read(Space::Memory, 0, &mut byte, Width::Long)
            .unwrap();
        assert_eq!(byte, [7]);
    }

    #[test]
    fn a_peer_that_talks_nonsense_or_leaves_is_reported_and_not_asked_again() {
        for answer in ["HELLO\n", "OK nothing\n", "OK 12", ""] {
            let (ours, theirs) = UnixStream::pair().unwrap();
            (&theirs).write_all(answer.as_bytes()).unwrap();
            theirs.shutdown(std::net::Shutdown::Write).unwrap();
            let mut qtest = Qtest::new(ours).unwrap();
            let mut data = [0u8; 4];
            assert!(
                qtest
                    .read(Space::Memory, 0, &mut data, Width::Long)
                    .is_err()
            );
            let again = qtest.command("endianness").unwrap_err();
            assert!(matches!(again, BridgeError::Gone { .. }), "{again}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_parsed_or_refused(line in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            let _ = parse_line(&line);
            let _ = parse_number(&String::from_utf8_lossy(&line));
        }

        #[test]
        fn near_lines_are_parsed_or_refused(line in "(OK|IRQ|FAIL|ERR)?( (raise|lower|0x)?)?[ -~]{0,24}") {
            if let Some(Line::Ok(rest)) = parse_line(line.as_bytes()) {
                let _ = parse_number(&rest);
            }
        }
    }
}
