// SPDX-License-Identifier: MIT
//! What a GPU driver in Rust implements: [`GpuDriver`]. Everything else is the core's.
//!
//! * [`pipeline`]: how a driver describes its display hardware;
//! * [`frame`]: what it is to show, as rows of pixels or as layers.

pub mod frame;
pub mod pipeline;

pub use frame::{CrtcUpdate, Frame, Layer};
pub use pipeline::{
    ConnectorDesc, CrtcDesc, Detected, EncoderDesc, Pipeline, PlaneDesc, PlaneKind, Status,
    VblankSource,
};

use crate::device::Device;
use crate::kms::state::KmsState;
use crate::uapi::drm_mode_modeinfo;
use drvhost_abi::tables::DeviceV1;
use drvhost_abi::{Errno, Host};
use std::sync::Weak;

/// What a driver says of itself in `DRM_IOCTL_VERSION`.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// Driver name as programs know it.
    pub name: &'static str,
    /// One line.
    pub description: &'static str,
    /// `YYYYMMDD`, or `0`.
    pub date: &'static str,
    /// Major, minor, patch level.
    pub version: (i32, i32, i32),
}

/// A driver for one graphics device. The core calls it from several threads, but never runs two
/// [`GpuDriver::commit`] at once.
pub trait GpuDriver: Send + Sync + 'static {
    /// Takes the device. `ENODEV`: it is not one that this driver can drive.
    fn probe(host: Host, device: &'static DeviceV1) -> Result<Self, Errno>
    where
        Self: Sized;

    /// Name and version.
    fn info(&self) -> Info;

    /// The display hardware. Asked once, after the probe; ids follow from the order.
    fn pipeline(&self) -> Pipeline;

    /// What is plugged into a connector (an index of the pipeline). May be slow.
    fn detect(&self, connector: usize) -> Detected;

    /// Whether the device can show a mode. The core has checked the mode's own numbers.
    fn mode_valid(&self, _connector: usize, _mode: &drm_mode_modeinfo) -> bool {
        true
    }

    /// The driver's own part of an atomic check, after the core's.
    fn check(&self, _new: &KmsState) -> Result<(), Errno> {
        Ok(())
    }

    /// Shows a CRTC's new state. Checked before; an error means broken hardware (`EIO`).
    fn commit(&self, update: &CrtcUpdate<'_>) -> Result<(), Errno>;

    /// Called once when the core is ready; a driver with interrupts keeps the handle.
    fn start(&self, _events: GpuEvents) {}
}

/// How a driver tells the core of what its hardware did. Cheap to clone.
#[derive(Clone, Debug)]
pub struct GpuEvents {
    pub(crate) device: Weak<Device>,
}

impl GpuEvents {
    /// A monitor came or went: the connectors are looked at again and programs are told.
    pub fn hotplug(&self) {
        if let Some(device) = self.device.upgrade() {
            device.hotplug();
        }
    }

    /// A vertical blank of a CRTC with [`VblankSource::Hardware`] began at `time` (ns, monotonic).
    pub fn vblank(&self, crtc: usize, time: u64) {
        if let Some(device) = self.device.upgrade() {
            device.hardware_vblank(crtc, time);
        }
    }
}
