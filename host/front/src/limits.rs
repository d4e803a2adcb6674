// SPDX-License-Identifier: MIT
//! How much one user may hold, so that no program can starve the host.

/// Limits. What goes beyond is refused with the error number given here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of buffers and property blobs of one user, over all devices: `ENOMEM`.
    pub memory_per_user: u64,
    /// Buffers of one user, over all devices: `ENOMEM`.
    pub buffers_per_user: u64,
    /// Fences and events of one user, over all devices: `ENOMEM`. A device has 4096 at most.
    pub fences_per_user: u64,
    /// Open files of one user, over all devices: `EMFILE`.
    pub files_per_user: u64,
    /// Rings (pairs of process and open file) of one user: `EMFILE`. A ring is address space and
    /// a thread.
    pub rings_per_user: u64,
    /// Connections of one user at a time; further ones are closed at once.
    pub connections_per_user: u64,
    /// GEM handles, framebuffers, blobs and syncobjs of one open file, each: `ENOMEM`.
    pub objects_per_file: usize,
    /// Threads that may serve one ring; a call beyond waits for one.
    pub threads_per_ring: usize,
    /// Threads for connections.
    pub connection_threads: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory_per_user: 4 << 30,
            buffers_per_user: 8192,
            fences_per_user: 1024,
            files_per_user: 256,
            rings_per_user: 256,
            connections_per_user: 64,
            objects_per_file: 4096,
            threads_per_ring: 16,
            connection_threads: 32,
        }
    }
}
