// SPDX-License-Identifier: MIT
//! Asks one thing on a control socket: what `drvhost-sim ctl` does.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Map, Value};

use super::server::SOCKET;

/// How long a reply may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What the words of a command stand for, in order.
fn fields(command: &str) -> &'static [&'static str] {
    match command {
        "break" => &["device", "kind"],
        "screenshot" | "plug-monitor" => &["device", "file"],
        "clock" => &["mode"],
        "step" => &["ns"],
        _ => &["device"],
    }
}

/// Makes a request of words: a JSON object, or a command and its fields in order or as
/// `field=value`. Paths are made absolute, for the simulator has its own directory.
///
/// # Errors
/// When there are no words, or too many.
pub fn request(words: &[String]) -> anyhow::Result<Value> {
    let (command, rest) = words.split_first().context("no command; try list")?;
    if command.starts_with('{') {
        return serde_json::from_str(&words.join(" ")).context("read the JSON");
    }
    let mut request = Map::new();
    request.insert("command".into(), command.as_str().into());
    let mut order = fields(command).iter();
    for word in rest {
        let (field, text) = match word.split_once('=') {
            Some((field, text)) => (field, text),
            None => {
                let field = order.next();
                (
                    *field.with_context(|| format!("too many words for {command}: {word:?}"))?,
                    &**word,
                )
            }
        };
        let value = match field {
            "ns" => text.parse::<u64>().context("nanoseconds")?.into(),
            "file" => {
                let path = std::path::absolute(text).context("path")?;
                path.to_str().context("the path is not UTF-8")?.into()
            }
            _ => text.into(),
        };
        request.insert(field.into(), value);
    }
    Ok(request.into())
}

/// Sends a request to the simulator in `dir` and waits for its reply.
///
/// # Errors
/// When nobody listens there or the reply is not JSON.
pub fn ask(dir: &Path, request: &Value) -> anyhow::Result<Value> {
    let path = dir.join(SOCKET);
    let mut socket = UnixStream::connect(&path)
        .with_context(|| format!("connect to {}; is drvhost-sim running?", path.display()))?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.write_all(format!("{request}\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(socket)
        .read_line(&mut line)
        .context("wait for the reply")?;
    serde_json::from_str(&line).context("read the reply")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_become_requests() {
        let ask = |text: &str| {
            let words: Vec<_> = text.split(' ').map(String::from).collect();
            request(&words).map_err(|error| error.to_string())
        };
        for (text, want) in [
            ("list", json!({ "command": "list" })),
            ("{\"command\": \"list\"}", json!({ "command": "list" })),
            (
                "break 0000:00:02.0 hang",
                json!({ "command": "break", "device": "0000:00:02.0", "kind": "hang" }),
            ),
            (
                "screenshot 00:02.0 file=/a.png",
                json!({ "command": "screenshot", "device": "00:02.0", "file": "/a.png" }),
            ),
            ("step 7", json!({ "command": "step", "ns": 7 })),
        ] {
            assert_eq!(ask(text), Ok(want), "{text}");
        }
        assert!(ask("step 7 8").is_err());
        assert!(ask("step soon").is_err());
        assert!(request(&[]).is_err());
    }
}
