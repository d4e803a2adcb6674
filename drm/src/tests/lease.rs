// SPDX-License-Identifier: MIT
//! Leases.

use super::client::*;
use super::gpu::*;
use crate::plugin::DrmFile;
use crate::uapi::*;
use drvhost_abi::Errno;
use drvhost_abi::tables::ObjectKind;

fn lease(rig: &Rig, lessor: &Client, objects: &[u32]) -> Result<(u32, Client), Errno> {
    let arg = drm_mode_create_lease {
        object_count: objects.len() as u32,
        ..Default::default()
    };
    let (reply, arg) = lessor.full(ioctl::MODE_CREATE_LEASE, arg, &[bytes(objects)]);
    reply.result?;
    let object = reply.objects[0];
    assert_eq!(object.kind, ObjectKind::File as u32);
    let mut seen = rig.host.seen();
    let at = seen
        .files
        .iter()
        .position(|(cookie, _)| *cookie == object.id);
    let (cookie, file) = seen.files.remove(at.unwrap());
    // SAFETY: the core gave this box to the host, which is us, and nobody else takes it.
    let file = unsafe { *Box::from_raw(file as *mut DrmFile) };
    Ok((arg.lessee_id, Client { file, cookie }))
}

fn lessees(client: &Client) -> u32 {
    let arg = drm_mode_list_lessees::default();
    client
        .call(ioctl::MODE_LIST_LESSEES, arg)
        .unwrap()
        .count_lessees
}

#[test]
fn a_lessee_has_its_part_and_no_more() {
    let rig = Rig::new();
    let lessor = rig.open();
    lessor.cap(DRM_CLIENT_CAP_UNIVERSAL_PLANES, 1).unwrap();
    let (connectors, crtcs) = lessor.resources();
    let planes = lessor.planes();
    let part = [connectors[1], crtcs[1], planes[1]];
    for (objects, expected) in [
        (vec![7], Errno::ENOENT),
        (vec![crtcs[1]], Errno::EINVAL),
        (vec![connectors[1], crtcs[1]], Errno::EINVAL),
        ([&part[..], &part[..1]].concat(), Errno::ENOSPC),
    ] {
        let result = lease(&rig, &lessor, &objects).map(|(id, _)| id);
        assert_eq!(result, Err(expected), "{objects:?}");
    }
    let (id, lessee) = lease(&rig, &lessor, &part).unwrap();
    assert_eq!((id, lessees(&lessor)), (1, 1));
    let again = lease(&rig, &lessor, &part).map(|(id, _)| id);
    assert_eq!(again, Err(Errno::EBUSY));
    assert_eq!(lessee.resources(), (vec![connectors[1]], vec![crtcs[1]]));
    assert_eq!(lessee.planes(), [planes[1]]);
    let sub = lease(&rig, &lessee, &part).map(|(id, _)| id);
    assert_eq!(sub, Err(Errno::EINVAL), "no leases of leases");

    let (fb, _) = lessee.fb(&rig, 64, 32, XR24, 3);
    let mode = Some(small_mode());
    lessee
        .set_crtc(crtcs[1], fb, mode, &connectors[1..])
        .unwrap();
    assert_eq!(rig.screens()[1].pixels[0], 3);
    let foreign = lessee.set_crtc(crtcs[0], fb, mode, &connectors[..1]);
    assert_eq!(foreign, Err(Errno::ENOENT));

    let revoke = |lessee_id| {
        let arg = drm_mode_revoke_lease { lessee_id };
        lessor.call(ioctl::MODE_REVOKE_LEASE, arg).map(|_| ())
    };
    assert_eq!(revoke(5), Err(Errno::ENOENT));
    assert_eq!(revoke(id), Ok(()));
    assert_eq!(lessee.resources(), (vec![], vec![]));
    assert_eq!(lessees(&lessor), 0);
    drop(lessee);
    assert_eq!(
        lease(&rig, &lessor, &part).unwrap().0,
        1,
        "its number is free"
    );
}

#[test]
fn a_lessor_that_closes_ends_its_leases() {
    let rig = Rig::new();
    let lessor = rig.open();
    let (connectors, crtcs) = lessor.resources();
    let (_, lessee) = lease(&rig, &lessor, &[connectors[0], crtcs[0]]).unwrap();
    assert_eq!(lessee.resources().1, [crtcs[0]]);
    drop(lessor);
    assert_eq!(lessee.resources().1, []);
}
