// SPDX-License-Identifier: MIT
//! A front with a device of a few ioctls, for tests of the client's end alone.

#![allow(clippy::unwrap_used)]
// Each test file uses a part.
#![allow(dead_code)]

mod device;

use device::Device;
use drvhost_channel::packet;
use drvhost_channel::paths::{FRONT, NODES};
use drvhost_channel::program::{ATTACH, Answer, Ask, CALL, FdNote, MAGIC, MMAP, OPEN};
use drvhost_channel::ring::{Ring, RingServer, Slots, Stopper};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept, bind,
    connect, listen, socket_with,
};
use std::collections::HashMap;
use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use tempfile::TempDir;
use zerocopy::{FromBytes, IntoBytes};

/// One open file.
struct File {
    name: String,
    events: OwnedFd,
    device: Mutex<Device>,
    stoppers: Mutex<Vec<Stopper>>,
}

#[derive(Default)]
struct State {
    next_token: u64,
    by_inode: HashMap<u64, Arc<File>>,
    by_token: HashMap<u64, Arc<File>>,
    attached: u64,
}

/// The front. It serves until the test process ends.
pub struct FakeFront {
    dir: TempDir,
    state: Arc<Mutex<State>>,
}

impl FakeFront {
    /// Serves these nodes.
    pub fn start(names: &[&str]) -> FakeFront {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(NODES)).unwrap();
        let front = listener(&dir.path().join(FRONT));
        let nodes: HashMap<String, OwnedFd> = names
            .iter()
            .map(|name| {
                (
                    name.to_string(),
                    listener(&dir.path().join(NODES).join(name)),
                )
            })
            .collect();
        let state = Arc::new(Mutex::new(State::default()));
        let (served, run) = (state.clone(), dir.path().to_owned());
        let nodes = Arc::new(nodes);
        thread::spawn(move || {
            while let Ok(connection) = accept(&front) {
                let (state, run, nodes) = (served.clone(), run.clone(), nodes.clone());
                thread::spawn(move || answer(connection, &state, &run, &nodes));
            }
        });
        FakeFront { dir, state }
    }

    pub fn run_dir(&self) -> &Path {
        self.dir.path()
    }

    /// How often a program asked for a ring of a file it had not opened itself.
    pub fn attached(&self) -> u64 {
        self.state.lock().unwrap().attached
    }
}

fn unix_socket() -> OwnedFd {
    let kind = SocketType::SEQPACKET;
    socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap()
}

fn listener(path: &Path) -> OwnedFd {
    let socket = unix_socket();
    bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    listen(&socket, 64).unwrap();
    socket
}

fn answer(
    connection: OwnedFd,
    state: &Arc<Mutex<State>>,
    run: &Path,
    nodes: &HashMap<String, OwnedFd>,
) {
    let mut buffer = vec![0; 1 << 20];
    let (len, fds) = packet::receive(&connection, &mut buffer, RecvFlags::empty()).unwrap();
    let (ask, rest) = Ask::read_from_prefix(&buffer[..len]).unwrap();
    assert_eq!(ask.magic, MAGIC);
    let reply = match ask.op {
        OPEN => open(state, run, nodes, rest),
        ATTACH => attach(state, &fds[0]),
        CALL => call(state, &ask, rest, fds),
        MMAP => map(state, &ask),
        _ => Err(libc::EINVAL),
    };
    let (head, notes, payload, fds) = reply.unwrap_or_else(|errno| {
        let head = Answer {
            result: -i64::from(errno),
            ..Answer::default()
        };
        (head, Vec::new(), Vec::new(), Vec::new())
    });
    let head = Answer {
        magic: MAGIC,
        notes: notes.len() as u32,
        ..head
    };
    let parts = [
        IoSlice::new(head.as_bytes()),
        IoSlice::new(notes.as_bytes()),
        IoSlice::new(&payload),
    ];
    let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
    let _ = packet::send(&connection, &parts, &fds, SendFlags::empty());
}

type Reply = Result<(Answer, Vec<FdNote>, Vec<u8>, Vec<OwnedFd>), i32>;

fn inode(fd: &OwnedFd) -> u64 {
    rustix::fs::fstat(fd).unwrap().st_ino
}

fn open(
    state: &Arc<Mutex<State>>,
    run: &Path,
    nodes: &HashMap<String, OwnedFd>,
    name: &[u8],
) -> Reply {
    let name = String::from_utf8(name.to_vec()).unwrap();
    let node = nodes.get(&name).ok_or(libc::ENOENT)?;
    let path = run.join(NODES).join(&name);
    let mut locked = state.lock().unwrap();
    let near = unix_socket();
    connect(&near, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    let events = accept(node).unwrap();
    let file = Arc::new(File {
        name,
        events,
        device: Mutex::default(),
        stoppers: Mutex::default(),
    });
    let inode = inode(&near);
    locked.by_inode.insert(inode, file.clone());
    let (watched, owner) = (file.clone(), state.clone());
    thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((1.., _)) = packet::receive(&watched.events, &mut buffer, RecvFlags::empty()) {
        }
        owner.lock().unwrap().by_inode.remove(&inode);
        for stopper in watched.stoppers.lock().unwrap().iter() {
            stopper.stop();
        }
    });
    let (token, ring) = serve(&mut locked, &file);
    let head = Answer {
        token: [token, 7],
        ..Answer::default()
    };
    Ok((head, Vec::new(), Vec::new(), vec![near, ring]))
}

fn attach(state: &Arc<Mutex<State>>, socket: &OwnedFd) -> Reply {
    let mut state = state.lock().unwrap();
    let file = state
        .by_inode
        .get(&inode(socket))
        .ok_or(libc::EINVAL)?
        .clone();
    state.attached += 1;
    let (token, ring) = serve(&mut state, &file);
    let head = Answer {
        token: [token, 7],
        ..Answer::default()
    };
    Ok((head, Vec::new(), file.name.clone().into_bytes(), vec![ring]))
}

fn serve(state: &mut State, file: &Arc<File>) -> (u64, OwnedFd) {
    let fd = Ring::create(Slots::Program).unwrap();
    let server = RingServer::new(Ring::open(&fd, Slots::Program).unwrap());
    file.stoppers.lock().unwrap().push(server.stopper());
    for _ in 0..2 {
        let (server, file) = (server.clone(), file.clone());
        thread::spawn(move || {
            let mut payload = Vec::new();
            while let Some(taken) = server.next(&mut payload) {
                let cmd = taken.head.cmd;
                let (result, reply) = device::ioctl(&file.device, &file.events, cmd, &payload);
                server.reply(&taken, result, &[], &reply);
            }
        });
    }
    state.next_token += 1;
    let token = state.next_token;
    state.by_token.insert(token, file.clone());
    (token, fd)
}

fn file(state: &Arc<Mutex<State>>, ask: &Ask) -> Result<Arc<File>, i32> {
    assert_eq!(ask.token[1], 7);
    let state = state.lock().unwrap();
    state
        .by_token
        .get(&ask.token[0])
        .cloned()
        .ok_or(libc::EINVAL)
}

fn call(state: &Arc<Mutex<State>>, ask: &Ask, rest: &[u8], fds: Vec<OwnedFd>) -> Reply {
    let file = file(state, ask)?;
    let (notes, payload) = rest.split_at(ask.notes as usize * size_of::<FdNote>());
    let notes: Vec<FdNote> = notes
        .chunks_exact(size_of::<FdNote>())
        .map(|note| FdNote::read_from_bytes(note).unwrap())
        .collect();
    let mut device = file.device.lock().unwrap();
    let (result, notes, payload, fds) = device.call(ask.cmd, &notes, payload, fds);
    let head = Answer {
        result,
        ..Answer::default()
    };
    Ok((head, notes, payload, fds))
}

fn map(state: &Arc<Mutex<State>>, ask: &Ask) -> Reply {
    let file = file(state, ask)?;
    let device = file.device.lock().unwrap();
    let buffer = device
        .buffer_at(ask.offset, ask.length)
        .ok_or(libc::EINVAL)?;
    Ok((Answer::default(), Vec::new(), Vec::new(), vec![buffer]))
}
