// SPDX-License-Identifier: MIT
//! A program's end closes its files before anybody else can know of it: Linux does it that way,
//! and programs count on it (the next opener becomes master). Here the host notices a closed file
//! a little later, so an opener first waits until those are closed that nobody holds any more.

use super::device::Device;
use super::shared::Shared;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// How many files of a device are being closed.
#[derive(Debug, Default)]
pub(crate) struct Closings {
    count: Mutex<usize>,
    done: Condvar,
}

/// One file that is being closed, until this is dropped.
#[derive(Debug)]
pub(crate) struct Closing(Arc<Closings>);

impl Closings {
    pub(crate) fn begin(self: &Arc<Self>) -> Closing {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Closing(self.clone())
    }

    fn wait(&self) {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.done.wait_while(count, |count| *count > 0));
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.done.notify_all();
    }
}

/// Closes the files of a device that nobody holds any more, and waits until they are closed.
pub(crate) fn reap(shared: &Arc<Shared>, device: &Arc<Device>) {
    let hung_up: Vec<u64> = {
        let tables = shared.tables();
        let files = tables
            .files
            .values()
            .filter(|file| Arc::ptr_eq(&file.device, device));
        files
            .filter(|file| file.hung_up())
            .map(|file| file.cookie)
            .collect()
    };
    for cookie in hung_up {
        super::close::last_descriptor(shared, cookie);
    }
    device.closings.wait();
}
