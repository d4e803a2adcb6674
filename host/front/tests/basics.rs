// SPDX-License-Identifier: MIT
//! A program opens a card, calls, maps, and closes.

mod support;

use drvhost_channel::memory::Mapping;
use drvhost_drm::uapi::*;
use support::client::Client;
use support::{Setup, eventually};

#[test]
fn a_card_is_listed_opened_called_and_mapped() {
    let setup = Setup::new();
    assert_eq!(Client::list(setup.dir.path()), "card0\nrenderD128\n");
    assert_eq!(Client::open(setup.dir.path(), "card1").unwrap_err(), -2);
    let client = setup.open();
    let cap = drm_get_cap {
        capability: 1,
        value: 0,
    };
    for _ in 0..3 {
        let cap = client.call(ioctl::GET_CAP, &cap, &[]).unwrap();
        assert_eq!(cap.value, 101);
    }
    let calls = setup.worker.state.lock().unwrap().calls.clone();
    let asked = calls.iter().filter(|cmd| **cmd == ioctl::GET_CAP);
    assert_eq!(asked.count(), 1, "a constant is asked for once");

    let dumb = client.create_dumb(64, 64).unwrap();
    let map = drm_mode_map_dumb {
        handle: dumb.handle,
        ..Default::default()
    };
    let map = client.call(ioctl::MODE_MAP_DUMB, &map, &[]).unwrap();
    let answer = client.mmap(map.offset, dumb.size);
    assert_eq!((answer.head.result, answer.head.offset), (0, 0));
    assert_eq!(
        drvhost_channel::memory::verify(&answer.fds[0]).unwrap(),
        64 * 64 * 4
    );
    Mapping::sealed(&answer.fds[0], dumb.size as usize).unwrap();
    assert_eq!(client.mmap(map.offset, dumb.size + 1).head.result, -22);
    let other = setup.open();
    assert_eq!(other.mmap(map.offset, dumb.size).head.result, -13);

    let state = setup.device.describe();
    assert_eq!((state.files.len(), state.buffers), (2, 1));
    drop((client, other));
    eventually("files are closed", || {
        setup.device.describe().files.is_empty()
    });
    eventually("buffers are freed", || setup.device.describe().buffers == 0);
    eventually("the worker let go", || {
        setup.worker.state.lock().unwrap().files.len() == 1
    });
}
