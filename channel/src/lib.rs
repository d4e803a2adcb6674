// SPDX-License-Identifier: MIT
//! Shared-memory call rings and the messages between programs, host and workers.
