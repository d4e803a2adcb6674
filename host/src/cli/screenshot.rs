// SPDX-License-Identifier: MIT
//! `drvhost screenshot`.

use super::{Output, bad};
use crate::control::client::Connection;
use crate::control::protocol::{Failure, Kind, Request};

use std::path::Path;

/// A picture is at most this large, in bytes.
const MAX: u64 = 1 << 30;

pub fn run(device: String, file: &Path, out: &mut Output<'_>) -> Result<(), Failure> {
    let mut connection = Connection::send(&Request::Screenshot { device })?;
    let length = connection
        .line()?
        .and_then(|value| value.get("length")?.as_u64());
    let length = length
        .filter(|&length| length <= MAX)
        .ok_or_else(|| bad("no length"))?;
    let png = connection.bytes(usize::try_from(length).map_err(bad)?)?;
    let write = if file == Path::new("-") {
        out.out.write_all(&png)
    } else {
        std::fs::write(file, &png)
    };
    write.map_err(|error| {
        Failure::new(
            Kind::Failed,
            format!("cannot write {}: {error}", file.display()),
        )
    })
}
