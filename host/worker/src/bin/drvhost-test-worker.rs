// SPDX-License-Identifier: MIT
//! A worker for the tests of this crate; the real one is `drvhost worker`.
//!
//! `drvhost-test-worker babble SEED` is no worker at all: it sends what comes to its mind.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    let mut args = std::env::args().skip(1);
    match (args.next().as_deref(), args.next()) {
        (Some("babble"), Some(seed)) => babble(seed.parse().unwrap_or(1)),
        _ => return drvhost_worker::run(),
    }
    std::process::ExitCode::SUCCESS
}

#[cfg(not(target_os = "linux"))]
fn main() {}

/// Sends messages that are well formed and senseless, and then some that are neither.
#[cfg(target_os = "linux")]
fn babble(seed: u64) {
    use drvhost_worker::wire::message::{Ask, FromWorker, send};
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let socket = rustix::stdio::stdin();
    for _ in 0..1000 {
        let small = random(4);
        let large = random(40_000) as usize;
        let message = match random(14) {
            0 => FromWorker::Loaded {
                name: "x\n\u{1b}[31m".repeat(large / 100),
                description: String::new(),
                unconfined: vec!["y".into(); large / 10],
            },
            1 => FromWorker::LoadFailed {
                reason: "z".repeat(large),
            },
            2 => FromWorker::Ready {
                nodes: vec![(random(5) as u32, "n".into()); random(30) as usize],
            },
            3 => FromWorker::ProbeFailed {
                errno: random(u64::MAX) as i32,
            },
            4 => FromWorker::Log {
                level: random(8) as u8,
                target: "t".into(),
                text: "l".repeat(large),
            },
            5 => FromWorker::Upcall {
                seq: random(9) as u32,
                ask: Ask::BufferCreate {
                    file: small,
                    size: random(u64::MAX),
                },
            },
            6 => FromWorker::Upcall {
                seq: 1,
                ask: Ask::BufferOpen { id: small },
            },
            7 => FromWorker::Upcall {
                seq: 2,
                ask: Ask::Firmware {
                    name: "../".repeat(large / 100),
                },
            },
            8 => FromWorker::BufferPut {
                id: random(u64::MAX),
            },
            9 => FromWorker::FencePut {
                id: random(u64::MAX),
            },
            10 => FromWorker::Event {
                file: small,
                data: vec![0; large],
            },
            11 => FromWorker::Served {
                seq: small as u32,
                status: random(u64::MAX) as i32,
            },
            12 => FromWorker::Upcall {
                seq: 3,
                ask: Ask::FenceOpen {
                    id: random(u64::MAX),
                },
            },
            _ => {
                let bytes: Vec<u8> = (0..random(64)).map(|_| random(256) as u8).collect();
                let _ = rustix::net::send(socket, &bytes, rustix::net::SendFlags::NOSIGNAL);
                continue;
            }
        };
        if send(socket, &message, &[], true).is_err() {
            return;
        }
    }
}
