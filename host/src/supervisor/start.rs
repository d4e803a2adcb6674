// SPDX-License-Identifier: MIT
//! How a worker is started, bound and given the recorded state.

use super::device::{Actor, Command};
use super::{access, firmware};
use drvhost_front::DeviceConfig;
use drvhost_port::Recovery;
use drvhost_worker::{Binding, Config, Link, LinkError};
use std::sync::Arc;

/// Why a worker could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Another try will end the same: the file is bad, or the driver does not want the device.
    #[error("{0}")]
    ForGood(String),
    /// It may go better next time.
    #[error("{0}")]
    ThisTime(String),
}

/// Starts a worker with the current driver loaded, bound to nothing: a spare.
pub(super) fn load(actor: &Actor) -> Result<Arc<Link>, Refused> {
    let candidate = actor
        .candidate()
        .ok_or_else(|| Refused::ForGood("no driver was chosen".into()))?;
    let context = &actor.context;
    let plugin = context
        .images
        .get(&candidate.library)
        .map_err(|error| Refused::ForGood(error.to_string()))?;
    let target = actor.target();
    let mut config = Config::new(context.clock.clone());
    config.sink = Arc::new(move |line| {
        log::log!(target: &target, line.level(), "{}: {}", line.target, line.text);
    });
    let watchdog = context.watchdog.clone();
    config.busy = Arc::new(move || watchdog.wake());
    let link = Arc::new(Link::spawn(&config).map_err(refused)?);
    let policy = &candidate.manifest.item.policy;
    context
        .watchdog
        .watch(&link, policy.hang_limit_ms, actor.target());
    let loaded = link.load(&plugin).map_err(refused)?;
    for missing in &loaded.unconfined {
        log::warn!(target: &actor.target(), "the worker is not confined: {missing}");
    }
    let sender = actor.device.sender();
    let pid = link.pid();
    link.on_exit(move |exit| {
        // The actor may have ended: then nobody needs to know.
        let _ = sender.send(Command::Died {
            pid,
            exit: exit.clone(),
        });
    });
    Ok(link)
}

/// Starts a worker for the actor's device, from the spare one if there is one.
pub(super) fn start(actor: &mut Actor) -> Result<(), Refused> {
    let link = match actor.spare.take() {
        Some(spare) => spare,
        None => load(actor)?,
    };
    let found = actor.device.found.clone();
    let device = actor
        .context
        .bus
        .open(found.address)
        .map_err(Refused::ThisTime)?;
    let front = match &actor.recovery {
        Some(front) => front.clone(),
        None => {
            let candidate = actor
                .candidate()
                .ok_or_else(|| Refused::ForGood("no driver".into()))?;
            let manifest = &candidate.manifest.item;
            let config = DeviceConfig {
                minor: actor.device.minor,
                card: access::resolve(&manifest.access.card),
                render: access::resolve(&manifest.access.render),
                ..DeviceConfig::new(found.address.to_string())
            };
            let front = actor.context.front.add_device(config);
            actor.recovery = Some(front.clone());
            front
        }
    };
    let params = actor
        .candidate()
        .map(|candidate| candidate.params.clone())
        .unwrap_or_default();
    actor.link = Some(link.clone());
    actor.publish();
    link.bind(Binding {
        device,
        address: found.address,
        ids: found.ids,
        params: params.into_iter().collect(),
        vblank_base: front.vblank_base(),
        upcalls: front.upcalls(),
        firmware: firmware::source(&actor.context.firmware),
    })
    .map_err(refused)?;
    let restored = front
        .resume(link.clone())
        .map_err(|error| Refused::ThisTime(format!("cannot put the state back: {error}")))?;
    for lost in &restored.lost {
        log::warn!(target: &actor.target(), "lost: {lost}");
    }
    actor
        .device
        .update(|report| report.lost.clone_from(&restored.lost));
    Ok(())
}

fn refused(error: LinkError) -> Refused {
    let text = error.to_string();
    match error {
        // The same file will be refused again.
        LinkError::Load { .. } => Refused::ForGood(text),
        _ => Refused::ThisTime(text),
    }
}
