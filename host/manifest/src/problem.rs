// SPDX-License-Identifier: MIT
//! What can be wrong with a file or directory of the store.

use std::io;
use std::path::{Path, PathBuf};

/// A file (or directory) that was skipped, and why. The text begins `path:line:column:` where
/// there is a place to name; lines and columns count from 1.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It can't be opened or read.
    #[error("{}: can't be read: {source}", .path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory, device, socket or pipe.
    #[error("{}: is no regular file", .path.display())]
    NotRegular {
        /// The file.
        path: PathBuf,
    },
    /// Larger than any manifest is.
    #[error("{}: has more than {limit} bytes: no manifest needs that", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read, in bytes.
        limit: u64,
    },
    /// The text is no manifest or override.
    #[error("{}:{line}:{column}: {message}", .path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What was found and what was expected.
        message: String,
    },
}

impl Problem {
    /// The file or directory it is about.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Read { path, .. }
            | Self::NotRegular { path }
            | Self::TooLarge { path, .. }
            | Self::Syntax { path, .. } => path,
        }
    }

    /// Line and column, from 1, where there is a place to name.
    #[must_use]
    pub fn position(&self) -> Option<(usize, usize)> {
        match self {
            Self::Syntax { line, column, .. } => Some((*line, *column)),
            _ => None,
        }
    }
}
