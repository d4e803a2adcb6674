// SPDX-License-Identifier: MIT
//! One client's conversation with the server: every request is checked here, then carried out.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use driver_sys::vfio_user::proto;
use driver_sys::vfio_user::wire::{self, Message, WireError};
use zerocopy::{FromBytes, IntoBytes};

use crate::function::{DmaProt, IRQ_COUNT, IRQ_INTX, Refused};
use crate::irqs;
use crate::regions;
use crate::server::{SharedFunction, lock};

/// A client that does not read its answers for this long is disconnected.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// How many DMA mappings a function holds at most.
const MAX_MAPPINGS: usize = 65536;

/// Which connection made what, for all connections of one function.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    /// IOVA to size and connection.
    mappings: BTreeMap<u64, (u64, u64)>,
    /// Interrupt index to connection.
    pub(crate) irqs: [Option<u64>; IRQ_COUNT as usize],
}

/// What a request gets.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) payload: Vec<u8>,
    pub(crate) fds: Vec<Arc<OwnedFd>>,
}

impl Answer {
    pub(crate) fn of(message: &(impl IntoBytes + zerocopy::Immutable)) -> Self {
        Self {
            payload: message.as_bytes().to_vec(),
            fds: Vec::new(),
        }
    }
}

/// What handling a request gives.
pub(crate) type Outcome = Result<Answer, Refused>;

pub(crate) struct Session {
    id: u64,
    socket: UnixStream,
    function: SharedFunction,
    owners: Arc<Mutex<Owners>>,
    negotiated: bool,
}

/// Takes a struct off the start of a request.
pub(crate) fn parse<T: FromBytes>(message: &Message) -> Result<(T, &[u8]), Refused> {
    message.parse().ok_or(Refused::INVALID)
}

impl Session {
    pub(crate) fn new(
        id: u64,
        socket: UnixStream,
        function: SharedFunction,
        owners: Arc<Mutex<Owners>>,
    ) -> Self {
        Self {
            id,
            socket,
            function,
            owners,
            negotiated: false,
        }
    }

    /// Answers requests until the client goes or breaks the rules.
    pub(crate) fn run(mut self) {
        let why = loop {
            match self.next() {
                Ok(()) => {}
                Err(WireError::Closed) => break "closed".to_string(),
                Err(error) => break error.to_string(),
            }
        };
        log::debug!("client {}: {why}", self.id);
        self.release();
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }

    fn next(&mut self) -> Result<(), WireError> {
        let mut message = wire::receive(self.socket.as_fd(), None)?;
        let header = message.header;
        if header.flags & proto::TYPE_MASK != proto::TYPE_COMMAND {
            return Err(WireError::Protocol("an answer to nothing".into()));
        }
        let outcome = self.handle(&mut message);
        if header.flags & proto::NO_REPLY != 0 {
            return Ok(());
        }
        let deadline = Some(Instant::now() + SEND_TIMEOUT);
        match outcome {
            Ok(answer) => {
                let fds: Vec<BorrowedFd<'_>> = answer.fds.iter().map(|fd| fd.as_fd()).collect();
                wire::reply(
                    &self.socket,
                    &header,
                    Ok((&[&answer.payload], &fds)),
                    deadline,
                )
            }
            Err(Refused::Errno(errno)) => wire::reply(&self.socket, &header, Err(errno), deadline),
            Err(Refused::NoAnswer) => Ok(()),
        }
    }

    fn handle(&mut self, message: &mut Message) -> Outcome {
        if self.negotiated == (message.header.command == proto::VERSION) {
            return Err(Refused::INVALID);
        }
        match message.header.command {
            proto::VERSION => self.version(message),
            proto::DMA_MAP => self.dma_map(message),
            proto::DMA_UNMAP => self.dma_unmap(message),
            proto::DEVICE_GET_INFO => self.device_info(message),
            proto::DEVICE_GET_REGION_INFO => regions::info(&*lock(&self.function), message),
            proto::DEVICE_GET_IRQ_INFO => irqs::info(&*lock(&self.function), message),
            proto::DEVICE_SET_IRQS => {
                let mut function = lock(&self.function);
                irqs::set(&mut *function, &mut lock(&self.owners), self.id, message)
            }
            proto::REGION_READ => regions::read(&mut *lock(&self.function), message),
            proto::REGION_WRITE => regions::write(&mut *lock(&self.function), message),
            proto::DEVICE_RESET => {
                lock(&self.function).reset()?;
                Ok(Answer::default())
            }
            _ => Err(Refused::UNSUPPORTED),
        }
    }

    fn version(&mut self, message: &Message) -> Outcome {
        let (theirs, _) = parse::<proto::Version>(message)?;
        if theirs.major != proto::MAJOR {
            return Err(Refused::UNSUPPORTED);
        }
        self.negotiated = true;
        let minor = theirs.minor.min(proto::MINOR);
        let mut answer = Answer::of(&proto::Version {
            major: proto::MAJOR,
            minor,
        });
        let limits = format!(
            "{{\"capabilities\":{{\"max_msg_fds\":{},\"max_data_xfer_size\":{}}}}}\0",
            proto::MAX_FDS,
            proto::DEFAULT_MAX_TRANSFER
        );
        answer.payload.extend_from_slice(limits.as_bytes());
        Ok(answer)
    }

    fn device_info(&self, message: &Message) -> Outcome {
        parse::<proto::DeviceInfo>(message)?;
        Ok(Answer::of(&proto::DeviceInfo {
            argsz: size_of::<proto::DeviceInfo>() as u32,
            flags: proto::DEVICE_FLAGS_RESET | proto::DEVICE_FLAGS_PCI,
            num_regions: lock(&self.function).region_count(),
            num_irqs: IRQ_COUNT,
        }))
    }

    fn dma_map(&self, message: &mut Message) -> Outcome {
        let (map, _) = parse::<proto::DmaMap>(message)?;
        let end = map.address.checked_add(map.size).ok_or(Refused::INVALID)?;
        let rights = proto::DMA_READ | proto::DMA_WRITE;
        if map.size == 0 || map.flags & !rights != 0 || message.fds.len() > 1 {
            return Err(Refused::INVALID);
        }
        let mut function = lock(&self.function);
        let mut owners = lock(&self.owners);
        if owners.mappings.len() >= MAX_MAPPINGS {
            return Err(Refused::Errno(28)); // ENOSPC
        }
        let below = owners.mappings.range(..end).next_back();
        if below.is_some_and(|(&start, &(size, _))| start + size > map.address) {
            return Err(Refused::Errno(17)); // EEXIST
        }
        let prot = DmaProt {
            read: map.flags & proto::DMA_READ != 0,
            write: map.flags & proto::DMA_WRITE != 0,
        };
        let file = message.fds.pop().map(|file| (file, map.offset));
        function.dma_map(map.address, map.size, prot, file)?;
        owners.mappings.insert(map.address, (map.size, self.id));
        Ok(Answer::default())
    }

    fn dma_unmap(&self, message: &Message) -> Outcome {
        let (unmap, _) = parse::<proto::DmaUnmap>(message)?;
        let mut function = lock(&self.function);
        let mut owners = lock(&self.owners);
        if owners.mappings.get(&unmap.address) != Some(&(unmap.size, self.id)) {
            return Err(Refused::Errno(2)); // ENOENT
        }
        owners.mappings.remove(&unmap.address);
        function.dma_unmap(unmap.address, unmap.size)?;
        Ok(Answer::of(&unmap))
    }

    /// Ends what the connection held.
    fn release(&self) {
        let mut function = lock(&self.function);
        let mut owners = lock(&self.owners);
        let mine: Vec<_> = owners
            .mappings
            .iter()
            .filter(|(_, held)| held.1 == self.id)
            .collect();
        let mine: Vec<_> = mine
            .into_iter()
            .map(|(&iova, &(size, _))| (iova, size))
            .collect();
        for (iova, size) in mine {
            owners.mappings.remove(&iova);
            if let Err(refused) = function.dma_unmap(iova, size) {
                log::warn!("client {}: end mapping at {iova:#x}: {refused:?}", self.id);
            }
        }
        for index in IRQ_INTX..IRQ_COUNT {
            if owners.irqs[index as usize] == Some(self.id) {
                owners.irqs[index as usize] = None;
                let none = (0..function.irq_count(index)).map(|_| None).collect();
                if let Err(refused) = function.set_irqs(index, 0, none) {
                    log::warn!("client {}: turn off interrupts: {refused:?}", self.id);
                }
            }
        }
    }
}
