// SPDX-License-Identifier: MIT
//! Closing files: their rings end, their calls run out, then the driver lets go.

use super::ring::ProcessRing;
use super::shared::Shared;
use std::sync::Arc;

/// The last descriptor of a file is closed: ends it on a thread that may wait.
pub(crate) fn last_descriptor(shared: &Arc<Shared>, cookie: u64) {
    close(shared, cookie, true);
}

/// The worker or the device of a file is gone: its program sees a hang-up, and calls that wait
/// end with `ENODEV`.
pub(crate) fn end(shared: &Arc<Shared>, cookie: u64) {
    close(shared, cookie, false);
}

fn close(shared: &Arc<Shared>, cookie: u64, tell_worker: bool) {
    // Counted before it is gone from the tables, so that an opener sees one or the other.
    let Some(closing) = shared.file(cookie).map(|file| file.device.closings.begin()) else {
        return;
    };
    let Some(file) = shared.take_file(cookie) else {
        return;
    };
    file.hang_up(shared);
    file.interrupt();
    let numbers: Vec<u64> = file.ring_list().iter().map(|ring| ring.number).collect();
    let rings: Vec<Arc<ProcessRing>> = numbers
        .into_iter()
        .filter_map(|number| shared.drop_ring(number))
        .collect();
    shared.closers.run(move || {
        for ring in rings {
            ring.join();
        }
        file.wait_for_calls();
        file.device.release(&file, tell_worker);
        drop(closing);
    });
}
