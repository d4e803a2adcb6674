// SPDX-License-Identifier: MIT
//! Making and reading payloads of calls that the host itself makes.

use drvhost_abi::Errno;
use drvhost_drm::uapi::Pod;
use drvhost_drm::wire::{MAX_ARGUMENT, Message, describe};
use drvhost_port::{CallError, Ioctl, Worker};

/// The payload of a call: the struct without its pointers, then the arrays. A number without a
/// descriptor, or arrays that contradict the struct, give a payload that drivers refuse.
pub fn payload<T: Pod>(cmd: u32, argument: &T, arrays: &[&[u8]]) -> Vec<u8> {
    let mut bytes = [0; MAX_ARGUMENT];
    argument.write_to(&mut bytes);
    let mut payload = Vec::new();
    if let Some(descriptor) = describe(cmd) {
        for &(start, len) in descriptor.segments {
            payload.extend_from_slice(&bytes[start..start + len]);
        }
        // The sum of an atomic commit's counts is a field of the wire's own.
        payload.resize(descriptor.fixed, 0);
    }
    for array in arrays {
        payload.extend_from_slice(array);
    }
    payload
}

/// The struct of a payload; zeros where the payload is none.
pub fn argument<T: Pod>(cmd: u32, payload: &[u8]) -> T {
    match Message::decode(cmd, payload) {
        Ok(message) => message.arg(),
        Err(_) => T::read_from(&[]),
    }
}

/// The payload with its struct changed.
pub fn changed<T: Pod>(cmd: u32, payload: &[u8], change: impl FnOnce(&mut T)) -> Vec<u8> {
    match Message::decode(cmd, payload.to_vec()) {
        Ok(mut message) => {
            let mut argument = message.arg();
            change(&mut argument);
            message.set_arg(&argument);
            message.into_payload()
        }
        Err(_) => payload.to_vec(),
    }
}

/// Numbers as an array's bytes.
pub fn words(values: &[u32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// Numbers as an array's bytes.
pub fn longs(values: &[u64]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// Calls on one file of a worker, made by the host.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The worker.
    pub worker: &'a dyn Worker,
    /// The file's cookie.
    pub file: u64,
}

impl Caller<'_> {
    /// One call without objects; gives the answered payload.
    pub fn call(&self, cmd: u32, mut payload: Vec<u8>) -> Result<Vec<u8>, CallError> {
        let call = Ioctl {
            cmd,
            ..Ioctl::default()
        };
        self.worker.ioctl(self.file, &call, &mut payload)?;
        Ok(payload)
    }

    /// One call that answers with lists: asked for their lengths, then for the lists. `make`
    /// gives the struct with room for so many elements of each, `counts` reads the lengths, and
    /// `elements` are the elements' sizes in bytes. Lists that `make` gives no room are left out.
    pub fn lists<T: Pod, const N: usize>(
        &self,
        cmd: u32,
        elements: [usize; N],
        make: impl Fn([u32; N]) -> T,
        mut counts: impl FnMut(&T) -> [u32; N],
    ) -> Result<[Vec<u8>; N], CallError> {
        let mut room = [0; N];
        for _ in 0..4 {
            let length = |i: usize| room[i] as usize * elements[i];
            let arrays = vec![0; (0..N).map(length).sum()];
            let answer = self.call(cmd, payload(cmd, &make(room), &[&arrays]))?;
            let real = counts(&fixed_part(cmd, &answer));
            if real == room {
                let mut at = answer.len().saturating_sub(arrays.len());
                return Ok(std::array::from_fn(|i| {
                    let list = answer.get(at..at + length(i)).unwrap_or_default();
                    at += length(i);
                    list.to_vec()
                }));
            }
            if real.iter().any(|real| *real > MOST) {
                return Err(CallError::Errno(Errno::EINVAL));
            }
            room = real;
        }
        Err(CallError::Errno(Errno::EAGAIN))
    }
}

/// No list of a device's objects or properties is longer.
const MOST: u32 = 1 << 14;

/// The struct of an answer, also where its counts are larger than the room there was.
pub fn fixed_part<T: Pod>(cmd: u32, answer: &[u8]) -> T {
    let mut argument = [0; MAX_ARGUMENT];
    let mut at = 0;
    for &(start, len) in describe(cmd).map_or(&[][..], |descriptor| descriptor.segments) {
        if let Some(bytes) = answer.get(at..at + len) {
            argument[start..start + len].copy_from_slice(bytes);
        }
        at += len;
    }
    T::read_from(&argument)
}

/// Numbers from an array's bytes.
pub fn elements<T: Pod>(bytes: &[u8]) -> Vec<T> {
    bytes
        .chunks_exact(size_of::<T>())
        .map(T::read_from)
        .collect()
}
