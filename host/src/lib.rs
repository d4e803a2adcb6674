// SPDX-License-Identifier: MIT
//! Runs hardware drivers as plugins in processes of their own.
