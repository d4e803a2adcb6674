// SPDX-License-Identifier: MIT
//! The commands' end of the control socket.

use super::protocol::{Failure, Kind, Reply, Request};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

fn failed(what: &str, error: impl std::fmt::Display) -> Failure {
    Failure::new(Kind::Failed, format!("{what}: {error}"))
}

/// One connection to the daemon.
#[derive(Debug)]
pub struct Connection {
    reader: BufReader<UnixStream>,
}

impl Connection {
    /// Sends a request.
    pub fn send(request: &Request) -> Result<Connection, Failure> {
        let path = drvhost_channel::paths::run_dir().join(drvhost_channel::paths::CONTROL);
        let mut stream = UnixStream::connect(&path).map_err(|error| {
            let hint = "start it with `drvhost`, or `make start` in the source tree";
            let message = format!(
                "cannot reach the daemon at {}: {error}; {hint}",
                path.display()
            );
            Failure::new(Kind::NoDaemon, message)
        })?;
        let mut text = serde_json::to_vec(request).map_err(|e| failed("cannot ask", e))?;
        text.push(b'\n');
        stream
            .write_all(&text)
            .map_err(|e| failed("cannot ask the daemon", e))?;
        Ok(Connection {
            reader: BufReader::new(stream),
        })
    }

    /// The next line; `None` at the end.
    pub fn line(&mut self) -> Result<Option<Value>, Failure> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(error) => return Err(failed("the daemon's answer", error)),
        }
        match serde_json::from_str(&line).map_err(|e| failed("the daemon's answer", e))? {
            Reply::Ok(value) => Ok(Some(value)),
            Reply::Error(failure) => Err(failure),
        }
    }

    /// The bytes after the line.
    pub fn bytes(&mut self, length: usize) -> Result<Vec<u8>, Failure> {
        let mut bytes = vec![0; length];
        self.reader
            .read_exact(&mut bytes)
            .map_err(|e| failed("the daemon's answer", e))?;
        Ok(bytes)
    }
}

/// Asks and waits for the answer.
pub fn ask(request: &Request) -> Result<Value, Failure> {
    Connection::send(request)?.line()?.ok_or_else(|| {
        Failure::new(
            Kind::Failed,
            "the daemon closed the connection; see its log",
        )
    })
}
