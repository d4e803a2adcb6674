// SPDX-License-Identifier: MIT
//! The first message: version and limits.

use zerocopy::IntoBytes;

use super::connection::Connection;
use super::proto;
use crate::error::{Error, Result};

/// Agrees on version and limits.
pub(super) fn negotiate(connection: &mut Connection, what: &str) -> Result<()> {
    let ours = proto::Version {
        major: proto::MAJOR,
        minor: proto::MINOR,
    };
    let limits = format!(
        "{{\"capabilities\":{{\"max_msg_fds\":{},\"max_data_xfer_size\":{}}}}}\0",
        proto::MAX_FDS,
        proto::DEFAULT_MAX_TRANSFER
    );
    let parts = [ours.as_bytes(), limits.as_bytes()];
    let answer = connection.call(what, proto::VERSION, &parts, &[])?;
    let Some((version, json)) = answer.parse::<proto::Version>() else {
        return Err(connection.violated(what, "short version"));
    };
    if version.major != ours.major || version.minor > ours.minor {
        return Err(Error::Unsupported {
            what: what.into(),
            why: format!(
                "the server speaks vfio-user {}.{}",
                version.major, version.minor
            ),
        });
    }
    let text = json.split(|&byte| byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Ok(());
    }
    let json: serde_json::Value = serde_json::from_slice(text)
        .map_err(|error| connection.violated(what, format!("version data: {error}")))?;
    let limit = |name: &str, default: u32, most: u32| {
        let said = json["capabilities"][name]
            .as_u64()
            .unwrap_or(default.into());
        u32::try_from(said).unwrap_or(u32::MAX).min(most)
    };
    let fds = limit("max_msg_fds", proto::DEFAULT_MAX_FDS, proto::MAX_FDS as u32);
    let most = proto::DEFAULT_MAX_TRANSFER;
    let transfer = limit("max_data_xfer_size", most, most);
    if fds == 0 || transfer < 8 {
        return Err(connection.violated(what, "limits too low to work with"));
    }
    (connection.max_fds, connection.max_transfer) = (fds, transfer);
    Ok(())
}
