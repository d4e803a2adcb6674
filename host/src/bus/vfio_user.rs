// SPDX-License-Identifier: MIT
//! A directory of vfio-user sockets, one for each function.

use super::{Bus, Found};
use driver_sys::vfio_user::Client;
use driver_sys::{BarInfo, BarKind, PciAddress, PciDevice, PciIds, vfio_user};
use rustix::fs::inotify;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

/// A directory of sockets named `<address>.sock`.
#[derive(Debug)]
pub struct Directory(pub PathBuf);

impl Directory {
    fn connect(&self, address: PciAddress) -> Result<Client, String> {
        let path = vfio_user::socket_path(&self.0, address);
        Client::connect(&path).map_err(|error| format!("{address}: {error}"))
    }
}

impl Bus for Directory {
    fn scan(&self) -> Vec<Found> {
        let list = match vfio_user::enumerate(&self.0) {
            Ok(list) => list,
            Err(error) => {
                log::warn!("cannot list the devices in {}: {error}", self.0.display());
                return Vec::new();
            }
        };
        list.into_iter()
            .filter_map(|address| {
                let device = self
                    .connect(address)
                    .inspect_err(|error| log::warn!("cannot look at a device: {error}"))
                    .ok()?;
                describe(address, &device)
            })
            .collect()
    }

    fn open(&self, address: PciAddress) -> Result<OwnedFd, String> {
        let device = self.connect(address)?;
        device
            .reset()
            .map_err(|error| format!("cannot reset {address}: {error}"))?;
        device
            .into_fd()
            .map_err(|error| format!("cannot hand {address} over: {error}"))
    }

    fn watch(&self, changed: Box<dyn Fn() + Send>) -> std::io::Result<()> {
        watch_directory(&self.0, "bus", changed)
    }
}

/// Reads what a function says about itself.
pub(super) fn describe(address: PciAddress, device: &dyn PciDevice) -> Option<Found> {
    let mut config = vec![0; 256];
    let read = device
        .config_read(0, &mut config)
        .and_then(|()| PciIds::read(device));
    match read {
        Ok(ids) => Some(Found {
            address,
            ids,
            config,
            bars: std::array::from_fn(|bar| {
                let none = BarInfo {
                    kind: BarKind::None,
                    size: 0,
                    mappable: false,
                };
                device.bar_info(bar as u8).unwrap_or(none)
            }),
        }),
        Err(error) => {
            log::warn!("{address}: cannot read its configuration space: {error}");
            None
        }
    }
}

/// Calls `changed` after files of a directory came, went or were written, from a new thread.
/// Changes within a few milliseconds are one.
pub fn watch_directory(
    dir: &std::path::Path,
    name: &str,
    changed: Box<dyn Fn() + Send>,
) -> std::io::Result<()> {
    use inotify::{CreateFlags, WatchFlags};
    let fd = inotify::init(CreateFlags::CLOEXEC)?;
    let flags = WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MOVED_TO
        | WatchFlags::MOVED_FROM
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::ATTRIB;
    inotify::add_watch(&fd, dir, flags)?;
    std::thread::Builder::new()
        .name(format!("{name}-watch"))
        .spawn(move || {
            let mut space = [MaybeUninit::uninit(); 4096];
            loop {
                let mut reader = inotify::Reader::new(&fd, &mut space);
                match reader.next() {
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return log::error!("a directory is no longer watched: {error}"),
                }
                // Let a burst of changes end: a copy writes a file in several steps.
                std::thread::sleep(Duration::from_millis(5));
                changed();
            }
        })?;
    Ok(())
}
