// SPDX-License-Identifier: MIT
//! The worker process: loading, confinement and calls; and the host's end of it.
