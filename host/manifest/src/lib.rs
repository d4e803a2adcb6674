// SPDX-License-Identifier: MIT
//! Driver manifests in RON, overrides, and the matching of devices to drivers.
