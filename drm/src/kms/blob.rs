// SPDX-License-Identifier: MIT
//! Property blobs: bytes with an object id.

use crate::uapi::Pod;

/// A blob. It lives as long as a file or a state holds it.
#[derive(Debug)]
pub struct Blob {
    /// Object id.
    pub id: u32,
    /// Contents; never empty.
    pub data: Box<[u8]>,
}

impl Blob {
    /// The contents as elements; `None` where the length is not a multiple of an element's.
    pub fn elements<T: Pod>(&self) -> Option<Vec<T>> {
        let chunks = self.data.chunks_exact(size_of::<T>());
        chunks
            .remainder()
            .is_empty()
            .then(|| chunks.map(T::read_from).collect())
    }

    /// The contents as one value; `None` where the length is another.
    pub fn value<T: Pod>(&self) -> Option<T> {
        (self.data.len() == size_of::<T>()).then(|| T::read_from(&self.data))
    }
}

/// The bytes of a list of values.
pub fn bytes_of<T: Pod>(values: &[T]) -> Vec<u8> {
    let mut bytes = vec![0; size_of_val(values)];
    for (to, from) in bytes.chunks_exact_mut(size_of::<T>()).zip(values) {
        from.write_to(to);
    }
    bytes
}
