// SPDX-License-Identifier: MIT
//! Fences and syncobjs. A fence is the host's, signalled once; a syncobj holds one, or a timeline
//! of them.
//!
//! [`wait`] sleeps on them.

pub mod wait;

use drvhost_abi::{Errno, Host};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// One use of a fence (or an eventfd) of the host's. Dropping it ends the use.
#[derive(Debug)]
pub struct HostFence {
    host: Host,
    /// The host's id.
    pub id: u64,
    done: AtomicBool,
    watched: AtomicBool,
}

impl HostFence {
    /// Takes over one use of a fence.
    pub fn new(host: Host, id: u64) -> Arc<HostFence> {
        Arc::new(HostFence {
            host,
            id,
            done: AtomicBool::new(false),
            watched: AtomicBool::new(false),
        })
    }

    /// Makes a fence that is signalled already.
    pub fn signalled(host: Host) -> Result<Arc<HostFence>, Errno> {
        let fence = HostFence::new(host, host.fence_create()?);
        host.fence_signal(fence.id)?;
        Ok(fence)
    }

    /// It was signalled (or failed, which ends it too).
    pub fn is_done(&self) -> bool {
        self.wait(0)
    }

    /// Sleeps until it is signalled; false when the deadline came first.
    pub fn wait(&self, deadline: u64) -> bool {
        if self.done.load(Ordering::Acquire) {
            return true;
        }
        let done = self.host.fence_wait(self.id, deadline) != Err(Errno::ETIMEDOUT);
        if done {
            self.done.store(true, Ordering::Release);
        }
        done
    }

    /// Signals it.
    pub fn signal(&self) -> Result<(), Errno> {
        self.host.fence_signal(self.id)
    }

    /// True for the first caller, which then has to watch it.
    fn claim_watch(&self) -> bool {
        !self.watched.swap(true, Ordering::AcqRel)
    }
}

impl Drop for HostFence {
    fn drop(&mut self) {
        // Nothing is left to do about an error here.
        let _ = self.host.fence_put(self.id);
    }
}

/// A fence inside a syncobj; `None` is one that was signalled from the start.
pub type Fence = Option<Arc<HostFence>>;

fn is_done(fence: &Fence) -> bool {
    fence.as_ref().is_none_or(|fence| fence.is_done())
}

/// What a syncobj holds.
#[derive(Debug, Default)]
struct Content {
    /// A fence outside of the timeline, before its first point.
    binary: Option<Fence>,
    /// Points, ascending.
    points: Vec<(u64, Fence)>,
}

/// A container for a fence or a timeline.
#[derive(Debug, Default)]
pub struct Syncobj {
    content: Mutex<Content>,
    /// The fence that stands for it outside, never signalled. It goes with the syncobj, or a
    /// closed file's exports would be held for ever.
    token: OnceLock<Arc<HostFence>>,
}

/// How a point of a syncobj stands.
#[derive(Debug)]
pub enum Standing {
    /// No fence was put there yet.
    Missing,
    /// These are not signalled yet.
    Pending(Vec<Arc<HostFence>>),
    /// Signalled.
    Done,
}

impl Syncobj {
    fn content(&self) -> std::sync::MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The host's id of the fence that stands for it outside, and whether that is new. Not by
    /// several threads at once.
    pub fn token(&self, host: Host) -> Result<(u64, bool), Errno> {
        if let Some(token) = self.token.get() {
            return Ok((token.id, false));
        }
        let fence = HostFence::new(host, host.fence_create()?);
        Ok((self.token.get_or_init(|| fence).id, true))
    }

    /// Puts a fence in the place of all that was, or empties it.
    pub fn replace(&self, fence: Option<Fence>) {
        *self.content() = Content {
            binary: fence,
            points: Vec::new(),
        };
    }

    /// Adds a point to the timeline. A point that is not past the last one takes its number.
    pub fn add_point(&self, point: u64, fence: Fence) {
        let mut content = self.content();
        let last = content.points.last().map_or(0, |(last, _)| *last);
        content.points.push((point.max(last), fence));
        // What is done before a done point says nothing any more.
        let done = content
            .points
            .iter()
            .take_while(|(_, f)| is_done(f))
            .count();
        if done > 1 && content.binary.as_ref().is_none_or(is_done) {
            content.points.drain(..done - 1);
        }
    }

    /// The fences that have to be signalled for a point (zero: the whole).
    pub fn standing(&self, point: u64) -> Standing {
        let content = self.content();
        let until = match point {
            0 => content.points.len(),
            _ => match content.points.iter().position(|(p, _)| *p >= point) {
                Some(at) => at + 1,
                None => return Standing::Missing,
            },
        };
        if until == 0 && content.binary.is_none() {
            return Standing::Missing;
        }
        let fences = content.points[..until].iter().map(|(_, fence)| fence);
        let open: Vec<_> = fences
            .chain(&content.binary)
            .filter_map(|fence| fence.clone().filter(|fence| !fence.is_done()))
            .collect();
        if open.is_empty() {
            Standing::Done
        } else {
            Standing::Pending(open)
        }
    }

    /// The last point that is signalled, or with `submitted` the last there is.
    pub fn query(&self, submitted: bool) -> u64 {
        let content = self.content();
        let points = content.points.iter();
        if submitted {
            return points.last().map_or(0, |(point, _)| *point);
        }
        if !content.binary.as_ref().is_none_or(is_done) {
            return 0;
        }
        let done = points.take_while(|(_, fence)| is_done(fence));
        done.last().map_or(0, |(point, _)| *point)
    }
}
