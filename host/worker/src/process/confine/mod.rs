// SPDX-License-Identifier: MIT
//! What a worker gives up before it loads anything.
//!
//! | layer | what it takes away |
//! |---|---|
//! | [`limits`] | memory, descriptors, core dumps, files of its own |
//! | [`root`] | the file system: an own mount namespace with an empty root, nobody's uid |
//! | `landlock` | every file, TCP port, abstract socket and signal to others, once more |
//! | [`filter`] | every system call that a driver has no business with |
//!
//! Each layer holds without the others. [`enter`] runs before the plugin is loaded: from then on
//! nothing can be opened but the plugin's own sealed files, through the working directory
//! `/proc/self/fd` of the old root. [`Confined::close`] runs afterwards and takes `open` away too.
//! What the system lacks is said, not passed over in silence.

mod filter;
mod landlock;
mod limits;
mod root;

use crate::wire::message::Limits;

/// Why the process can't be locked in.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConfineError {
    #[error("the worker can't be locked in ({what}): {why}")]
    System { what: &'static str, why: String },
}

fn failed<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> ConfineError {
    move |error| ConfineError::System {
        what,
        why: error.to_string(),
    }
}

/// A process that can only open the plugin's files.
#[derive(Debug)]
pub(super) struct Confined {
    unconfined: Vec<String>,
}

/// Locks the process in, up to the plugin's files. It must have one thread.
pub(super) fn enter(limits: &Limits) -> Result<Confined, ConfineError> {
    let mut unconfined = Vec::new();
    rustix::thread::set_no_new_privs(true).map_err(failed("no new privileges"))?;
    limits::set(limits)?;
    if let Err(why) = root::enter() {
        unconfined.push(format!("no empty root: {why}"));
    }
    if let Some(why) = landlock::restrict()? {
        unconfined.push(why);
    }
    filter::install()?;
    Ok(Confined { unconfined })
}

impl Confined {
    /// Takes the last rights away; gives what is missing of the confinement, in words.
    pub(super) fn close(self) -> Result<Vec<String>, ConfineError> {
        rustix::process::chdir("/").map_err(failed("leave the plugin's directory"))?;
        filter::close()?;
        Ok(self.unconfined)
    }
}
