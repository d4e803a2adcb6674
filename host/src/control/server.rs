// SPDX-License-Identifier: MIT
//! The daemon's end of the control socket.

use super::protocol::{Failure, Kind, MAX_REQUEST, Reply, Request};
use crate::daemon::Daemon;
use crate::logs::Line;
use rustix::net::sockopt::socket_peercred;
use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Connections at once.
const MAX_CONNECTIONS: usize = 64;

/// Serves the socket until the process ends.
pub fn serve(listener: UnixListener, daemon: Arc<Daemon>) -> io::Result<()> {
    let open = Arc::new(AtomicUsize::new(0));
    std::thread::Builder::new()
        .name("control".into())
        .spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { continue };
                if open.load(Ordering::Relaxed) >= MAX_CONNECTIONS {
                    log::warn!("too many connections on the control socket: one was refused");
                    continue;
                }
                let (daemon, count) = (daemon.clone(), open.clone());
                count.fetch_add(1, Ordering::Relaxed);
                let thread = std::thread::Builder::new().name("command".into());
                let started = thread.spawn(move || {
                    // A peer that went away is no news.
                    let _ = connection(&stream, &daemon);
                    count.fetch_sub(1, Ordering::Relaxed);
                });
                if let Err(error) = started {
                    log::error!("cannot serve a command: {error}");
                    open.fetch_sub(1, Ordering::Relaxed);
                }
            }
        })?;
    Ok(())
}

fn connection(stream: &UnixStream, daemon: &Arc<Daemon>) -> io::Result<()> {
    // A peer that says nothing must not hold a thread for ever.
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let uid = socket_peercred(stream)?.uid;
    let privileged = uid.is_root() || uid == rustix::process::geteuid();
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader
            .by_ref()
            .take(MAX_REQUEST)
            .read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(());
        }
        if line.last() != Some(&b'\n') {
            let message = format!("a request is one line of at most {MAX_REQUEST} bytes");
            return say(stream, &Reply::Error(Failure::new(Kind::Usage, message)));
        }
        let reply = match serde_json::from_slice::<Request>(&line) {
            Err(error) => Err(Failure::new(Kind::Usage, format!("no request: {error}"))),
            Ok(request) if request.changes() && !privileged => Err(Failure::new(
                Kind::Denied,
                "only root and the daemon's own user may do this: try sudo",
            )),
            Ok(Request::Logs {
                device,
                lines,
                follow: true,
            }) => {
                return follow(stream, daemon, device.as_deref().unwrap_or(""), lines);
            }
            Ok(Request::Screenshot { device }) => match daemon.screenshot(&device) {
                Ok(png) => {
                    say(stream, &Reply::Ok(json!({ "length": png.len() })))?;
                    (&*stream).write_all(&png)?;
                    continue;
                }
                Err(failure) => Err(failure),
            },
            Ok(request) => daemon.command(request),
        };
        say(
            stream,
            &match reply {
                Ok(value) => Reply::Ok(value),
                Err(failure) => Reply::Error(failure),
            },
        )?;
    }
}

fn say(mut stream: &UnixStream, reply: &Reply) -> io::Result<()> {
    let mut text = serde_json::to_vec(reply)?;
    text.push(b'\n');
    stream.write_all(&text)
}

fn follow(stream: &UnixStream, daemon: &Daemon, target: &str, count: usize) -> io::Result<()> {
    let mut next = 0;
    for line in daemon.lines.last(target, count) {
        next = line.number + 1;
        say(stream, &Reply::Ok(value(&line)))?;
    }
    loop {
        for line in daemon.lines.after(next) {
            next = line.number + 1;
            if line.target.starts_with(target) {
                say(stream, &Reply::Ok(value(&line)))?;
            }
        }
    }
}

fn value(line: &Line) -> Value {
    serde_json::to_value(line).unwrap_or(Value::Null)
}
