// SPDX-License-Identifier: MIT
//! The driver's open files, by the host's cookies.

use super::{Process, lock};
use crate::wire::message::{Ask, FromWorker, MAX_EVENT};
use drvhost_abi::Errno;
use drvhost_abi::tables::OpenArgs;
use rustix::net::SendFlags;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::c_void;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

/// An open file. The driver closes it when the last call on it is over.
#[derive(Debug)]
pub(super) struct File {
    pointer: *mut c_void,
    release: Option<unsafe extern "C" fn(*mut c_void)>,
}

// SAFETY: the ABI says that a file's functions are called from any thread.
unsafe impl Send for File {}
// SAFETY: as above, several at once.
unsafe impl Sync for File {}

impl File {
    pub(super) fn pointer(&self) -> *mut c_void {
        self.pointer
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            // SAFETY: the pointer came from the driver's `open` (or `file_create`), and no call
            // on it is under way: each call holds a reference to this value.
            unsafe { release(self.pointer) };
        }
    }
}

#[derive(Debug)]
struct Place {
    // None while the driver opens it: it may post events then.
    file: Option<Arc<File>>,
    events: Option<Arc<OwnedFd>>,
}

/// The open files.
#[derive(Debug, Default)]
pub(super) struct Files {
    map: Mutex<HashMap<u64, Place>>,
}

impl Process {
    /// A file by its cookie.
    pub(super) fn file(&self, cookie: u64) -> Result<Arc<File>, Errno> {
        let files = lock(&self.files.map);
        files
            .get(&cookie)
            .and_then(|place| place.file.clone())
            .ok_or(Errno::EBADF)
    }

    /// Has the driver open a node. With `events`, the file's events go there.
    pub(super) fn open(
        &self,
        args: &OpenArgs,
        events: Option<Arc<OwnedFd>>,
    ) -> Result<Arc<File>, Errno> {
        let open = self.table.open.ok_or(Errno::ENOSYS)?;
        match lock(&self.files.map).entry(args.cookie) {
            Entry::Occupied(_) => return Err(Errno::EEXIST),
            Entry::Vacant(entry) => drop(entry.insert(Place { file: None, events })),
        }
        let instance = self.instance.load(std::sync::atomic::Ordering::Acquire);
        let mut pointer = std::ptr::null_mut();
        // SAFETY: the instance came from `probe`; the pointers are valid during the call.
        let status = unsafe { open(instance, args, &mut pointer) };
        let mut files = lock(&self.files.map);
        if let Err(errno) = Errno::check(status.into()) {
            files.remove(&args.cookie);
            return Err(errno);
        }
        let file = Arc::new(File {
            pointer,
            release: self.table.release,
        });
        if let Some(place) = files.get_mut(&args.cookie) {
            place.file = Some(file.clone());
        }
        Ok(file)
    }

    /// Forgets a file; the driver closes it when the last call on it is over.
    pub(super) fn close(&self, cookie: u64) -> Result<(), Errno> {
        let place = lock(&self.files.map).remove(&cookie).ok_or(Errno::EBADF)?;
        // The lock is free again: the driver's `release` may post events.
        drop(place);
        Ok(())
    }

    /// Forgets all files.
    pub(super) fn close_all(&self) {
        let places = std::mem::take(&mut *lock(&self.files.map));
        drop(places);
    }

    /// A call made a file: asks the host for a cookie.
    pub(super) fn file_create(&self, node: u32, pointer: *mut c_void) -> Result<u64, Errno> {
        let (reply, _) = self.ask(Ask::FileCreate { node })?;
        let file = Arc::new(File {
            pointer,
            release: self.table.release,
        });
        let place = Place {
            file: Some(file),
            events: None,
        };
        lock(&self.files.map).insert(reply.id, place);
        Ok(reply.id)
    }

    /// Sends events to a file's reader.
    pub(super) fn post_event(&self, cookie: u64, data: &[u8]) -> Result<(), Errno> {
        if data.len() > MAX_EVENT {
            return Err(Errno::E2BIG);
        }
        let events = match lock(&self.files.map).get(&cookie) {
            Some(place) => place.events.clone(),
            None => return Err(Errno::ENOENT),
        };
        let Some(events) = events else {
            self.control.send(&FromWorker::Event {
                file: cookie,
                data: data.to_vec(),
            });
            return Ok(());
        };
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match rustix::net::send(&*events, data, flags) {
            Ok(_) => Ok(()),
            // A client that does not read its events loses them, as with Linux.
            Err(rustix::io::Errno::AGAIN) => Err(Errno::ENOSPC),
            Err(_) => Err(Errno::ENOENT),
        }
    }
}
