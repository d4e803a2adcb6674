// SPDX-License-Identifier: MIT
//! `drvhost exec`: runs a program with drvhost's devices.

use super::bad;
use crate::control::client::ask;
use crate::control::protocol::{Failure, Kind, Request};
use drvhost_exec::DeviceEntry;
use std::convert::Infallible;
use std::ffi::OsString;

pub fn run(program: &[OsString]) -> Result<(), Failure> {
    let devices: Vec<DeviceEntry> = serde_json::from_value(ask(&Request::Nodes)?).map_err(bad)?;
    let ended: Result<Infallible, _> = drvhost_exec::exec(&devices, program);
    match ended {
        Ok(never) => match never {},
        Err(error) => Err(Failure::new(Kind::Failed, error.to_string())),
    }
}
