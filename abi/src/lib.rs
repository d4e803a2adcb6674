// SPDX-License-Identifier: MIT
//! The stable plugin ABI: one set of tables for drivers in Rust and in C.
