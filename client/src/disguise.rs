// SPDX-License-Identifier: MIT
//! What `stat` says about our nodes and their descriptors: a character device.

use crate::node::Node;
use crate::{files, open, raw};
use libc::{S_IFCHR, S_IFMT, stat64};
use std::ffi::CStr;

/// The status of an open descriptor, after the kernel gave it.
pub fn descriptor(fd: i32, stat: &mut stat64) {
    if files::is_socket(stat.st_mode)
        && let Some(node) = files::node_of(fd, stat.st_ino)
    {
        match of_path(&node) {
            Some(real) if real.st_mode & S_IFMT == S_IFCHR => *stat = real,
            real => {
                stat.st_mode = real.map_or(0o660, |real| real.st_mode & 0o7777);
                character(stat, &node);
            }
        }
    }
}

/// The status of a path: where device nodes can't be made, ours are sockets.
pub fn path(dir: i32, path: &CStr, stat: &mut stat64) {
    if files::is_socket(stat.st_mode)
        && let Some(node) = node(dir, path)
    {
        character(stat, &node);
    }
}

/// The same for `statx`: of a path, or of the descriptor `dir` where the path is empty.
pub fn extended(dir: i32, path: &CStr, stat: &mut libc::statx) {
    if u32::from(stat.stx_mode) & S_IFMT != libc::S_IFSOCK {
        return;
    }
    let node = match path.is_empty() {
        true => files::node_of(dir, stat.stx_ino),
        false => node(dir, path),
    };
    if let Some(node) = node {
        let mode = of_path(&node).map_or(0o660, |real| real.st_mode & 0o7777);
        stat.stx_mode = (S_IFCHR | mode) as u16;
        (stat.stx_rdev_major, stat.stx_rdev_minor) = node.numbers();
        stat.stx_size = 0;
    }
}

fn node(dir: i32, path: &CStr) -> Option<Node> {
    Node::of_path(path.to_bytes()).or_else(|| open::behind(dir, path))
}

fn character(stat: &mut stat64, node: &Node) {
    stat.st_mode = S_IFCHR | stat.st_mode & !S_IFMT;
    stat.st_rdev = node.rdev();
    stat.st_size = 0;
}

/// The status of the node in `/dev`, if there is one.
fn of_path(node: &Node) -> Option<stat64> {
    let mut path = [0; 40];
    let (directory, name) = (node.directory(), node.name());
    path.get_mut(..directory.len())?.copy_from_slice(directory);
    path.get_mut(directory.len()..directory.len() + name.len())?
        .copy_from_slice(name);
    raw::stat(CStr::from_bytes_until_nul(&path).ok()?).ok()
}
