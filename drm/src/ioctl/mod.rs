// SPDX-License-Identifier: MIT
//! The ioctls: who may call which, and where each is answered.
//!
//! * [`basic`]: version, caps, masters, magic numbers;
//! * [`gem`]: handles, names, PRIME, dumb buffers;
//! * [`resources`]: what there is: CRTCs, encoders, planes; [`connector`]: and what is plugged in;
//! * [`property`]: properties and blobs;
//! * [`framebuffer`]: making, reading and ending framebuffers;
//! * [`modeset`]: legacy mode sets and planes; [`cursor`], [`gamma`], [`flip`]: their like;
//! * [`atomic`]: atomic commits;
//! * [`vblank`]: waiting for vertical blanks;
//! * [`syncobj`]: syncobjs; [`lease`]: leases.

pub mod atomic;
pub mod basic;
pub mod connector;
pub mod cursor;
pub mod flip;
pub mod framebuffer;
pub mod gamma;
pub mod gem;
pub mod lease;
pub mod modeset;
pub mod property;
pub mod resources;
pub mod syncobj;
pub mod vblank;

use crate::call::{Answer, Call};
use crate::uapi::ioctl as nr;
use crate::wire::Permissions;
use drvhost_abi::Errno;

/// Checks the caller's rights, then answers.
pub fn dispatch(call: &mut Call<'_>) -> Answer {
    let Some(descriptor) = call.msg.descriptor() else {
        return Err(Errno::EINVAL);
    };
    permit(call, &descriptor.permissions)?;
    handler(descriptor.cmd)(call)
}

/// `drm_ioctl_permit`.
fn permit(call: &Call<'_>, needs: &Permissions) -> Result<(), Errno> {
    let anybody = !needs.master && !needs.auth && !needs.root_only;
    if call.replay || (anybody && needs.render_allow) {
        return Ok(());
    }
    let mut state = call.lock();
    let master = state.is_current_master(call.file);
    let file = state.file(call.file)?;
    let refused = needs.root_only && !file.privileged
        || needs.auth && !file.render && !file.authenticated && !file.host
        || needs.master && !master && !file.host
        || !needs.render_allow && file.render;
    if refused { Err(Errno::EACCES) } else { Ok(()) }
}

fn invalid(_: &mut Call<'_>) -> Answer {
    Err(Errno::EINVAL)
}

/// What Linux keeps for old programs, and does nothing for.
fn nothing(_: &mut Call<'_>) -> Answer {
    Ok(0)
}

fn handler(cmd: u32) -> fn(&mut Call<'_>) -> Answer {
    match cmd {
        nr::VERSION => basic::version,
        nr::GET_UNIQUE => basic::get_unique,
        nr::GET_MAGIC => basic::get_magic,
        nr::GET_CLIENT => basic::get_client,
        nr::SET_VERSION => basic::set_version,
        nr::GET_CAP => basic::get_cap,
        nr::SET_CLIENT_CAP => basic::set_client_cap,
        nr::SET_CLIENT_NAME => basic::set_client_name,
        nr::AUTH_MAGIC => basic::auth_magic,
        nr::SET_MASTER => basic::set_master,
        nr::DROP_MASTER => basic::drop_master,
        nr::BLOCK | nr::UNBLOCK | nr::ADD_DRAW | nr::RM_DRAW | nr::FINISH => nothing,
        // It counts nothing: the argument comes in zeroed, and stays so.
        nr::GET_STATS => nothing,
        nr::UPDATE_DRAW | nr::MODE_ATTACHMODE | nr::MODE_DETACHMODE => nothing,

        nr::GEM_CLOSE => gem::close,
        nr::GEM_FLINK => gem::flink,
        nr::GEM_OPEN => gem::open,
        nr::PRIME_HANDLE_TO_FD => gem::handle_to_fd,
        nr::PRIME_FD_TO_HANDLE => gem::fd_to_handle,
        nr::MODE_CREATE_DUMB => gem::create_dumb,
        nr::MODE_MAP_DUMB => gem::map_dumb,
        nr::MODE_DESTROY_DUMB => gem::destroy_dumb,

        nr::MODE_GETRESOURCES => resources::get_resources,
        nr::MODE_GETCRTC => resources::get_crtc,
        nr::MODE_GETENCODER => resources::get_encoder,
        nr::MODE_GETPLANERESOURCES => resources::get_plane_resources,
        nr::MODE_GETPLANE => resources::get_plane,
        nr::MODE_GETCONNECTOR => connector::get_connector,

        nr::MODE_GETPROPERTY => property::get_property,
        nr::MODE_SETPROPERTY => property::set_property,
        nr::MODE_OBJ_GETPROPERTIES => property::obj_get_properties,
        nr::MODE_OBJ_SETPROPERTY => property::obj_set_property,
        nr::MODE_GETPROPBLOB => property::get_blob,
        nr::MODE_CREATEPROPBLOB => property::create_blob,
        nr::MODE_DESTROYPROPBLOB => property::destroy_blob,

        nr::MODE_GETFB => framebuffer::get,
        nr::MODE_GETFB2 => framebuffer::get2,
        nr::MODE_ADDFB => framebuffer::add,
        nr::MODE_ADDFB2 => framebuffer::add2,
        nr::MODE_RMFB => framebuffer::remove,
        nr::MODE_CLOSEFB => framebuffer::close,
        nr::MODE_DIRTYFB => framebuffer::dirty,

        nr::MODE_SETCRTC => modeset::set_crtc,
        nr::MODE_SETPLANE => modeset::set_plane,
        nr::MODE_CURSOR => cursor::cursor,
        nr::MODE_CURSOR2 => cursor::cursor2,
        nr::MODE_GETGAMMA => gamma::get,
        nr::MODE_SETGAMMA => gamma::set,
        nr::MODE_PAGE_FLIP => flip::page_flip,
        nr::MODE_ATOMIC => atomic::atomic,

        nr::WAIT_VBLANK => vblank::wait_vblank,
        nr::CRTC_GET_SEQUENCE => vblank::get_sequence,
        nr::CRTC_QUEUE_SEQUENCE => vblank::queue_sequence,

        nr::SYNCOBJ_CREATE => syncobj::create,
        nr::SYNCOBJ_DESTROY => syncobj::destroy,
        nr::SYNCOBJ_HANDLE_TO_FD => syncobj::handle_to_fd,
        nr::SYNCOBJ_FD_TO_HANDLE => syncobj::fd_to_handle,
        nr::SYNCOBJ_WAIT => syncobj::wait,
        nr::SYNCOBJ_TIMELINE_WAIT => syncobj::timeline_wait,
        nr::SYNCOBJ_RESET => syncobj::reset,
        nr::SYNCOBJ_SIGNAL => syncobj::signal,
        nr::SYNCOBJ_TIMELINE_SIGNAL => syncobj::timeline_signal,
        nr::SYNCOBJ_QUERY => syncobj::query,
        nr::SYNCOBJ_TRANSFER => syncobj::transfer,
        nr::SYNCOBJ_EVENTFD => syncobj::eventfd,

        nr::MODE_CREATE_LEASE => lease::create,
        nr::MODE_LIST_LESSEES => lease::list_lessees,
        nr::MODE_GET_LEASE => lease::get,
        nr::MODE_REVOKE_LEASE => lease::revoke,
        _ => invalid,
    }
}
