// SPDX-License-Identifier: MIT
//! DRM for drivers in Rust: the uAPI and its wire codec, and the KMS and GEM core.
