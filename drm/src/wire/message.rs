// SPDX-License-Identifier: MIT
//! The server's end of the codec: a payload seen as the ioctl's struct and arrays.
//!
//! A message checks its payload once, then reads and writes it in place, so the payload is the
//! answer at any time. Nothing is allocated. `B` is `&[u8]` to look only, `&mut [u8]` or `Vec<u8>`
//! to answer; it must be memory that nobody else can change (copy it out of a ring first).

use super::descriptor::{Count, Descriptor, Fill, Flow};
use super::{MAX_ARGUMENT, MAX_ARRAYS, MAX_PAYLOAD, describe};
use crate::uapi::{Errno, Pod, ioctl};

/// One call, decoded.
#[derive(Clone, Debug)]
pub struct Message<B> {
    cmd: u32,
    descriptor: Option<&'static Descriptor>,
    argument: [u8; MAX_ARGUMENT],
    room: [usize; MAX_ARRAYS],
    payload: B,
}

impl<B: AsRef<[u8]>> Message<B> {
    /// Checks a payload: `fixed part + Σ count × element` must be its length exactly.
    ///
    /// Errors: `ENOTTY` for a number that is not DRM's, `EINVAL` for a payload of the wrong
    /// length, `E2BIG` for one above `MAX_PAYLOAD`.
    pub fn decode(cmd: u32, payload: B) -> Result<Self, Errno> {
        if ioctl::type_of(cmd) != ioctl::TYPE {
            return Err(Errno::ENOTTY);
        }
        let mut message = Message {
            cmd,
            descriptor: describe(cmd),
            argument: [0; MAX_ARGUMENT],
            room: [0; MAX_ARRAYS],
            payload,
        };
        let bytes = message.payload.as_ref();
        if bytes.len() > MAX_PAYLOAD {
            return Err(Errno::E2BIG);
        }
        let Some(descriptor) = message.descriptor.filter(|d| !d.is_plain()) else {
            let size = message.descriptor.map_or(ioctl::size(cmd), |d| d.fixed);
            let fits = bytes.len() == size;
            return fits.then_some(message).ok_or(Errno::EINVAL);
        };
        let fixed = bytes.get(..descriptor.fixed).ok_or(Errno::EINVAL)?;
        descriptor.scatter(fixed, &mut message.argument);
        message.room = rooms(descriptor, &message.argument, bytes).ok_or(Errno::EINVAL)?;
        Ok(message)
    }

    /// The ioctl's number as it was sent.
    pub fn cmd(&self) -> u32 {
        self.cmd
    }

    /// The function number.
    pub fn nr(&self) -> u8 {
        ioctl::nr(self.cmd)
    }

    /// What is known about it. `None`: a driver-private or unknown number.
    pub fn descriptor(&self) -> Option<&'static Descriptor> {
        self.descriptor
    }

    /// The struct, with null pointers. `T` may be shorter than the struct (a member of a union);
    /// of a longer one the rest is zero.
    pub fn arg<T: Pod>(&self) -> T {
        T::read_from(self.argument_bytes())
    }

    /// The struct's bytes, with null pointers.
    pub fn argument_bytes(&self) -> &[u8] {
        match self.descriptor {
            Some(descriptor) if !descriptor.is_plain() => &self.argument[..descriptor.size()],
            _ => self.payload.as_ref(),
        }
    }

    /// How many elements array `index` has: given ones, or room for ones.
    pub fn room(&self, index: usize) -> usize {
        self.room.get(index).copied().unwrap_or(0)
    }

    /// The bytes of array `index`, in the order of the struct's pointers; empty if there is none.
    pub fn array(&self, index: usize) -> &[u8] {
        let payload = self.payload.as_ref();
        match self.span(index) {
            Some((span, _)) => &payload[span],
            None => &[],
        }
    }

    /// The elements of array `index`. `T` must be the array's element type: for one of another
    /// size there are none.
    pub fn elements<T: Pod>(&self, index: usize) -> impl ExactSizeIterator<Item = T> + '_ {
        let fits = self
            .span(index)
            .is_some_and(|(_, element)| element == size_of::<T>());
        let bytes = if fits { self.array(index) } else { &[] };
        bytes.chunks_exact(size_of::<T>()).map(T::read_from)
    }

    /// The payload: the answer, as far as it was written.
    pub fn payload(&self) -> &[u8] {
        self.payload.as_ref()
    }

    /// Gives the payload back.
    pub fn into_payload(self) -> B {
        self.payload
    }

    /// Where array `index` lies in the payload, and its element's size.
    fn span(&self, index: usize) -> Option<(core::ops::Range<usize>, usize)> {
        let descriptor = self.descriptor?;
        let array = descriptor.arrays.get(index)?;
        let before = descriptor.arrays.iter().zip(&self.room).take(index);
        let start = descriptor.fixed + before.map(|(a, n)| a.element * n).sum::<usize>();
        Some((
            start..start + self.room[index] * array.element,
            array.element,
        ))
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Message<B> {
    /// Answers with the struct. Pointers in it are ignored; counts should be the real ones, however
    /// little room there was.
    pub fn set_arg<T: Pod>(&mut self, value: &T) {
        match self.descriptor {
            Some(descriptor) if !descriptor.is_plain() => {
                value.write_to(&mut self.argument[..descriptor.size()]);
                let fixed = &mut self.payload.as_mut()[..descriptor.fixed];
                descriptor.gather(&self.argument, fixed);
            }
            _ => value.write_to(self.payload.as_mut()),
        }
    }

    /// Answers with the elements of an output array, as many as Linux writes: all that fit, or for
    /// some arrays all or none. The count in the struct is the caller's to set.
    ///
    /// `EINVAL`: no such output array, or its elements have another size: a fault of the
    /// caller's, not of the program's.
    pub fn write_array<T: Pod>(&mut self, index: usize, elements: &[T]) -> Result<(), Errno> {
        let (span, element) = self.span(index).ok_or(Errno::EINVAL)?;
        let fill = self.fill(index).ok_or(Errno::EINVAL)?;
        if element != size_of::<T>() {
            return Err(Errno::EINVAL);
        }
        let count = fill.written(self.room[index], elements.len());
        let bytes = &mut self.payload.as_mut()[span];
        for (to, from) in bytes.chunks_exact_mut(element).zip(&elements[..count]) {
            from.write_to(to);
        }
        Ok(())
    }

    /// All of the payload, for a driver-private ioctl's struct.
    pub fn payload_mut(&mut self) -> Option<&mut [u8]> {
        match self.descriptor {
            Some(_) => None,
            None => Some(self.payload.as_mut()),
        }
    }

    fn fill(&self, index: usize) -> Option<Fill> {
        match self.descriptor?.arrays.get(index)?.flow {
            Flow::Out { fill, .. } => Some(fill),
            Flow::In { .. } | Flow::Unused => None,
        }
    }
}

/// Each array's number of elements, if together with the fixed part they are all of the payload.
fn rooms(descriptor: &Descriptor, argument: &[u8], payload: &[u8]) -> Option<[usize; MAX_ARRAYS]> {
    let mut room = [0; MAX_ARRAYS];
    let mut ends = [descriptor.fixed; MAX_ARRAYS];
    let mut end = descriptor.fixed;
    for (index, array) in descriptor.arrays.iter().enumerate() {
        let count = match array.count {
            Count::Field { offset, width } => Descriptor::field_count(argument, offset, width),
            Count::Sum(of) => {
                let at = descriptor.total_offset()?;
                let total = u64::from(u32::read_from(&payload[at..at + 4]));
                // Summed anew: a total of the sender's own would let two arrays disagree.
                if sum_u32(&payload[ends[of] - room[of] * 4..ends[of]]) != total {
                    return None;
                }
                total
            }
        };
        room[index] = usize::try_from(count).ok()?;
        end = room[index]
            .checked_mul(array.element)
            .and_then(|len| end.checked_add(len))
            .filter(|end| *end <= payload.len())?;
        ends[index] = end;
    }
    (end == payload.len()).then_some(room)
}

/// The sum of an array of `u32`. It can't overflow: an array is shorter than a payload.
pub(super) fn sum_u32(bytes: &[u8]) -> u64 {
    bytes
        .chunks_exact(4)
        .map(|value| u64::from(u32::read_from(value)))
        .sum()
}
