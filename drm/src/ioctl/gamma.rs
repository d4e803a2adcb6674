// SPDX-License-Identifier: MIT
//! Legacy gamma tables, as the `GAMMA_LUT` property.

use crate::call::{Answer, Call};
use crate::kms::blob::bytes_of;
use crate::kms::commit::How;
use crate::kms::registry::Origin;
use crate::kms::transaction::{Pace, Transaction};
use crate::uapi::*;
use drvhost_abi::Errno;

/// `MODE_SETGAMMA`.
pub fn set(call: &mut Call<'_>) -> Answer {
    let arg: drm_mode_crtc_lut = call.msg.arg();
    let (crtc, size) = find(call, &arg)?;
    let channel = |index| call.msg.elements::<u16>(index);
    let lut: Vec<drm_color_lut> = channel(0)
        .zip(channel(1))
        .zip(channel(2))
        .map(|((red, green), blue)| drm_color_lut {
            red,
            green,
            blue,
            reserved: 0,
        })
        .collect();
    if lut.len() != size as usize {
        return Err(Errno::EINVAL);
    }
    let how = if call.replay {
        How::Forced
    } else {
        How::Blocking
    };
    call.device.commit(how, |state| {
        let blob = state.registry.blob(Origin::Core, bytes_of(&lut))?;
        let mut tx = Transaction::new(&state.kms);
        tx.pace = Pace::Immediate;
        tx.crtc(crtc).gamma = Some(blob);
        Ok(tx)
    })?;
    Ok(0)
}

/// `MODE_GETGAMMA`: what is set, or a straight line.
pub fn get(call: &mut Call<'_>) -> Answer {
    let arg: drm_mode_crtc_lut = call.msg.arg();
    let (crtc, size) = find(call, &arg)?;
    let gamma = call.lock().kms.crtcs[crtc].gamma.clone();
    let lut = gamma.and_then(|blob| blob.elements::<drm_color_lut>());
    let level = |i: u32| u16::try_from(i * 256 * 256 / size).unwrap_or(u16::MAX);
    let lut = lut.unwrap_or_else(|| {
        let straight = |i| drm_color_lut {
            red: level(i),
            green: level(i),
            blue: level(i),
            reserved: 0,
        };
        (0..size).map(straight).collect()
    });
    let channel = |part: fn(&drm_color_lut) -> u16| lut.iter().map(part).collect::<Vec<u16>>();
    call.msg.write_array(0, &channel(|entry| entry.red))?;
    call.msg.write_array(1, &channel(|entry| entry.green))?;
    call.msg.write_array(2, &channel(|entry| entry.blue))?;
    Ok(0)
}

/// The CRTC and its table's size, which the caller has to know.
fn find(call: &Call<'_>, arg: &drm_mode_crtc_lut) -> Result<(usize, u32), Errno> {
    let objects = &call.device.objects;
    let crtc = call.lock().find_crtc(objects, call.file, arg.crtc_id)?;
    let size = objects.pipeline.crtcs[crtc].gamma_size;
    if size == 0 {
        return Err(Errno::ENOSYS);
    }
    if arg.gamma_size != size {
        return Err(Errno::EINVAL);
    }
    Ok((crtc, size))
}
