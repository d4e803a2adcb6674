// SPDX-License-Identifier: MIT
//! Syncobjs.

use super::client::*;
use crate::uapi::*;
use drvhost_abi::Errno;
use drvhost_abi::tables::*;

fn create(client: &Client, flags: u32) -> u32 {
    let arg = drm_syncobj_create { handle: 0, flags };
    client.call(ioctl::SYNCOBJ_CREATE, arg).unwrap().handle
}

fn array(client: &Client, cmd: u32, handles: &[u32]) -> Result<u64, Errno> {
    let arg = drm_syncobj_array {
        count_handles: handles.len() as u32,
        ..Default::default()
    };
    client.full(cmd, arg, &[bytes(handles)]).0.result
}

fn wait(client: &Client, handles: &[u32], flags: u32, timeout: i64) -> Result<u32, Errno> {
    let arg = drm_syncobj_wait {
        timeout_nsec: timeout,
        count_handles: handles.len() as u32,
        flags,
        ..Default::default()
    };
    let (reply, arg) = client.full(ioctl::SYNCOBJ_WAIT, arg, &[bytes(handles)]);
    reply.result.map(|_| arg.first_signaled)
}

const ALL: u32 = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL;
const SUBMIT: u32 = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT;

#[test]
fn signalled_and_reset() {
    let rig = Rig::new();
    let client = rig.open_as(1, 0);
    let empty = create(&client, 0);
    let full = create(&client, DRM_SYNCOBJ_CREATE_SIGNALED);
    assert_eq!((empty, full), (1, 2));
    assert_eq!(wait(&client, &[full], 0, 0), Ok(0));
    assert_eq!(
        wait(&client, &[empty], 0, 0),
        Err(Errno::EINVAL),
        "no fence"
    );
    assert_eq!(wait(&client, &[empty, full], SUBMIT, 0), Ok(1));
    assert_eq!(
        wait(&client, &[empty, full], SUBMIT | ALL, 0),
        Err(Errno::ETIME)
    );
    assert_eq!(wait(&client, &[9], 0, 0), Err(Errno::ENOENT));
    assert_eq!(wait(&client, &[], 0, 0), Ok(0));
    assert_eq!(wait(&client, &[full], 1 << 9, 0), Err(Errno::EINVAL));
    assert_eq!(array(&client, ioctl::SYNCOBJ_SIGNAL, &[empty]), Ok(0));
    assert_eq!(wait(&client, &[empty, full], ALL, 0), Ok(0));
    assert_eq!(array(&client, ioctl::SYNCOBJ_RESET, &[empty]), Ok(0));
    assert_eq!(wait(&client, &[empty], 0, 0), Err(Errno::EINVAL));
    assert_eq!(
        array(&client, ioctl::SYNCOBJ_RESET, &[]),
        Err(Errno::EINVAL)
    );
    let gone = drm_syncobj_destroy {
        handle: empty,
        pad: 0,
    };
    client.call(ioctl::SYNCOBJ_DESTROY, gone).unwrap();
    let again = client.call(ioctl::SYNCOBJ_DESTROY, gone);
    assert_eq!(again.unwrap_err(), Errno::EINVAL);
}

#[test]
fn a_wait_ends_when_another_thread_signals() {
    let rig = Rig::new();
    let client = rig.open_as(1, 0);
    let (one, two) = (create(&client, 0), create(&client, 0));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| wait(&client, &[one, two], SUBMIT, i64::MAX));
        array(&client, ioctl::SYNCOBJ_SIGNAL, &[two]).unwrap();
        assert_eq!(waiting.join().unwrap(), Ok(1));
    });
}

fn import(client: &Client, handle: u32, id: u64) {
    let flags = DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE;
    let arg = drm_syncobj_handle {
        handle,
        flags,
        ..Default::default()
    };
    let object = ObjectRef {
        kind: ObjectKind::Fence as u32,
        place: 0,
        id,
    };
    let cmd = ioctl::SYNCOBJ_FD_TO_HANDLE;
    let reply = client.raw(cmd, payload(cmd, &arg, &[]), &[object], None, false);
    assert_eq!(reply.result, Ok(0));
}

#[test]
fn fences_come_from_outside() {
    let rig = Rig::new();
    let client = rig.open_as(1, 0);
    let handles = [create(&client, 0), create(&client, 0)];
    let fences = [rig.host.make_fence(), rig.host.make_fence()];
    for (handle, fence) in handles.iter().zip(fences) {
        import(&client, *handle, fence);
    }
    assert_eq!(wait(&client, &handles, 0, 5), Err(Errno::ETIME));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| wait(&client, &handles, 0, i64::MAX));
        rig.host.signal(fences[1]);
        assert_eq!(waiting.join().unwrap(), Ok(1));
        let waiting = scope.spawn(|| wait(&client, &handles, ALL, i64::MAX));
        rig.host.signal(fences[0]);
        assert_eq!(waiting.join().unwrap(), Ok(0));
    });
    drop(client);
    rig.host.wait_until(|seen| seen.live_fences() == 0);
}

#[test]
fn timelines() {
    let rig = Rig::new();
    let client = rig.open_as(1, 0);
    let handle = create(&client, 0);
    let timeline = |cmd, flags, point: u64| {
        let arg = drm_syncobj_timeline_array {
            count_handles: 1,
            flags,
            ..Default::default()
        };
        let reply = client
            .full(cmd, arg, &[bytes(&[handle]), bytes(&[point])])
            .0;
        reply.result.map(|_| u64::read_from(&reply.payload[12..]))
    };
    let query = |flags| timeline(ioctl::SYNCOBJ_QUERY, flags, 0);
    assert_eq!(query(0), Ok(0));
    timeline(ioctl::SYNCOBJ_TIMELINE_SIGNAL, 0, 5).unwrap();
    assert_eq!(query(0), Ok(5));
    // A point that is not signalled yet, from a fence.
    let (fence, other) = (rig.host.make_fence(), create(&client, 0));
    import(&client, other, fence);
    let transfer = drm_syncobj_transfer {
        src_handle: other,
        dst_handle: handle,
        dst_point: 8,
        ..Default::default()
    };
    client.call(ioctl::SYNCOBJ_TRANSFER, transfer).unwrap();
    assert_eq!(query(0), Ok(5));
    assert_eq!(query(1), Ok(8), "submitted");
    assert_eq!(query(2), Err(Errno::EINVAL));
    let wait = |point: u64, flags| {
        let arg = drm_syncobj_timeline_wait {
            count_handles: 1,
            flags,
            ..Default::default()
        };
        let arrays = [bytes(&[handle]), bytes(&[point])];
        let reply = client.full(ioctl::SYNCOBJ_TIMELINE_WAIT, arg, &arrays).0;
        reply.result.map(|_| ())
    };
    assert_eq!(wait(4, 0), Ok(()));
    assert_eq!(wait(6, 0), Err(Errno::ETIME));
    assert_eq!(wait(6, DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE), Ok(()));
    assert_eq!(wait(9, 0), Err(Errno::EINVAL));
    rig.host.signal(fence);
    assert_eq!(wait(6, 0), Ok(()));
    assert_eq!(query(0), Ok(8));
}

#[test]
fn syncobjs_are_shared_and_told_by_eventfd() {
    let rig = Rig::new();
    let (client, other) = (rig.open_as(1, 0), rig.open_as(1, 0));
    let handle = create(&client, 0);
    let arg = drm_syncobj_handle {
        handle,
        ..Default::default()
    };
    let cmd = ioctl::SYNCOBJ_HANDLE_TO_FD;
    let object = client
        .raw(cmd, payload(cmd, &arg, &[]), &[], None, false)
        .objects[0];
    let cmd = ioctl::SYNCOBJ_FD_TO_HANDLE;
    let reply = other.raw(cmd, vec![0; 24], &[object], None, false);
    assert_eq!(reply.result, Ok(0));
    let theirs = u32::read_from(&reply.payload);
    let event = ObjectRef {
        kind: ObjectKind::Event as u32,
        place: 0,
        id: rig.host.make_fence(),
    };
    let arg = drm_syncobj_eventfd {
        handle: theirs,
        ..Default::default()
    };
    let cmd = ioctl::SYNCOBJ_EVENTFD;
    let reply = other.raw(cmd, payload(cmd, &arg, &[]), &[event], None, false);
    assert_eq!(reply.result, Ok(0));
    assert!(!rig.host.seen().signalled.contains(&event.id));
    array(&client, ioctl::SYNCOBJ_SIGNAL, &[handle]).unwrap();
    rig.host
        .wait_until(|seen| seen.signalled.contains(&event.id));
}

#[test]
fn an_exported_syncobj_leaves_nothing_behind() {
    let rig = Rig::new();
    let client = rig.open_as(1, 0);
    let handles = [create(&client, 0), create(&client, 0)];
    let export = |handle| {
        let arg = drm_syncobj_handle {
            handle,
            ..Default::default()
        };
        let cmd = ioctl::SYNCOBJ_HANDLE_TO_FD;
        let reply = client.raw(cmd, payload(cmd, &arg, &[]), &[], None, false);
        reply.objects[0]
    };
    let tokens = handles.map(export);
    assert_eq!(export(handles[0]), tokens[0], "the same again");
    assert_eq!(rig.host.seen().live_fences(), 2);
    let gone = drm_syncobj_destroy {
        handle: handles[0],
        pad: 0,
    };
    client.call(ioctl::SYNCOBJ_DESTROY, gone).unwrap();
    assert_eq!(rig.host.seen().live_fences(), 1);
    // What stands for a syncobj is no fence to wait for.
    *rig.host.seen().fences.get_mut(&tokens[1].id).unwrap() += 1;
    let arg = drm_syncobj_handle {
        handle: handles[1],
        flags: DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE,
        ..Default::default()
    };
    let cmd = ioctl::SYNCOBJ_FD_TO_HANDLE;
    let reply = client.raw(cmd, payload(cmd, &arg, &[]), &[tokens[1]], None, false);
    assert_eq!(reply.result, Err(Errno::EINVAL));
    drop(client);
    rig.host.wait_until(|seen| seen.live_fences() == 0);
}
