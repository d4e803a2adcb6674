// SPDX-License-Identifier: MIT
//! Version, caps, masters, magic numbers, buffers.

use super::client::*;
use crate::uapi::*;
use drvhost_abi::Errno;
use drvhost_abi::NodeFile;
use drvhost_abi::tables::*;

#[test]
fn version_comes_in_two_steps() {
    let rig = Rig::new();
    let client = rig.open_as(1, 0);
    let arg = client.call(ioctl::VERSION, drm_version::default()).unwrap();
    assert_eq!((arg.version_major, arg.name_len, arg.desc_len), (1, 4, 6));
    let arg = drm_version {
        name_len: 4,
        date_len: 9,
        desc_len: 2,
        ..Default::default()
    };
    let arrays = [vec![0; 4], vec![0; 9], vec![0; 2]];
    let (reply, arg) = client.full(ioctl::VERSION, arg, &arrays);
    assert_eq!(reply.result, Ok(0));
    assert_eq!(&reply.payload[40..], b"fake0\0\0\0\0\0\0\0\0a ");
    assert_eq!((arg.name_len, arg.date_len, arg.desc_len), (4, 1, 6));
}

#[test]
fn the_bus_id_is_seen_after_set_version() {
    let rig = Rig::new();
    let client = rig.open();
    let unique = || {
        let arg = drm_unique {
            unique_len: 40,
            ..Default::default()
        };
        client.full(ioctl::GET_UNIQUE, arg, &[vec![0; 40]])
    };
    assert_eq!(unique().1.unique_len, 0);
    let version = |di_major, di_minor, dd_major| drm_set_version {
        drm_di_major: di_major,
        drm_di_minor: di_minor,
        drm_dd_major: dd_major,
        drm_dd_minor: 0,
    };
    for bad in [version(2, 0, -1), version(1, 5, -1), version(-1, 0, 7)] {
        let (reply, answer) = client.full(ioctl::SET_VERSION, bad, &[]);
        assert_eq!(reply.result, Err(Errno::EINVAL));
        assert_eq!((answer.drm_di_minor, answer.drm_dd_minor), (4, 2));
    }
    client.call(ioctl::SET_VERSION, version(1, 4, -1)).unwrap();
    let (reply, arg) = unique();
    assert_eq!(arg.unique_len, 16);
    assert_eq!(&reply.payload[8..24], b"pci:0000:00:02.0");
}

#[test]
fn caps() {
    let rig = Rig::new();
    let client = rig.open();
    for (capability, value) in [
        (DRM_CAP_DUMB_BUFFER, Ok(1)),
        (DRM_CAP_PRIME, Ok(3)),
        (DRM_CAP_TIMESTAMP_MONOTONIC, Ok(1)),
        (DRM_CAP_CURSOR_WIDTH, Ok(64)),
        (DRM_CAP_DUMB_PREFERRED_DEPTH, Ok(24)),
        (DRM_CAP_PAGE_FLIP_TARGET, Ok(0)),
        (DRM_CAP_SYNCOBJ_TIMELINE, Ok(1)),
        (0xff, Err(Errno::EINVAL)),
    ] {
        let capability = capability.into();
        let arg = drm_get_cap {
            capability,
            value: 0,
        };
        let answer = client.call(ioctl::GET_CAP, arg).map(|arg| arg.value);
        assert_eq!(answer, value, "{capability}");
    }
    for (capability, value, expected) in [
        (DRM_CLIENT_CAP_WRITEBACK_CONNECTORS, 1, Err(Errno::EINVAL)),
        (DRM_CLIENT_CAP_STEREO_3D, 2, Err(Errno::EINVAL)),
        (DRM_CLIENT_CAP_UNIVERSAL_PLANES, 1, Ok(())),
        (DRM_CLIENT_CAP_ATOMIC, 3, Err(Errno::EINVAL)),
        (DRM_CLIENT_CAP_ATOMIC, 2, Ok(())),
        (DRM_CLIENT_CAP_WRITEBACK_CONNECTORS, 1, Ok(())),
        (
            DRM_CLIENT_CAP_CURSOR_PLANE_HOTSPOT,
            1,
            Err(Errno::EOPNOTSUPP),
        ),
        (77, 1, Err(Errno::EINVAL)),
    ] {
        assert_eq!(client.cap(capability, value), expected, "{capability}");
    }
}

#[test]
fn the_first_is_master_and_lets_others_in() {
    let rig = Rig::new();
    let (first, second) = (rig.open(), rig.open());
    let set = |client: &Client| {
        client
            .raw(ioctl::SET_MASTER, vec![], &[], None, false)
            .result
    };
    let drop = |client: &Client| {
        client
            .raw(ioctl::DROP_MASTER, vec![], &[], None, false)
            .result
    };
    let auth = |client: &Client, magic| client.call(ioctl::AUTH_MAGIC, drm_auth { magic });
    let flink = |client: &Client| {
        let arg = drm_gem_flink {
            handle: client.dumb(1, 1, 32).handle,
            name: 0,
        };
        client.call(ioctl::GEM_FLINK, arg).map(|arg| arg.name)
    };

    assert_eq!(set(&first), Ok(0));
    assert_eq!(set(&second), Err(Errno::EACCES));
    assert_eq!(drop(&second), Err(Errno::EACCES));
    assert_eq!(flink(&second), Err(Errno::EACCES), "not authenticated");
    let magic = second
        .call(ioctl::GET_MAGIC, drm_auth::default())
        .unwrap()
        .magic;
    assert_eq!(auth(&second, magic), Err(Errno::EACCES));
    assert_eq!(auth(&first, magic + 1), Err(Errno::EINVAL));
    assert_eq!(auth(&first, magic), Ok(drm_auth { magic }));
    assert_eq!(auth(&first, magic), Err(Errno::EINVAL), "once only");
    let name = flink(&second).unwrap();
    let arg = drm_gem_open {
        name,
        ..Default::default()
    };
    assert_eq!(first.call(ioctl::GEM_OPEN, arg).unwrap().size, 4096);

    let root = rig.open_as(0, OPEN_PRIVILEGED);
    assert_eq!(set(&root), Err(Errno::EBUSY));
    assert_eq!(drop(&root), Err(Errno::EINVAL));
    assert_eq!(drop(&first), Ok(0));
    assert_eq!(set(&root), Ok(0));
    assert_eq!(set(&first), Err(Errno::EBUSY));
    std::mem::drop(root);
    assert_eq!(set(&first), Ok(0), "it was master before");
}

#[test]
fn the_host_may_do_what_a_master_may_and_is_none() {
    let rig = Rig::new();
    let host = rig.open_as(0, OPEN_HOST);
    let client = rig.open();
    let (connectors, crtcs) = host.resources();
    let (fb, _) = host.fb(&rig, 64, 32, super::gpu::XR24, 1);
    let mode = Some(super::gpu::small_mode());
    assert_eq!(host.set_crtc(crtcs[0], fb, mode, &connectors[..1]), Ok(()));
    assert_eq!(
        client
            .raw(ioctl::SET_MASTER, vec![], &[], None, false)
            .result,
        Ok(0),
        "the client is the first"
    );
}

#[test]
fn render_nodes_know_no_modes() {
    let rig = Rig::new();
    let render = rig.open_as(1, OPEN_PRIVILEGED);
    for descriptor in crate::wire::TABLE {
        if descriptor.permissions.render_allow {
            continue;
        }
        let reply = render.raw(descriptor.cmd, vec![0; descriptor.fixed], &[], None, false);
        assert_eq!(reply.result, Err(Errno::EACCES), "{}", descriptor.name);
    }
}

#[test]
fn only_the_master_changes_things() {
    let rig = Rig::new();
    let _master = rig.open();
    let other = rig.open();
    for descriptor in crate::wire::TABLE {
        if descriptor.permissions.master {
            let reply = other.raw(descriptor.cmd, vec![0; descriptor.fixed], &[], None, false);
            assert_eq!(reply.result, Err(Errno::EACCES), "{}", descriptor.name);
        }
    }
}

#[test]
fn unknown_numbers_are_refused() {
    let rig = Rig::new();
    let client = rig.open();
    let private = ioctl::number(ioctl::Dir::ReadWrite, 0x40, 8);
    for (cmd, expected) in [
        (private, Errno::EINVAL),
        (ioctl::number(ioctl::Dir::None, 0xfe, 0), Errno::EINVAL),
        (0x5401, Errno::ENOTTY),
    ] {
        let reply = client.raw(cmd, vec![0; ioctl::size(cmd)], &[], None, false);
        assert_eq!(reply.result, Err(expected), "{cmd:#x}");
    }
}

#[test]
fn handles_are_lowest_free_and_replayed_ones_exact() {
    let rig = Rig::new();
    let client = rig.open();
    let close = |handle| client.call(ioctl::GEM_CLOSE, drm_gem_close { handle, pad: 0 });
    assert_eq!(client.dumb(1, 1, 32).handle, 1);
    assert_eq!(client.dumb(1, 1, 32).handle, 2);
    close(1).unwrap();
    assert_eq!(close(1).unwrap_err(), Errno::EINVAL);
    let arg = drm_mode_create_dumb {
        width: 4,
        height: 4,
        bpp: 32,
        ..Default::default()
    };
    let replayed = client.replay(ioctl::MODE_CREATE_DUMB, arg, 9).unwrap();
    assert_eq!(replayed.handle, 9);
    let taken = client.replay(ioctl::MODE_CREATE_DUMB, arg, 9);
    assert_eq!(taken.unwrap_err(), Errno::EEXIST);
    assert_eq!(client.dumb(1, 1, 32).handle, 1);
    drop(client);
    assert_eq!(rig.host.seen().live_buffers(), 0);
}

#[test]
fn mappings_are_resolved_for_holders_only() {
    let rig = Rig::new();
    let (client, other) = (rig.open(), rig.open());
    let dumb = client.dumb(64, 64, 32);
    client.map(&rig, &dumb).fill(7, 4);
    let offset = client
        .call(
            ioctl::MODE_MAP_DUMB,
            drm_mode_map_dumb {
                handle: dumb.handle,
                ..Default::default()
            },
        )
        .unwrap()
        .offset;
    let at = |offset, length| MmapArgs {
        offset,
        length,
        write: 1,
        reserved: 0,
    };
    assert_eq!(
        client.file.mmap(&at(offset + 4096, 4096)).unwrap().offset,
        4096
    );
    for (args, expected) in [
        (at(offset, dumb.size + 4096), Errno::EINVAL),
        (at(offset + 1, 4096), Errno::EINVAL),
        (at(offset, u64::MAX), Errno::EINVAL),
        (at(offset + dumb.size, 4096), Errno::EINVAL),
        (at(0, 4096), Errno::EINVAL),
    ] {
        assert_eq!(client.file.mmap(&args).unwrap_err(), expected, "{args:?}");
    }
    let foreign = other.file.mmap(&at(offset, 4096));
    assert_eq!(foreign.unwrap_err(), Errno::EACCES);
}

#[test]
fn prime_keeps_one_handle_per_file() {
    let rig = Rig::new();
    let (client, other) = (rig.open(), rig.open_as(1, 0));
    let dumb = client.dumb(16, 16, 32);
    let export = |flags| {
        let cmd = ioctl::PRIME_HANDLE_TO_FD;
        let arg = drm_prime_handle {
            handle: dumb.handle,
            flags,
            fd: -1,
        };
        client.raw(cmd, payload(cmd, &arg, &[]), &[], None, false)
    };
    assert_eq!(export(1).result, Err(Errno::EINVAL));
    let object = export(DRM_CLOEXEC).objects[0];
    assert_eq!(object.kind, ObjectKind::Buffer as u32);
    let import = |client: &Client, objects: &[ObjectRef]| {
        let cmd = ioctl::PRIME_FD_TO_HANDLE;
        let reply = client.raw(cmd, vec![0; 12], objects, None, false);
        reply.result.map(|_| u32::read_from(&reply.payload))
    };
    assert_eq!(import(&client, &[object]), Ok(dumb.handle));
    assert_eq!(import(&other, &[object]), Ok(1));
    assert_eq!(import(&other, &[object]), Ok(1));
    assert_eq!(import(&other, &[]), Err(Errno::EBADF));
    drop(client);
    assert_eq!(rig.host.seen().live_buffers(), 1, "the other holds it");
    drop(other);
    assert_eq!(rig.host.seen().live_buffers(), 0);
}
