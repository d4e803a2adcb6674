// SPDX-License-Identifier: MIT
//! A mode, its pages in video memory, and drawing into them.
//!
//! With room for two pages a change is drawn into the one that is not shown, and shown by moving
//! the upper edge: nobody sees half a picture.

use crate::registers::{ENABLED, Index, KEEP_MEMORY, LINEAR, Registers};
use crate::vram::Vram;
use driver_sys::PciDevice;
use drvhost_abi::Errno;
use drvhost_drm::gpu::Frame;
use drvhost_drm::rect::{Damage, Rect};

/// Bytes per pixel in video memory.
const CPP: u64 = 4;
/// Rows that are joined into one write where writes are dear, in bytes.
const JOINED: usize = 1 << 20;

/// What the adapter shows.
#[derive(Debug, Default)]
pub struct Screen {
    size: Option<(u32, u32)>,
    two_pages: bool,
    front: u32,
    /// What the page that is not shown lacks.
    behind: Damage,
}

/// Errors of the device as the core takes them.
pub fn errno(error: driver_sys::Error) -> Errno {
    Errno(error.errno())
}

/// Pixels per line in video memory: VGAs count in units of eight.
pub fn line(width: u32) -> u32 {
    width.next_multiple_of(8)
}

impl Screen {
    /// Stops showing anything.
    pub fn off<D: PciDevice>(&mut self, registers: &Registers<D>) -> Result<(), Errno> {
        self.size = None;
        registers.show(false).map_err(errno)?;
        registers.write(Index::Enable, 0).map_err(errno)
    }

    /// Sets a mode with its first picture already drawn. `EIO`: the adapter did not take it.
    pub fn set<D: PciDevice>(
        &mut self,
        registers: &Registers<D>,
        vram: &Vram,
        memory: u64,
        flip: bool,
        frame: &Frame,
    ) -> Result<(), Errno> {
        let (width, height) = (frame.bounds.width(), frame.bounds.height());
        let page = u64::from(line(width)) * u64::from(height) * CPP;
        if page > memory {
            return Err(Errno::ENOSPC);
        }
        self.size = Some((width, height));
        self.two_pages = flip && 2 * page <= memory && 2 * height <= u32::from(u16::MAX);
        self.front = 0;
        self.behind = Damage::default();
        self.behind.add(frame.bounds);

        let small = |value: u32| u16::try_from(value).map_err(|_| Errno::EINVAL);
        let write = |index, value| registers.write(index, value).map_err(errno);
        write(Index::Enable, 0)?;
        self.draw(vram, frame, &[frame.bounds], 0)?;
        write(Index::Bpp, 32)?;
        write(Index::XRes, small(width)?)?;
        write(Index::YRes, small(height)?)?;
        write(Index::Bank, 0)?;
        // Enabling sets line and offsets back on a VGA, so they follow.
        write(Index::Enable, ENABLED | LINEAR | KEEP_MEMORY)?;
        write(Index::VirtWidth, small(line(width))?)?;
        write(Index::XOffset, 0)?;
        write(Index::YOffset, 0)?;
        registers.show(true).map_err(errno)?;
        let read = |index| registers.read(index).map_err(errno);
        if u32::from(read(Index::XRes)?) != width
            || u32::from(read(Index::YRes)?) != height
            || read(Index::Enable)? & ENABLED == 0
        {
            return Err(Errno::EIO);
        }
        Ok(())
    }

    /// Shows the damaged parts of a picture of the size that is set.
    pub fn update<D: PciDevice>(
        &mut self,
        registers: &Registers<D>,
        vram: &Vram,
        frame: &Frame,
    ) -> Result<(), Errno> {
        let Some((_, height)) = self.size else {
            return Err(Errno::EIO);
        };
        let now = frame.damage.rects();
        if !self.two_pages {
            return self.draw(vram, frame, now, 0);
        }
        let back = 1 - self.front;
        let mut stale = core::mem::take(&mut self.behind);
        for rect in now {
            stale.add(*rect);
            self.behind.add(*rect);
        }
        self.draw(vram, frame, stale.rects(), back)?;
        let edge = u16::try_from(back * height).map_err(|_| Errno::EINVAL)?;
        registers.write(Index::YOffset, edge).map_err(errno)?;
        self.front = back;
        Ok(())
    }

    fn draw(&self, vram: &Vram, frame: &Frame, rects: &[Rect], page: u32) -> Result<(), Errno> {
        let (width, height) = self.size.ok_or(Errno::EIO)?;
        let pitch = u64::from(line(width)) * CPP;
        let start = u64::from(page) * u64::from(height) * pitch;
        for rect in rects {
            let rect = rect.intersect(&frame.bounds);
            if rect.is_empty() {
                continue;
            }
            let (left, top) = (rect.x1.unsigned_abs(), rect.y1.unsigned_abs());
            let at = |y: u32| start + u64::from(y) * pitch + u64::from(left) * CPP;
            // Whole lines lie one after the other, so many go in one write.
            let whole = left == 0 && rect.width() == line(width) && !vram.is_mapped();
            let row = rect.width() as usize * CPP as usize;
            let rows = if whole { (JOINED / row).max(1) } else { 1 };
            let mut pixels = vec![0; row * rows];
            let mut y = top;
            let bottom = rect.y2.unsigned_abs();
            while y < bottom {
                let count = (bottom - y).min(u32::try_from(rows).unwrap_or(1));
                let piece = &mut pixels[..row * count as usize];
                for (line, out) in (y..).zip(piece.chunks_exact_mut(row)) {
                    frame.row(left, line, out);
                }
                vram.write(at(y), piece)?;
                y += count;
            }
        }
        Ok(())
    }
}
