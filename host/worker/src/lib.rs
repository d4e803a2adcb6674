// SPDX-License-Identifier: MIT
//! The worker process: loading, confinement and calls; and the host's end of it.
//!
//! For the supervisor:
//!
//! ```ignore
//! let clock = Arc::new(Clock::real()?);            // one for the host; tests use Clock::stepped
//! let config = Config::new(clock);                 // `drvhost worker` of this executable
//! let link = Link::spawn(&config)?;                // a process
//! let loaded = link.load(&plugin)?;                // now a spare: locked in, plugin loaded
//! link.bind(Binding { device, address, ids, params, vblank_base, upcalls, firmware })?;
//! front.resume(Arc::new(link));                    // Link implements drvhost_port::Worker
//! link.on_exit(|exit| ...);                        // called when it has ended
//! if let Some(report) = link.hang(clock.now(), limit) { link.kill(Cause::Hang(report)) }
//! link.report()                                    // crash report, also after the end
//! ```
//!
//! For the program: `drvhost worker` calls [`run`]; its control socket is standard input.
//!
//! Read in this order: [`wire`] (what both ends share), [`link`] (the host's end), `process` (the
//! worker's end).

#[cfg(target_os = "linux")]
pub mod link;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
pub mod wire;

#[cfg(target_os = "linux")]
pub use link::{
    Binding, Cause, Config, CrashReport, Exit, Firmware, HangReport, Link, LinkError, Loaded,
    LogLine, Plugin, Sink, Status,
};
#[cfg(target_os = "linux")]
pub use process::run;
#[cfg(target_os = "linux")]
pub use wire::clock::Clock;
#[cfg(target_os = "linux")]
pub use wire::message::{Kind, Limits};
