// SPDX-License-Identifier: MIT
//! The other way to offer ioctls from a process: a file of a FUSE file system.

use super::time;
use crate::client::ioctl::ioctl;
use crate::placement::Placement;
use crate::row::Row;
use crate::samples::Samples;
use anyhow::{Context, Result, ensure};
use drvhost_drm::uapi::{drm_get_cap, ioctl::GET_CAP};
use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, Generation, INodeNo, IoctlFlags, ReplyAttr,
    ReplyEntry, ReplyIoctl, Request,
};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

const FILE: &str = "card";
const FILE_INODE: INodeNo = INodeNo(2);
/// Attributes never change.
const TTL: Duration = Duration::from_secs(3600);
const ANSWER: u64 = 1;

/// Measures it between the client's CPU and the host's.
pub fn measure(placement: &Placement, rounds: usize) -> Result<Row> {
    let dir = tempfile::tempdir()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("fuse").arg(dir.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut server = placement.host.spawn(&mut command)?;
    let mut line = String::new();
    let stdout = server.stdout.take().context("stdout")?;
    BufReader::new(stdout).read_line(&mut line)?;
    // Only a server that is told to end unmounts.
    let result = match line.as_str() {
        "ready\n" => placement
            .client
            .during(|| round_trips(&dir.path().join(FILE), rounds)),
        _ => Err(anyhow::anyhow!(
            "FUSE can't be mounted here (it takes root and /dev/fuse)"
        )),
    };
    drop(server.stdin.take());
    server.wait()?;
    let samples = Samples::micros(&result?).context("no rounds")?;
    Ok(Row::new("FUSE ioctl", &placement.floor(), "us", &samples))
}

fn round_trips(path: &Path, rounds: usize) -> Result<Vec<Duration>> {
    let file = File::open(path)?;
    time(rounds, || {
        let mut cap = drm_get_cap::default();
        // SAFETY: the struct that the number stands for; it holds no pointer.
        unsafe { ioctl(&file, GET_CAP, &mut cap) }?;
        ensure!(cap.value == ANSWER, "answered {}", cap.value);
        Ok(())
    })
}

/// Serves until standard input ends.
pub fn serve(dir: &Path) -> Result<()> {
    let session = fuser::spawn_mount(Card, dir, &fuser::Config::default())?;
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(session.umount_and_join()?)
}

/// A directory with one file.
struct Card;

fn attributes(ino: INodeNo) -> FileAttr {
    let (kind, perm) = match ino {
        FILE_INODE => (FileType::RegularFile, 0o600),
        _ => (FileType::Directory, 0o700),
    };
    FileAttr {
        ino,
        size: 0,
        blocks: 0,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm,
        nlink: 1,
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        rdev: 0,
        blksize: 512,
        flags: 0,
    }
}

impl Filesystem for Card {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match parent == INodeNo::ROOT && name == FILE {
            true => reply.entry(&TTL, &attributes(FILE_INODE), Generation(0)),
            false => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&TTL, &attributes(ino));
    }

    fn ioctl(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: IoctlFlags,
        cmd: u32,
        input: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        match (cmd, input.get(..8)) {
            (GET_CAP, Some(capability)) => {
                reply.ioctl(0, &[capability, &ANSWER.to_ne_bytes()].concat());
            }
            _ => reply.error(Errno::ENOTTY),
        }
    }
}
