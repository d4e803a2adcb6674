// SPDX-License-Identifier: MIT
//! Interrupts of a vfio-user device: eventfds that the server writes to.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use zerocopy::IntoBytes;

use super::connection::Connection;
use super::{info, proto};
use crate::error::{Error, Result};
use crate::irq::IrqKind;

fn set(kind: IrqKind, flags: u32, start: u32, count: u32) -> proto::IrqSet {
    let argsz = size_of::<proto::IrqSet>() as u32;
    proto::IrqSet {
        argsz,
        flags,
        index: kind as u32,
        start,
        count,
    }
}

pub(super) fn enable(
    connection: &mut Connection,
    what: &str,
    kind: IrqKind,
    count: u32,
) -> Result<Vec<OwnedFd>> {
    let available = info::irq(connection, what, kind)?.count;
    if count == 0 || count > available {
        let why = format!("{count} vectors wanted, the device has {available}");
        return Err(Error::Invalid {
            what: what.into(),
            why,
        });
    }
    let fds = (0..count)
        .map(|_| eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK))
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|error| Error::io(what, error))?;
    let mut start = 0;
    for chunk in fds.chunks(connection.max_fds.max(1) as usize) {
        let flags = proto::IRQ_SET_DATA_EVENTFD | proto::IRQ_SET_TRIGGER;
        let message = set(kind, flags, start, chunk.len() as u32);
        let borrowed: Vec<BorrowedFd<'_>> = chunk.iter().map(AsFd::as_fd).collect();
        connection.call(
            what,
            proto::DEVICE_SET_IRQS,
            &[message.as_bytes()],
            &borrowed,
        )?;
        start += chunk.len() as u32;
    }
    Ok(fds)
}

pub(super) fn disable(connection: &mut Connection, what: &str, kind: IrqKind) -> Result<()> {
    // VFIO's way to turn an index off: trigger, no data, no vectors.
    let message = set(
        kind,
        proto::IRQ_SET_DATA_NONE | proto::IRQ_SET_TRIGGER,
        0,
        0,
    );
    connection
        .call(what, proto::DEVICE_SET_IRQS, &[message.as_bytes()], &[])
        .map(drop)
}

pub(super) fn unmask(
    connection: &mut Connection,
    what: &str,
    kind: IrqKind,
    vector: u32,
) -> Result<()> {
    let message = set(
        kind,
        proto::IRQ_SET_DATA_NONE | proto::IRQ_SET_UNMASK,
        vector,
        1,
    );
    connection
        .call(what, proto::DEVICE_SET_IRQS, &[message.as_bytes()], &[])
        .map(drop)
}
