// SPDX-License-Identifier: MIT
//! A driver for Bochs DISPI display adapters.
