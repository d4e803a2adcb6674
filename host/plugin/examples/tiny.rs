// SPDX-License-Identifier: MIT
//! The smallest Rust plugin: it takes no device. A test checks its file.

use drvhost_abi::errno::Errno;
use drvhost_abi::plugin::About;
use drvhost_abi::tables::{DeviceV1, MmapArgs, NodeKind};
use drvhost_abi::{Call, Driver, Host, Instance, Mapped, NodeFile, Opened, export_driver};

/// "No such device", as Linux numbers it.
const ENODEV: i32 = 19;

struct Tiny;

impl Driver for Tiny {
    type Instance = Self;

    fn probe(_host: Host, _device: &'static DeviceV1) -> Result<Self, Errno> {
        Err(Errno(ENODEV))
    }
}

impl Instance for Tiny {
    type File = Self;

    fn nodes(&self) -> Vec<(NodeKind, String)> {
        Vec::new()
    }

    fn open(&self, _opened: &Opened) -> Result<Self, Errno> {
        Err(Errno(ENODEV))
    }
}

impl NodeFile for Tiny {
    fn ioctl(&self, _call: &mut Call<'_>) -> Result<u64, Errno> {
        Err(Errno(ENODEV))
    }

    fn mmap(&self, _args: &MmapArgs) -> Result<Mapped, Errno> {
        Err(Errno(ENODEV))
    }
}

const ABOUT: About = About {
    name: c"tiny",
    description: c"Takes no device",
    ids: &[],
    params: &[],
};

export_driver!(Tiny, ABOUT);
