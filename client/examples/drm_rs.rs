// SPDX-License-Identifier: MIT
//! A program on the `drm` crate, which makes its system calls without libc: only the trap shows
//! it our devices. `drm_rs PATH` prints what it finds.

use drm::Device as _;
use drm::buffer::{Buffer as _, DrmFourcc};
use drm::control::Device as _;
use drm::node::DrmNode;
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd};

struct Card(File);

impl AsFd for Card {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl drm::Device for Card {}
impl drm::control::Device for Card {}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: drm_rs PATH")?;
    let card = Card(OpenOptions::new().read(true).write(true).open(path)?);
    println!("driver {}", card.get_driver()?.name().to_string_lossy());
    let node = DrmNode::from_file(&card)?;
    println!("node {}:{}", node.major(), node.minor());
    let mut buffer = card.create_dumb_buffer((64, 32), DrmFourcc::Xrgb8888, 32)?;
    println!("pitch {}", buffer.pitch());
    let first = {
        let mut map = card.map_dumb_buffer(&mut buffer)?;
        map.fill(0x5a);
        map.as_ref().first().copied()
    };
    let again = card.map_dumb_buffer(&mut buffer)?;
    if first != Some(0x5a) || again.iter().any(|byte| *byte != 0x5a) {
        return Err("the second mapping shows other memory".into());
    }
    println!("mapped {} bytes", again.len());
    Ok(())
}
