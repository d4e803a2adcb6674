// SPDX-License-Identifier: MIT
//! `drvhost exec` without a daemon: `exec DEVICES.json PROGRAM ARGS…`.

use drvhost_exec::DeviceEntry;
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let Some((file, program)) = args.split_first() else {
        eprintln!("usage: exec DEVICES.json PROGRAM ARGS…");
        return ExitCode::from(2);
    };
    let devices: Result<Vec<DeviceEntry>, _> = std::fs::read(file)
        .map_err(|error| error.to_string())
        .and_then(|text| serde_json::from_slice(&text).map_err(|error| error.to_string()));
    match devices {
        Ok(devices) => match drvhost_exec::exec(&devices, program) {
            Ok(never) => match never {},
            Err(error) => {
                eprintln!("exec: {error}");
                ExitCode::from(error.exit_code())
            }
        },
        Err(error) => {
            eprintln!("exec: {}: {error}", file.display());
            ExitCode::from(2)
        }
    }
}
