//! Dialects of object stores and web servers, each against real servers and against servers that
//! answer what no good one does.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    missing_docs,
    reason = "tests make and judge what they use, with a part of the session's harness"
)]

mod azure;
mod azure_faults;
mod canned;
mod gcs;
mod http;
mod s3;

#[path = "../session/session.rs"]
mod session;

use migration_engine::endpoint::store::verbs::Opened;

/// A variable of the environment that names a server of `scripts/services.sh`.
pub fn server(name: &str) -> String {
    let hint = "start the servers with scripts/services.sh up, and eval what its env prints";
    std::env::var(name).unwrap_or_else(|_| panic!("no {name} in the environment: {hint}"))
}

/// All bytes of an object that is being read.
pub fn content(mut opened: Opened) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match opened.body.read(&mut buffer).unwrap() {
            0 => return all,
            count => all.extend_from_slice(&buffer[..count]),
        }
    }
}

/// Bytes that tell their place.
pub fn bytes(count: usize) -> Vec<u8> {
    (0..count as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u8).collect()
}
