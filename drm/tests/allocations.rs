// SPDX-License-Identifier: MIT
//! The codec allocates nothing: neither for small calls, whose round trip is measured, nor for
//! hostile ones, whatever lengths they claim.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use drvhost_drm::uapi::{Errno, drm_get_cap, ioctl};
use drvhost_drm::wire::{ClientMemory, Message, encode, finish};

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is the system allocator's; only a counter without a destructor is added.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; `alloc` is the system's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Sixteen bytes at address 4096.
struct Memory([u8; 16]);

impl ClientMemory for Memory {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Errno> {
        let start = address.checked_sub(4096).ok_or(Errno::EFAULT)? as usize;
        let from = self.0.get(start..).and_then(|rest| rest.get(..into.len()));
        into.copy_from_slice(from.ok_or(Errno::EFAULT)?);
        Ok(())
    }

    fn write(&mut self, address: u64, from: &[u8]) -> Result<(), Errno> {
        let start = address.checked_sub(4096).ok_or(Errno::EFAULT)? as usize;
        let to = self
            .0
            .get_mut(start..)
            .and_then(|r| r.get_mut(..from.len()));
        to.ok_or(Errno::EFAULT)?.copy_from_slice(from);
        Ok(())
    }
}

fn allocations(work: impl FnOnce()) -> usize {
    let before = COUNT.with(Cell::get);
    work();
    COUNT.with(Cell::get) - before
}

#[test]
fn a_round_trip_allocates_nothing() {
    let mut memory = Memory([0; 16]);
    let mut buffer = [0; 64];
    let count = allocations(|| {
        let call = encode(ioctl::GET_CAP, 4096, &memory, &mut buffer).unwrap();
        let payload = &mut buffer[..call.payload_len()];
        let mut message = Message::decode(call.cmd(), &mut *payload).unwrap();
        let mut cap: drm_get_cap = message.arg();
        cap.value = 1;
        message.set_arg(&cap);
        finish(&call, 0, payload, &mut memory).unwrap();
    });
    assert_eq!(count, 0);
    assert_eq!(memory.0[8], 1);
}

#[test]
fn lengths_in_a_payload_are_never_believed() {
    let payload = [0xff; 48];
    let count = allocations(|| {
        for cmd in [
            ioctl::MODE_GETRESOURCES,
            ioctl::MODE_ATOMIC,
            ioctl::VERSION,
            ioctl::MODE_GETCONNECTOR,
        ] {
            assert!(Message::decode(cmd, &payload[..]).is_err());
        }
    });
    assert_eq!(count, 0);
}

#[test]
fn the_counter_counts() {
    assert!(allocations(|| drop(std::hint::black_box(vec![1u8; 32]))) > 0);
}
