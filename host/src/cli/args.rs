// SPDX-License-Identifier: MIT
//! The arguments.

use clap::{Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

/// Runs hardware drivers as plugins in processes of their own.
///
/// Without a command this is the daemon.
///
/// Exit codes: 0 done; 1 failed; 2 wrong usage; 3 the daemon does not run; 4 no such device, node,
/// driver or report; 5 not allowed. `exec` ends as its program ends.
#[derive(Debug, Parser)]
#[command(name = "drvhost", version)]
pub struct Arguments {
    /// Answer in JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// Options of the daemon.
    #[command(flatten)]
    pub daemon: DaemonOptions,
    /// What to do.
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// Options of the daemon.
#[derive(Clone, Debug, clap::Args)]
pub struct DaemonOptions {
    /// Directory of vfio-user sockets, `<address>.sock`: a simulated machine. Without it this
    /// machine's own devices are listed.
    #[arg(long, value_name = "DIR")]
    pub bus: Option<PathBuf>,
    /// Directories of drivers and manifests, and of overrides; later ones win.
    /// [default: /usr/lib/redox/drivers /etc/redox/drivers.d]
    #[arg(long, value_name = "DIR")]
    pub drivers: Vec<PathBuf>,
    /// Directory of firmware files.
    #[arg(long, value_name = "DIR", default_value = "/lib/firmware")]
    pub firmware: PathBuf,
    /// The clock of drivers and supervision; a stepped one moves by `drvhost step` alone.
    #[arg(long, value_enum, default_value = "real")]
    pub clock: ClockKind,
    /// Buffer memory that one user may hold, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 4096)]
    pub memory_per_user: u64,
    /// Nodes that one user may hold open.
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub files_per_user: u64,
    /// Keep a spare worker for every device, whatever its manifest says.
    #[arg(long)]
    pub spare: bool,
}

/// Kinds of clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClockKind {
    /// The system's.
    Real,
    /// Moves when told.
    Stepped,
}

/// What to do. A device is named by its PCI address or by a node.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List devices, their drivers and states.
    List,
    /// Show everything about a device.
    Show {
        /// PCI address or node.
        device: String,
    },
    /// Explain rule by rule why a device has no driver, or this one.
    Doctor {
        /// PCI address or node; all devices without.
        device: Option<String>,
    },
    /// Print log lines of the daemon and its workers.
    Logs {
        /// PCI address; all lines without.
        device: Option<String>,
        /// How many of the last lines.
        #[arg(short = 'n', long, default_value_t = 100)]
        lines: usize,
        /// Go on with new lines.
        #[arg(short, long)]
        follow: bool,
    },
    /// Replace a device's worker, also out of quarantine.
    Restart {
        /// PCI address or node.
        device: String,
    },
    /// Take a device's driver away until it is enabled again.
    Disable {
        /// PCI address or node.
        device: String,
    },
    /// Undo `disable`.
    Enable {
        /// PCI address or node.
        device: String,
    },
    /// Bind a device to a driver by name.
    Bind {
        /// PCI address or node.
        device: String,
        /// Name of the driver, as manifests give it.
        driver: String,
    },
    /// Take a device's driver away.
    Unbind {
        /// PCI address or node.
        device: String,
    },
    /// List crash reports, or print one.
    Crashes {
        /// Number of the report.
        id: Option<u64>,
    },
    /// Work with manifests.
    Manifest {
        /// What to do.
        #[command(subcommand)]
        action: ManifestAction,
    },
    /// Run a program with drvhost's devices.
    #[command(trailing_var_arg = true)]
    Exec {
        /// Program and arguments.
        #[arg(required = true, allow_hyphen_values = true, value_name = "PROGRAM")]
        program: Vec<OsString>,
    },
    /// Save what a card shows as a PNG.
    Screenshot {
        /// Node or PCI address.
        device: String,
        /// File to write; `-` for standard output.
        file: PathBuf,
    },
    /// Step a stepped clock.
    Step {
        /// Nanoseconds.
        ns: u64,
    },
    /// End the daemon.
    Stop,
    /// A worker process: the daemon starts these.
    #[command(hide = true)]
    Worker,
}

/// What to do with manifests.
#[derive(Debug, Subcommand)]
pub enum ManifestAction {
    /// Check manifests, overrides, or directories of them.
    Check {
        /// Files or directories.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Write a manifest from a driver's own id table, firmware list and parameters.
    Generate {
        /// The driver.
        driver: PathBuf,
    },
}
