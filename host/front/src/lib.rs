// SPDX-License-Identifier: MIT
//! The nodes that programs open, and the record of what must survive a crash.
