// SPDX-License-Identifier: MIT
//! What the daemon makes at start, in which order.

use super::Daemon;
use crate::bus::{Bus, sysfs::Sysfs, vfio_user};
use crate::cli::args::{ClockKind, DaemonOptions};
use crate::logs;
use crate::supervisor::{Context, Images, Watchdog};
use anyhow::{Context as _, Result, bail};
use drvhost_channel::paths;
use drvhost_front::{Front, Limits};
use drvhost_manifest::{DEFAULT_DIRS, Store};
use drvhost_worker::Clock;
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, RwLock, mpsc};

/// Runs the daemon until it is told to stop.
pub fn main(options: &DaemonOptions) -> ExitCode {
    let lines = logs::start();
    match run(options, lines) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Buffers, fences and files of all programs are descriptors of this process. The usual limit is
/// for programs that use `select`, which this one does not.
fn allow_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        log::warn!("cannot raise the limit of open files: {error}");
    }
}

fn run(options: &DaemonOptions, lines: Arc<logs::Lines>) -> Result<()> {
    allow_descriptors();
    let run_dir = paths::run_dir();
    let _lock = take(&run_dir)?;
    let dirs: Vec<PathBuf> = if options.drivers.is_empty() {
        DEFAULT_DIRS.iter().map(PathBuf::from).collect()
    } else {
        options.drivers.clone()
    };
    let (store, problems) = Store::load(&dirs);
    let bus: Arc<dyn Bus> = match &options.bus {
        Some(dir) => Arc::new(vfio_user::Directory(dir.clone())),
        None => Arc::new(Sysfs),
    };
    let clock = match options.clock {
        ClockKind::Real => Clock::real(),
        ClockKind::Stepped => Clock::stepped(1_000_000_000),
    };
    let clock = Arc::new(clock.context("cannot make the clock")?);
    let limits = Limits {
        memory_per_user: options.memory_per_user.saturating_mul(1 << 20),
        files_per_user: options.files_per_user,
        ..Limits::default()
    };
    let front = Front::start(&run_dir, limits).context("cannot open the programs' socket")?;
    let context = Arc::new(Context {
        bus,
        front: Arc::new(front),
        clock: clock.clone(),
        store: RwLock::new(Arc::new(store)),
        images: Images::new(
            drvhost_plugin::Checker::system().context("cannot read the system's libraries")?,
        ),
        watchdog: Watchdog::start(clock)?,
        firmware: options.firmware.clone(),
        spare: options.spare,
        lines: lines.clone(),
        crashes: crate::supervisor::Crashes::default(),
    });
    let (stop, stopped) = mpsc::channel();
    let daemon = Arc::new(Daemon {
        context,
        lines,
        devices: Mutex::new(BTreeMap::new()),
        problems: Mutex::new(Vec::new()),
        stop: stop.clone(),
    });
    daemon.keep(&problems);
    watch(&daemon, &dirs)?;
    daemon.rescan();
    let socket = run_dir.join(paths::CONTROL);
    let listener =
        UnixListener::bind(&socket).with_context(|| format!("cannot bind {}", socket.display()))?;
    // Everybody may look; the server asks who wants to change something.
    std::fs::set_permissions(&socket, Permissions::from_mode(0o666))?;
    crate::control::server::serve(listener, daemon.clone())?;
    on_signal(stop)?;
    log::info!("ready in {}", run_dir.display());
    // Ends by a command or a signal; both senders live as long as the process.
    let _ = stopped.recv();
    log::info!("stops");
    daemon.shut_down();
    let _ = std::fs::remove_file(&socket);
    Ok(())
}

/// Makes the run directory and takes its lock; removes what an earlier daemon left.
fn take(dir: &Path) -> Result<File> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(dir)
        .with_context(|| format!("cannot make {}", dir.display()))?;
    let path = dir.join("lock");
    let lock = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
    if rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
        bail!(
            "another drvhost runs in {}; `drvhost stop` ends it",
            dir.display()
        );
    }
    for name in [paths::CONTROL, paths::FRONT] {
        let _ = std::fs::remove_file(dir.join(name));
    }
    Ok(lock)
}

/// Watches the bus and the manifest directories.
fn watch(daemon: &Arc<Daemon>, dirs: &[PathBuf]) -> Result<()> {
    let told = daemon.clone();
    daemon
        .context
        .bus
        .watch(Box::new(move || told.rescan()))
        .context("cannot watch the bus for devices that come and go")?;
    for dir in dirs {
        let told = daemon.clone();
        let watched = vfio_user::watch_directory(dir, "drivers", Box::new(move || told.reload()));
        if let Err(error) = watched {
            log::warn!("{} is not watched for new drivers: {error}", dir.display());
        }
    }
    Ok(())
}

fn on_signal(stop: mpsc::Sender<()>) -> Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for _ in signals.forever() {
                let _ = stop.send(());
            }
        })?;
    Ok(())
}
