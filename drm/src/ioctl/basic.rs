// SPDX-License-Identifier: MIT
//! Version, bus id, caps, masters and magic numbers.

use crate::call::{Answer, Call};
use crate::uapi::*;
use drvhost_abi::Errno;

/// Client caps that `drm-sys` knows as `u32`, as the struct has them.
const fn cap(value: u32) -> u64 {
    value as u64
}

/// `VERSION`.
pub fn version(call: &mut Call<'_>) -> Answer {
    let info = call.device.info;
    let mut arg: drm_version = call.msg.arg();
    (arg.version_major, arg.version_minor, arg.version_patchlevel) = info.version;
    arg.name_len = info.name.len() as _;
    arg.date_len = info.date.len() as _;
    arg.desc_len = info.description.len() as _;
    call.msg.set_arg(&arg);
    call.msg.write_array(0, info.name.as_bytes())?;
    call.msg.write_array(1, info.date.as_bytes())?;
    call.msg.write_array(2, info.description.as_bytes())?;
    Ok(0)
}

/// `GET_UNIQUE`: empty until `SET_VERSION`.
pub fn get_unique(call: &mut Call<'_>) -> Answer {
    let state = call.lock();
    let master = state.files.get(&call.file).and_then(|file| file.master);
    let set = master.is_some_and(|m| state.masters.all.get(&m).is_some_and(|m| m.unique_set));
    drop(state);
    let unique = if set {
        call.device.unique.as_bytes()
    } else {
        &[]
    };
    let mut arg: drm_unique = call.msg.arg();
    arg.unique_len = unique.len() as _;
    call.msg.set_arg(&arg);
    call.msg.write_array(0, unique)?;
    Ok(0)
}

/// `SET_VERSION`.
pub fn set_version(call: &mut Call<'_>) -> Answer {
    let arg: drm_set_version = call.msg.arg();
    let (major, minor, _) = call.device.info.version;
    call.msg.set_arg(&drm_set_version {
        drm_di_major: 1,
        drm_di_minor: 4,
        drm_dd_major: major,
        drm_dd_minor: minor,
    });
    if arg.drm_di_major != -1 {
        if arg.drm_di_major != 1 || !(0..=4).contains(&arg.drm_di_minor) {
            return Err(Errno::EINVAL);
        }
        if arg.drm_di_minor >= 1 {
            let mut state = call.lock();
            let master = state.file(call.file)?.master;
            if let Some(master) = master.and_then(|m| state.masters.all.get_mut(&m)) {
                master.unique_set = true;
            }
        }
    }
    if arg.drm_dd_major != -1
        && (arg.drm_dd_major != major || !(0..=minor).contains(&arg.drm_dd_minor))
    {
        return Err(Errno::EINVAL);
    }
    Ok(0)
}

/// `GET_MAGIC`.
pub fn get_magic(call: &mut Call<'_>) -> Answer {
    let magic = call.lock().magic(call.file, call.want)?;
    call.msg.set_arg(&drm_auth { magic });
    Ok(0)
}

/// `AUTH_MAGIC`.
pub fn auth_magic(call: &mut Call<'_>) -> Answer {
    let arg: drm_auth = call.msg.arg();
    call.lock().authenticate(call.file, arg.magic)?;
    Ok(0)
}

/// `GET_CLIENT`: only of the caller itself.
pub fn get_client(call: &mut Call<'_>) -> Answer {
    let mut arg: drm_client = call.msg.arg();
    if arg.idx != 0 {
        return Err(Errno::EINVAL);
    }
    let mut state = call.lock();
    let file = state.file(call.file)?;
    arg.auth = file.authenticated.into();
    arg.pid = file.pid.into();
    arg.uid = file.uid.into();
    (arg.magic, arg.iocs) = (0, 0);
    drop(state);
    call.msg.set_arg(&arg);
    Ok(0)
}

/// `GET_CAP`.
pub fn get_cap(call: &mut Call<'_>) -> Answer {
    let pipeline = &call.device.objects.pipeline;
    let mut arg: drm_get_cap = call.msg.arg();
    let Ok(which) = u32::try_from(arg.capability) else {
        return Err(Errno::EINVAL);
    };
    arg.value = match which {
        DRM_CAP_DUMB_BUFFER
        | DRM_CAP_VBLANK_HIGH_CRTC
        | DRM_CAP_TIMESTAMP_MONOTONIC
        | DRM_CAP_CRTC_IN_VBLANK_EVENT
        | DRM_CAP_ADDFB2_MODIFIERS
        | DRM_CAP_SYNCOBJ
        | DRM_CAP_SYNCOBJ_TIMELINE => 1,
        DRM_CAP_DUMB_PREFERRED_DEPTH => pipeline.preferred_depth.into(),
        DRM_CAP_DUMB_PREFER_SHADOW => pipeline.prefer_shadow.into(),
        DRM_CAP_PRIME => u64::from(DRM_PRIME_CAP_IMPORT | DRM_PRIME_CAP_EXPORT),
        DRM_CAP_ASYNC_PAGE_FLIP | DRM_CAP_ATOMIC_ASYNC_PAGE_FLIP => pipeline.async_page_flip.into(),
        DRM_CAP_PAGE_FLIP_TARGET => 0,
        DRM_CAP_CURSOR_WIDTH => pipeline.cursor_size.0.into(),
        DRM_CAP_CURSOR_HEIGHT => pipeline.cursor_size.1.into(),
        _ => return Err(Errno::EINVAL),
    };
    call.msg.set_arg(&arg);
    Ok(0)
}

/// `SET_CLIENT_CAP`.
pub fn set_client_cap(call: &mut Call<'_>) -> Answer {
    let arg: drm_set_client_cap = call.msg.arg();
    let mut state = call.lock();
    let caps = &mut state.file(call.file)?.caps;
    let most = if arg.capability == cap(DRM_CLIENT_CAP_ATOMIC) {
        2
    } else {
        1
    };
    const STEREO: u64 = cap(DRM_CLIENT_CAP_STEREO_3D);
    const UNIVERSAL: u64 = cap(DRM_CLIENT_CAP_UNIVERSAL_PLANES);
    const ATOMIC: u64 = cap(DRM_CLIENT_CAP_ATOMIC);
    const ASPECT: u64 = cap(DRM_CLIENT_CAP_ASPECT_RATIO);
    const WRITEBACK: u64 = cap(DRM_CLIENT_CAP_WRITEBACK_CONNECTORS);
    const HOTSPOT: u64 = cap(DRM_CLIENT_CAP_CURSOR_PLANE_HOTSPOT);
    let on = arg.value != 0;
    let field = match arg.capability {
        // No driver here has a cursor that is drawn by somebody else.
        HOTSPOT => return Err(Errno::EOPNOTSUPP),
        STEREO => &mut caps.stereo_3d,
        UNIVERSAL => &mut caps.universal_planes,
        ATOMIC => {
            if arg.value <= 2 {
                (caps.universal_planes, caps.aspect_ratio) = (on, on);
            }
            &mut caps.atomic
        }
        ASPECT => &mut caps.aspect_ratio,
        WRITEBACK if caps.atomic => &mut caps.writeback,
        _ => return Err(Errno::EINVAL),
    };
    if arg.value > most {
        return Err(Errno::EINVAL);
    }
    *field = on;
    Ok(0)
}

/// `SET_CLIENT_NAME`: printable ASCII, for logs only.
pub fn set_client_name(call: &mut Call<'_>) -> Answer {
    let name = call.msg.array(0);
    if name.len() > DRM_CLIENT_NAME_MAX_LEN as usize
        || !name.iter().all(|byte| byte.is_ascii_graphic())
    {
        return Err(Errno::EINVAL);
    }
    let text = format!("client is called {:?}", String::from_utf8_lossy(name));
    call.device.log(log::Level::Debug, &text);
    Ok(0)
}

/// `SET_MASTER`.
pub fn set_master(call: &mut Call<'_>) -> Answer {
    call.lock().set_master(call.file, call.replay)?;
    Ok(0)
}

/// `DROP_MASTER`.
pub fn drop_master(call: &mut Call<'_>) -> Answer {
    call.lock().drop_master(call.file, call.replay)?;
    Ok(0)
}
