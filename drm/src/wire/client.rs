// SPDX-License-Identifier: MIT
//! The program's end of the codec: from its memory to a payload, and the answer back.
//!
//! Sizes and directions are Linux's (`drm_ioctl`): a struct shorter than ours is zero-extended, of
//! a longer one the rest stays; what is read and written is what both the caller's number and ours
//! allow. The struct is written back when the call failed, too.

use super::descriptor::{Array, Count, Descriptor, DescriptorPassing, Flow};
use super::{MAX_ARGUMENT, MAX_ARRAYS, MAX_PAYLOAD, describe};
use crate::uapi::{Errno, ioctl};

/// A program's memory. Addresses come from the program: any may be bad, which is `EFAULT`.
pub trait ClientMemory {
    /// Reads as many bytes as `into` holds.
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Errno>;

    /// Writes all of `from`.
    fn write(&mut self, address: u64, from: &[u8]) -> Result<(), Errno>;
}

/// Why there is no payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// What the ioctl returns to the program.
    Errno(Errno),
    /// The buffer is too small; with this many bytes (never more than `MAX_PAYLOAD`) encoding
    /// gets further. Encode again: the program's memory may have changed.
    TooSmall(usize),
}

impl From<Errno> for EncodeError {
    fn from(errno: Errno) -> Self {
        EncodeError::Errno(errno)
    }
}

/// A call under way: what [`finish`] needs to put the answer where it belongs.
#[derive(Clone, Debug)]
pub struct Call {
    cmd: u32,
    len: usize,
    descriptor: Option<&'static Descriptor>,
    address: u64,
    in_size: usize,
    out_size: usize,
    argument: [u8; MAX_ARGUMENT],
    room: [usize; MAX_ARRAYS],
}

impl Call {
    /// The number to send: the table's, with our size and Linux's direction; a driver-private
    /// one as the program spelled it.
    pub fn cmd(&self) -> u32 {
        self.cmd
    }

    /// The payload's length in bytes: this much of the buffer was filled. The answer's is the
    /// same.
    pub fn payload_len(&self) -> usize {
        self.len
    }

    /// What is known about the ioctl.
    pub fn descriptor(&self) -> Option<&'static Descriptor> {
        self.descriptor
    }

    /// The file descriptor that the program hands over, read from the encoded payload.
    pub fn descriptor_in(&self, payload: &[u8]) -> Option<i32> {
        let descriptor = self.descriptor?;
        let DescriptorPassing::In(_) = descriptor.passing? else {
            return None;
        };
        let at = descriptor.descriptor_wire_offset()?;
        let bytes = payload.get(at..at + 4)?;
        Some(i32::from_le_bytes(bytes.try_into().ok()?))
    }

    /// Puts the descriptor that came with the answer, as it is numbered in this program, into the
    /// answer. False: this ioctl's answer has none.
    pub fn set_descriptor_out(&self, reply: &mut [u8], fd: i32) -> bool {
        let place = self
            .descriptor
            .filter(|d| matches!(d.passing, Some(DescriptorPassing::Out(_))))
            .and_then(Descriptor::descriptor_wire_offset)
            .and_then(|at| reply.get_mut(at..at + 4));
        match place {
            Some(place) => {
                place.copy_from_slice(&fd.to_le_bytes());
                true
            }
            None => false,
        }
    }
}

/// Reads a call's argument at `address` and all it points to into `buffer`.
///
/// Output arrays are clamped so that the payload stays below `MAX_PAYLOAD`; too long input is
/// refused with Linux's error. A bad address is `EFAULT`, a number that is not DRM's `ENOTTY`.
pub fn encode(
    cmd: u32,
    address: u64,
    memory: &dyn ClientMemory,
    buffer: &mut [u8],
) -> Result<Call, EncodeError> {
    if ioctl::type_of(cmd) != ioctl::TYPE {
        return Err(Errno::ENOTTY.into());
    }
    let size = ioctl::size(cmd);
    let descriptor = describe(cmd);
    // A driver's own table is not known here: the caller's direction counts alone.
    let both = cmd & descriptor.map_or(u32::MAX, |d| d.cmd);
    let mut call = Call {
        cmd: descriptor.map_or(cmd, |d| d.cmd),
        len: descriptor.map_or(size, |d| d.fixed),
        descriptor,
        address,
        in_size: if ioctl::reads_argument(both) { size } else { 0 },
        out_size: if ioctl::writes_argument(both) {
            size
        } else {
            0
        },
        argument: [0; MAX_ARGUMENT],
        room: [0; MAX_ARRAYS],
    };
    let head = buffer
        .get_mut(..call.len)
        .ok_or(EncodeError::TooSmall(call.len))?;
    let known = call.in_size.min(descriptor.map_or(size, Descriptor::size));
    let pointers = descriptor.filter(|d| !d.is_plain());
    let argument = match pointers {
        Some(_) => &mut call.argument[..],
        None => &mut *head,
    };
    let (given, rest) = argument.split_at_mut(known);
    if known > 0 {
        memory.read(address, given)?;
    }
    rest.fill(0);
    if call.in_size > known {
        check_readable(memory, address, known..call.in_size)?;
    }
    let Some(descriptor) = pointers else {
        return Ok(call);
    };
    descriptor.gather(&call.argument, head);
    for (index, array) in descriptor.arrays.iter().enumerate() {
        encode_array(&mut call, descriptor, index, array, memory, buffer)?;
    }
    Ok(call)
}

/// Appends one array to the payload.
fn encode_array(
    call: &mut Call,
    descriptor: &Descriptor,
    index: usize,
    array: &Array,
    memory: &dyn ClientMemory,
    buffer: &mut [u8],
) -> Result<(), EncodeError> {
    let asked = match array.count {
        Count::Field { offset, width } => Descriptor::field_count(&call.argument, offset, width),
        Count::Sum(of) => {
            let sum = sum_of(call, descriptor, of, buffer);
            if let (Some(at), Ok(sum)) = (descriptor.total_offset(), u32::try_from(sum)) {
                buffer[at..at + 4].copy_from_slice(&sum.to_le_bytes());
                buffer[at + 4..at + 8].fill(0);
            }
            sum
        }
    };
    let count = match array.flow {
        Flow::In {
            limit, too_long, ..
        } => {
            let fits = fitting(MAX_PAYLOAD - call.len, array.element).min(u64::from(limit));
            if asked > fits {
                return Err(too_long.into());
            }
            asked
        }
        Flow::Out { .. } => clamp(descriptor, array, asked),
        Flow::Unused => 0,
    };
    // No truncation: bounded by the payload's limit.
    let count = count as usize;
    if let Count::Field { offset, width } = array.count
        && count as u64 != asked
        && let Some(at) = descriptor.wire_offset(offset)
    {
        buffer[at..at + width].copy_from_slice(&(count as u64).to_le_bytes()[..width]);
    }
    let end = call.len + count * array.element;
    if end > MAX_PAYLOAD {
        return Err(Errno::ENOMEM.into());
    }
    let bytes = buffer
        .get_mut(call.len..end)
        .ok_or(EncodeError::TooSmall(end))?;
    let pointer = Descriptor::field_count(&call.argument, array.pointer, 8);
    match array.flow {
        Flow::In { null, .. } if count > 0 => match null {
            Some(errno) if pointer == 0 => return Err(errno.into()),
            None if pointer == 0 => bytes.fill(0),
            _ => memory.read(pointer, bytes)?,
        },
        _ => bytes.fill(0),
    }
    call.room[index] = count;
    call.len = end;
    Ok(())
}

/// Puts the answer into the program's memory and returns what the ioctl returns.
///
/// `result` is the server's: zero or more, or a negative error number. Call this for errors too,
/// with the payload that came with them: Linux writes the struct back then as well. A payload of
/// another length is a fault of the server's: `EIO`, and nothing is written.
pub fn finish(
    call: &Call,
    result: i64,
    reply: &[u8],
    memory: &mut dyn ClientMemory,
) -> Result<i64, Errno> {
    if reply.len() != call.len {
        return Err(Errno::EIO);
    }
    let result = match result {
        0.. => Ok(result),
        _ => Err(i32::try_from(result.unsigned_abs()).map_or(Errno::EIO, Errno)),
    };
    let size = call.descriptor.map_or(call.out_size, Descriptor::size);
    let known = call.out_size.min(size);
    let mut arrays = Ok(());
    let mut argument;
    let answer: &[u8] = match call.descriptor.filter(|d| !d.is_plain()) {
        Some(descriptor) => {
            argument = call.argument;
            descriptor.scatter(reply, &mut argument);
            if result.is_ok() {
                arrays = finish_arrays(call, descriptor, &argument, reply, memory);
            }
            restore_unused(call, descriptor, &mut argument);
            &argument
        }
        None => reply,
    };
    if known > 0 {
        memory.write(call.address, &answer[..known])?;
    }
    if call.in_size == 0 {
        // Linux answers a longer struct that it never read with zeros.
        write_zeros(memory, call.address, known..call.out_size)?;
    }
    arrays?;
    result
}

/// Puts back the counts of arrays that were not sent.
fn restore_unused(call: &Call, descriptor: &Descriptor, argument: &mut [u8; MAX_ARGUMENT]) {
    for array in descriptor.arrays {
        if let (Flow::Unused, Count::Field { offset, width }) = (array.flow, array.count) {
            let field = offset..offset + width;
            argument[field.clone()].copy_from_slice(&call.argument[field]);
        }
    }
}

/// Writes the output arrays: as many elements as Linux would, judged by the answer's counts.
fn finish_arrays(
    call: &Call,
    descriptor: &Descriptor,
    argument: &[u8],
    reply: &[u8],
    memory: &mut dyn ClientMemory,
) -> Result<(), Errno> {
    let mut start = descriptor.fixed;
    for (array, &room) in descriptor.arrays.iter().zip(&call.room) {
        if let (Flow::Out { fill, nullable }, Count::Field { offset, width }) =
            (array.flow, array.count)
        {
            let real = Descriptor::field_count(argument, offset, width);
            let real = usize::try_from(real).unwrap_or(usize::MAX);
            let count = fill.written(room, real);
            let pointer = Descriptor::field_count(&call.argument, array.pointer, 8);
            match (count, pointer) {
                (0, _) => {}
                (_, 0) if nullable => {}
                (_, 0) => return Err(Errno::EFAULT),
                _ => memory.write(pointer, &reply[start..start + count * array.element])?,
            }
        }
        start += room * array.element;
    }
    Ok(())
}

/// The sum of an input array of `u32` that is in the payload already.
fn sum_of(call: &Call, descriptor: &Descriptor, of: usize, buffer: &[u8]) -> u64 {
    let before = descriptor.arrays.iter().zip(&call.room).take(of);
    let start = descriptor.fixed + before.map(|(a, n)| a.element * n).sum::<usize>();
    super::message::sum_u32(&buffer[start..start + call.room[of] * 4])
}

/// Cuts an output array's length to its share of the payload; arrays that share a count field
/// get the same, and none is cut that shares it with an input array.
fn clamp(descriptor: &Descriptor, array: &Array, asked: u64) -> u64 {
    let mut largest = 0;
    for other in descriptor.arrays {
        if other.count == array.count {
            if let Flow::In { .. } = other.flow {
                return asked;
            }
            largest = largest.max(other.element);
        }
    }
    let share = (MAX_PAYLOAD - descriptor.fixed) / descriptor.arrays.len();
    asked.min(fitting(share, largest))
}

fn fitting(room: usize, element: usize) -> u64 {
    (room / element) as u64
}

/// Fails if the part of the argument that is longer than ours can't be read.
fn check_readable(
    memory: &dyn ClientMemory,
    address: u64,
    range: core::ops::Range<usize>,
) -> Result<(), Errno> {
    let mut scratch = [0; 256];
    let mut at = range.start;
    while at < range.end {
        let len = scratch.len().min(range.end - at);
        let from = address.checked_add(at as u64).ok_or(Errno::EFAULT)?;
        memory.read(from, &mut scratch[..len])?;
        at += len;
    }
    Ok(())
}

fn write_zeros(
    memory: &mut dyn ClientMemory,
    address: u64,
    range: core::ops::Range<usize>,
) -> Result<(), Errno> {
    let zeros = [0; 256];
    let mut at = range.start;
    while at < range.end {
        let len = zeros.len().min(range.end - at);
        let to = address.checked_add(at as u64).ok_or(Errno::EFAULT)?;
        memory.write(to, &zeros[..len])?;
        at += len;
    }
    Ok(())
}
