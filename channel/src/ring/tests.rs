// SPDX-License-Identifier: MIT
//! Both ends of a ring, and ends that misbehave.

use super::*;
use drvhost_abi::tables::ObjectRef;
use std::sync::Arc;
use std::thread;

fn pair(slots: Slots) -> (RingClient, RingServer) {
    let fd = Ring::create(slots).unwrap();
    (
        RingClient::new(Ring::open(&fd, slots).unwrap()),
        RingServer::new(Ring::open(&fd, slots).unwrap()),
    )
}

fn echo(server: RingServer) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut payload = Vec::new();
        while let Some(taken) = server.next(&mut payload) {
            payload.iter_mut().for_each(|byte| *byte = !*byte);
            let objects = taken.objects.clone();
            server.reply(&taken, i64::from(taken.head.cmd), &objects, &payload);
        }
    })
}

#[test]
fn a_call_is_answered() {
    let (client, server) = pair(Slots::Program);
    let stopper = server.stopper();
    let thread = echo(server);
    let object = ObjectRef {
        kind: 1,
        place: 7,
        id: u64::MAX,
    };
    for len in [0, 1, 4096, MAX_PAYLOAD] {
        let mut payload = vec![0xa5; len];
        let head = Head {
            cmd: 42,
            file: 9,
            ..Head::default()
        };
        let (answer, objects) = client
            .call(&head, &[object], &mut payload, &|| true)
            .unwrap();
        assert_eq!((answer.result, answer.file, objects), (42, 9, vec![object]));
        assert!(payload.iter().all(|&byte| byte == 0x5a));
    }
    stopper.stop();
    thread.join().unwrap();
    assert_eq!(
        client.call(&Head::default(), &[], &mut [], &|| true),
        Err(CallError::Gone)
    );
}

#[test]
fn more_threads_than_slots() {
    let (client, server) = pair(Slots::Program);
    let client = Arc::new(client);
    let stopper = server.stopper();
    let servers = [echo(server.clone()), echo(server)];
    let threads: Vec<_> = (0..40u32)
        .map(|number| {
            let client = client.clone();
            thread::spawn(move || {
                for round in 0..200 {
                    let mut payload = (number * 1000 + round).to_le_bytes();
                    let head = Head {
                        cmd: number,
                        ..Head::default()
                    };
                    let (answer, _) = client.call(&head, &[], &mut payload, &|| true).unwrap();
                    assert_eq!(answer.result, i64::from(number));
                    assert_eq!(!u32::from_le_bytes(payload), number * 1000 + round);
                }
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    stopper.stop();
    servers
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_caller_notices_that_nobody_serves() {
    let (client, _server) = pair(Slots::Program);
    assert_eq!(
        client.call(&Head::default(), &[], &mut [], &|| false),
        Err(CallError::Gone)
    );
}

#[test]
fn a_payload_beyond_a_slot_is_refused() {
    let (client, _server) = pair(Slots::Program);
    let mut payload = vec![0; MAX_PAYLOAD + 1];
    let error = client.call(&Head::default(), &[], &mut payload, &|| true);
    assert_eq!(error, Err(CallError::TooLarge));
}

#[test]
fn garbage_in_the_memory_does_no_harm() {
    let fd = Ring::create(Slots::Program).unwrap();
    let ring = Ring::open(&fd, Slots::Program).unwrap();
    let server = RingServer::new(Ring::open(&fd, Slots::Program).unwrap());
    let mut seed = 1u64;
    for _ in 0..300 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let head = Head {
            payload_len: (seed >> 32) as u32,
            objects: (seed >> 16) as u32,
            result: seed as i64,
            ..Head::default()
        };
        ring.store(0, &Head::default(), &[], &[]);
        ring.store_head_raw(0, &head);
        ring.slot_word(0, layout::STATE)
            .store(layout::REQUEST, std::sync::atomic::Ordering::SeqCst);
        let mut payload = Vec::new();
        let taken = server.next(&mut payload).unwrap();
        assert!(payload.len() <= MAX_PAYLOAD && taken.objects.len() <= MAX_OBJECTS);
        server.reply(&taken, 0, &[], &payload);
    }
}

impl Ring {
    /// Writes a head as a hostile client would: unchecked.
    fn store_head_raw(&self, index: usize, head: &Head) {
        use zerocopy::IntoBytes;
        self.copy_raw(index, head.as_bytes());
    }
}
