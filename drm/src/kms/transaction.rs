// SPDX-License-Identifier: MIT
//! A change of the KMS state being put together.

use super::blob::{Blob, bytes_of};
use super::framebuffer::Framebuffer;
use super::registry::{Origin, Registry};
use super::state::{ConnectorState, CrtcState, KmsState, PlaneState};
use crate::mode::Mode;
use crate::rect::Rect;
use crate::sync::HostFence;
use drvhost_abi::Errno;
use std::sync::Arc;

/// What kind of change it is, where that matters for its timing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Pace {
    /// It takes effect at the next vertical blank, and the next change waits for that.
    #[default]
    Frame,
    /// A cursor or dirty rectangles: at once, as often as a program likes.
    Immediate,
    /// A flip that need not wait for the vertical blank.
    Async,
}

/// A change: the old state, the new one, and what it touches (masks by index).
#[derive(Clone, Debug)]
pub struct Transaction {
    /// What was.
    pub old: Arc<KmsState>,
    /// What is to be.
    pub new: KmsState,
    /// Touched planes.
    pub planes: u32,
    /// Touched CRTCs.
    pub crtcs: u32,
    /// Touched connectors.
    pub connectors: u32,
    /// A mode may be set.
    pub allow_modeset: bool,
    /// Its timing.
    pub pace: Pace,
    /// Fences to wait for first.
    pub in_fences: Vec<Arc<HostFence>>,
    /// CRTCs that owe a fence, and its place in the call.
    pub out_fences: Vec<(usize, u32)>,
    /// A flip event is due to this file with this user data, one for each touched CRTC.
    pub event: Option<(u64, u64)>,
    /// A framebuffer's pixels changed in place: its id, and where.
    pub dirty: Option<(u32, Vec<Rect>)>,
}

impl Transaction {
    /// An empty change of `old`.
    pub fn new(old: &Arc<KmsState>) -> Transaction {
        let mut new = KmsState::clone(old);
        for plane in &mut new.planes {
            plane.damage = None;
        }
        Transaction {
            old: old.clone(),
            new,
            planes: 0,
            crtcs: 0,
            connectors: 0,
            allow_modeset: true,
            pace: Pace::Frame,
            in_fences: Vec::new(),
            out_fences: Vec::new(),
            event: None,
            dirty: None,
        }
    }

    /// A plane to change; the CRTC it is on is touched too.
    pub fn plane(&mut self, index: usize) -> &mut PlaneState {
        self.planes |= 1 << index;
        if let Some(crtc) = self.new.planes[index].crtc {
            self.crtcs |= 1 << crtc;
        }
        &mut self.new.planes[index]
    }

    /// A CRTC to change.
    pub fn crtc(&mut self, index: usize) -> &mut CrtcState {
        self.crtcs |= 1 << index;
        &mut self.new.crtcs[index]
    }

    /// A connector to change; the CRTC that feeds it is touched too.
    pub fn connector(&mut self, index: usize) -> &mut ConnectorState {
        self.connectors |= 1 << index;
        if let Some(crtc) = self.new.connectors[index].crtc {
            self.crtcs |= 1 << crtc;
        }
        &mut self.new.connectors[index]
    }

    /// Puts a plane on a CRTC, or takes it off.
    pub fn set_plane_crtc(&mut self, plane: usize, crtc: Option<usize>) {
        self.plane(plane).crtc = crtc;
        if let Some(crtc) = crtc {
            self.crtcs |= 1 << crtc;
        }
    }

    /// Takes a plane off its CRTC.
    pub fn disable_plane(&mut self, plane: usize) {
        self.set_plane_crtc(plane, None);
        let state = self.plane(plane);
        *state = PlaneState::default();
    }

    /// Shows all of a CRTC's part of a framebuffer on a plane.
    pub fn set_plane(
        &mut self,
        plane: usize,
        crtc: usize,
        fb: Arc<Framebuffer>,
        dst: (i32, i32, u32, u32),
        src: (u32, u32, u32, u32),
    ) {
        self.set_plane_crtc(plane, Some(crtc));
        let state = self.plane(plane);
        state.fb = Some(fb);
        (state.crtc_x, state.crtc_y, state.crtc_w, state.crtc_h) = dst;
        (state.src_x, state.src_y, state.src_w, state.src_h) = src;
    }

    /// Feeds a connector from a CRTC, or from none.
    pub fn set_connector_crtc(&mut self, connector: usize, crtc: Option<usize>) {
        self.connector(connector).crtc = crtc;
        if let Some(crtc) = crtc {
            self.crtcs |= 1 << crtc;
        }
    }

    /// Sets a CRTC's mode from a program's numbers, with a blob of its own; or takes it away.
    pub fn set_mode(
        &mut self,
        crtc: usize,
        mode: Option<Mode>,
        registry: &mut Registry,
    ) -> Result<(), Errno> {
        let blob = match mode {
            None => None,
            // The same mode keeps its blob, so that its id stays.
            Some(mode) if self.new.crtcs[crtc].mode == Some(mode) => {
                self.new.crtcs[crtc].mode_blob.clone()
            }
            Some(mode) => Some(registry.blob(Origin::Core, bytes_of(&[mode]))?),
        };
        self.set_mode_blob(crtc, mode, blob);
        Ok(())
    }

    /// Sets a CRTC's mode from a blob.
    pub fn set_mode_blob(&mut self, crtc: usize, mode: Option<Mode>, blob: Option<Arc<Blob>>) {
        let state = self.crtc(crtc);
        state.mode = mode;
        state.mode_blob = blob;
    }

    /// Indexes of the touched CRTCs.
    pub fn touched_crtcs(&self) -> Vec<usize> {
        (0..self.new.crtcs.len())
            .filter(|crtc| self.crtcs & (1 << crtc) != 0)
            .collect()
    }

    /// Indexes of the touched planes.
    pub fn touched_planes(&self) -> Vec<usize> {
        (0..self.new.planes.len())
            .filter(|plane| self.planes & (1 << plane) != 0)
            .collect()
    }
}
