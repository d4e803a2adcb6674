// SPDX-License-Identifier: MIT
//! End-to-end tests with real clients.
