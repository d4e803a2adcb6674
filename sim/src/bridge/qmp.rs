// SPDX-License-Identifier: MIT
//! QMP, QEMU's monitor: one JSON object per line.

use std::collections::VecDeque;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::error::BridgeError;
use super::lines::Lines;
use super::qtest::failed;

const PATIENCE: Duration = Duration::from_secs(30);
/// Events kept until someone waits for one of them.
const MAX_EVENTS: usize = 256;

/// An object from QEMU.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// The first line.
    Greeting,
    /// A command's result.
    Return(Value),
    /// A command was refused, in QEMU's words.
    Error(String),
    /// Something happened: the event's name.
    Event(String),
}

/// Reads one line; `None` when it is none of the protocol's.
#[must_use]
pub fn parse_message(line: &[u8]) -> Option<Message> {
    let Value::Object(mut object) = serde_json::from_slice(line).ok()? else {
        return None;
    };
    if let Some(value) = object.remove("return") {
        return Some(Message::Return(value));
    }
    if let Some(error) = object.get("error") {
        let text = error.get("desc").and_then(Value::as_str)?;
        return Some(Message::Error(text.to_owned()));
    }
    if let Some(event) = object.get("event") {
        return Some(Message::Event(event.as_str()?.to_owned()));
    }
    object.contains_key("QMP").then_some(Message::Greeting)
}

/// The client.
#[derive(Debug)]
pub struct Qmp {
    lines: Lines<UnixStream>,
    events: VecDeque<String>,
    broken: bool,
}

impl Qmp {
    /// Greets QEMU on a connected socket.
    ///
    /// # Errors
    /// When QEMU does not greet back.
    pub fn new(stream: UnixStream) -> Result<Self, BridgeError> {
        let doing = "setting the QMP socket's time-out";
        stream
            .set_read_timeout(Some(PATIENCE))
            .map_err(BridgeError::io(doing))?;
        stream
            .set_write_timeout(Some(PATIENCE))
            .map_err(BridgeError::io(doing))?;
        let mut qmp = Qmp {
            lines: Lines::new(stream),
            events: VecDeque::new(),
            broken: false,
        };
        match qmp.message("the greeting")? {
            Message::Greeting => {}
            other => return Err(qmp.nonsense("the greeting", &format!("{other:?}"))),
        }
        qmp.execute("qmp_capabilities", Value::Null)?;
        Ok(qmp)
    }

    /// Runs a command and returns its result.
    ///
    /// # Errors
    /// [`BridgeError::Refused`] leaves the client usable; after any other the socket is dead.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, BridgeError> {
        let request = if arguments.is_null() {
            json!({ "execute": command })
        } else {
            json!({ "execute": command, "arguments": arguments })
        };
        let mut text = request.to_string();
        text.push('\n');
        if self.broken {
            return Err(failed(command, std::io::ErrorKind::BrokenPipe.into()));
        }
        self.lines
            .source()
            .write_all(text.as_bytes())
            .map_err(|e| {
                self.broken = true;
                failed(command, e)
            })?;
        loop {
            match self.message(command)? {
                Message::Return(value) => return Ok(value),
                Message::Error(reason) => {
                    return Err(BridgeError::Refused {
                        doing: command.to_owned(),
                        reason,
                    });
                }
                Message::Event(name) => self.remember(name),
                Message::Greeting => return Err(self.nonsense(command, "a second greeting")),
            }
        }
    }

    /// Runs a command of the human monitor and returns its text.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub fn human(&mut self, command: &str) -> Result<String, BridgeError> {
        let arguments = json!({ "command-line": command });
        match self.execute("human-monitor-command", arguments)? {
            Value::String(text) => Ok(text),
            other => Err(self.nonsense(command, &other.to_string())),
        }
    }

    /// Forgets the events seen so far.
    pub fn forget_events(&mut self) {
        self.events.clear();
    }

    /// Waits until the event `name` has been seen, and forgets all up to it.
    ///
    /// # Errors
    /// When QEMU goes or stays silent.
    pub fn wait_event(&mut self, name: &str) -> Result<(), BridgeError> {
        loop {
            while let Some(event) = self.events.pop_front() {
                if event == name {
                    return Ok(());
                }
            }
            match self.message(name)? {
                Message::Event(event) => self.remember(event),
                other => return Err(self.nonsense(name, &format!("{other:?}"))),
            }
        }
    }

    fn remember(&mut self, event: String) {
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    fn message(&mut self, doing: &str) -> Result<Message, BridgeError> {
        let line = self.lines.next_line().map_err(|e| {
            self.broken = true;
            failed(doing, e)
        })?;
        parse_message(&line).ok_or_else(|| self.nonsense(doing, &String::from_utf8_lossy(&line)))
    }

    fn nonsense(&mut self, doing: &str, answer: &str) -> BridgeError {
        self.broken = true;
        BridgeError::Protocol {
            doing: doing.to_owned(),
            answer: answer.chars().take(200).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        let table = [
            (r#"{"QMP": {"version": {}}}"#, Some(Message::Greeting)),
            (r#"{"return": 5, "id": 1}"#, Some(Message::Return(json!(5)))),
            (
                r#"{"error": {"class": "GenericError", "desc": "no"}}"#,
                Some(Message::Error("no".into())),
            ),
            (
                r#"{"event": "RESET", "data": {}}"#,
                Some(Message::Event("RESET".into())),
            ),
            (r#"{"event": 3}"#, None),
            (r#"{"error": "no"}"#, None),
            (r"[]", None),
            (r"{", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_message(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn events_between_a_command_and_its_result_are_kept() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (&theirs)
            .write_all(
                b"{\"QMP\":{}}\n{\"return\":{}}\n{\"event\":\"A\"}\n{\"event\":\"RESET\"}\n{\"return\":7}\n",
            )
            .unwrap();
        let mut qmp = Qmp::new(ours).unwrap();
        assert_eq!(qmp.execute("x", Value::Null).unwrap(), json!(7));
        qmp.wait_event("RESET").unwrap();
        drop(theirs);
        assert!(qmp.wait_event("RESET").is_err());
        assert!(qmp.execute("x", Value::Null).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_parsed_or_refused(line in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            let _ = parse_message(&line);
        }

        #[test]
        fn near_lines_are_parsed_or_refused(
            line in r#"\{"(return|error|event|QMP)": ?(\{"desc": ?)?["a-z0-9{}\[\],:]{0,24}"#
        ) {
            let _ = parse_message(line.as_bytes());
        }
    }
}
