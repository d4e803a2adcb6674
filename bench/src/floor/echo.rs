// SPDX-License-Identifier: MIT
//! The floor of round trips: a message over a Unix seqpacket socket between two processes.

use super::time;
use crate::placement::Placement;
use crate::row::Row;
use crate::samples::Samples;
use anyhow::{Context, Result, ensure};
use drvhost_tests::Guard;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair,
};
use std::os::fd::AsFd;
use std::process::Command;

/// The name of the row, which others are ratios to.
pub const NAME: &str = "seqpacket echo";
/// Bytes: about a small ioctl and a head.
const MESSAGE: usize = 64;

/// Measures it between the client's CPU and the host's.
pub fn measure(placement: &Placement, rounds: usize) -> Result<Row> {
    let (ours, theirs) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let mut command = Command::new(std::env::current_exe()?);
    let _echo = placement
        .host
        .spawn(command.arg("echo").stdin(theirs))
        .map(Guard)?;
    // The command holds the other end, which would hide its process's end.
    drop(command);
    let times = placement.client.during(|| {
        let mut message = [7; MESSAGE];
        time(rounds, || {
            send(&ours, &message, SendFlags::NOSIGNAL)?;
            let (len, _) = recv(&ours, &mut message, RecvFlags::empty())?;
            ensure!(len == MESSAGE, "the echo ended");
            Ok(())
        })
    })?;
    let samples = Samples::micros(&times).context("no rounds")?;
    Ok(Row::new(NAME, &placement.floor(), "us", &samples))
}

/// The other end.
pub fn serve() -> Result<()> {
    let stdin = std::io::stdin();
    let mut message = [0; MESSAGE];
    loop {
        let (len, _) = recv(stdin.as_fd(), &mut message, RecvFlags::empty())?;
        if len == 0 {
            return Ok(());
        }
        send(stdin.as_fd(), &message[..len], SendFlags::NOSIGNAL)?;
    }
}
