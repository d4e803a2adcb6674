// SPDX-License-Identifier: MIT
//! Requests about interrupts.

use driver_sys::vfio_user::proto;
use driver_sys::vfio_user::wire::Message;

use crate::function::{IRQ_COUNT, IRQ_INTX, PciFunction, Refused};
use crate::session::{Answer, Outcome, Owners, parse};

pub(crate) fn info(function: &dyn PciFunction, message: &Message) -> Outcome {
    let (ask, _) = parse::<proto::IrqInfo>(message)?;
    if ask.index >= IRQ_COUNT {
        return Err(Refused::INVALID);
    }
    let count = function.irq_count(ask.index);
    let flags = match (count, ask.index) {
        (0, _) => 0,
        (_, IRQ_INTX) => {
            proto::IRQ_INFO_EVENTFD | proto::IRQ_INFO_MASKABLE | proto::IRQ_INFO_AUTOMASKED
        }
        _ => proto::IRQ_INFO_EVENTFD,
    };
    let argsz = size_of::<proto::IrqInfo>() as u32;
    Ok(Answer::of(&proto::IrqInfo {
        argsz,
        flags,
        index: ask.index,
        count,
    }))
}

pub(crate) fn set(
    function: &mut dyn PciFunction,
    owners: &mut Owners,
    client: u64,
    message: &mut Message,
) -> Outcome {
    const DATA: u32 =
        proto::IRQ_SET_DATA_NONE | proto::IRQ_SET_DATA_BOOL | proto::IRQ_SET_DATA_EVENTFD;
    let fds = std::mem::take(&mut message.fds);
    let (set, bytes) = parse::<proto::IrqSet>(message)?;
    if set.index >= IRQ_COUNT {
        return Err(Refused::INVALID);
    }
    let available = function.irq_count(set.index);
    let end = set.start.checked_add(set.count).ok_or(Refused::INVALID)?;
    if end > available {
        return Err(Refused::INVALID);
    }
    let (start, count) = (set.start, set.count);
    match (set.flags & DATA, set.flags & !DATA) {
        // VFIO's way to turn an index off.
        (proto::IRQ_SET_DATA_NONE, proto::IRQ_SET_TRIGGER) if start == 0 && count == 0 => {
            owners.irqs[set.index as usize] = None;
            if available > 0 {
                function.set_irqs(set.index, 0, (0..available).map(|_| None).collect())?;
            }
        }
        (proto::IRQ_SET_DATA_EVENTFD, proto::IRQ_SET_TRIGGER) if count > 0 => {
            let fds: Vec<_> = match fds.len() {
                0 => (0..count).map(|_| None).collect(),
                given if given == count as usize => fds.into_iter().map(Some).collect(),
                _ => return Err(Refused::INVALID),
            };
            function.set_irqs(set.index, start, fds)?;
            owners.irqs[set.index as usize] = Some(client);
        }
        (proto::IRQ_SET_DATA_NONE, action @ (proto::IRQ_SET_MASK | proto::IRQ_SET_UNMASK))
            if count > 0 =>
        {
            function.mask_irqs(set.index, start, count, action == proto::IRQ_SET_MASK)?;
        }
        (proto::IRQ_SET_DATA_BOOL, action @ (proto::IRQ_SET_MASK | proto::IRQ_SET_UNMASK))
            if count > 0 && bytes.len() == count as usize =>
        {
            for (vector, _) in (start..end).zip(bytes).filter(|(_, byte)| **byte != 0) {
                function.mask_irqs(set.index, vector, 1, action == proto::IRQ_SET_MASK)?;
            }
        }
        _ => return Err(Refused::INVALID),
    }
    Ok(Answer::default())
}
