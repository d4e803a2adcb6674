// SPDX-License-Identifier: MIT
//! The preload library that gives Linux programs drvhost's devices.
