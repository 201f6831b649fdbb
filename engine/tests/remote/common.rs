//! What the tests share: a client that is soon impatient, and the simplest dialect.

use std::sync::Arc;
use std::time::Duration;

use migration_engine::remote::call::{Class, Failure, Refusal, Request, Verb};
use migration_engine::remote::client::Client;
use migration_engine::remote::dialect::{Anonymous, Dialect};
use migration_engine::remote::headers::Headers;
use migration_engine::remote::origin::Origin;
use migration_engine::remote::settings::{Settings, Waits};
use migration_engine::remote::ties::Ties;

/// Reads refusals by their status alone.
pub struct Plain;

impl Dialect for Plain {
    fn refusal(&self, status: u16, _headers: &Headers, body: &[u8]) -> Refusal {
        let class = match status {
            429 | 503 => Class::Throttled,
            408 | 500..=599 => Class::Transient,
            412 => Class::Condition,
            404 => Class::NotFound,
            300..=399 => Class::Redirect,
            _ => Class::Invalid,
        };
        let message = String::from_utf8_lossy(body).into_owned();
        Refusal { class, code: String::new(), message }
    }
}

/// Time-outs that suit tests.
pub fn settings() -> Settings {
    let short = Duration::from_millis(300);
    let waits = Waits {
        connect: Duration::from_secs(5),
        answer: short,
        silence: short,
        whole: Duration::from_secs(5),
        slow_bytes_per_s: 1 << 20,
        slow: short,
    };
    Settings { waits, ..Settings::default() }
}

/// A client that signs nothing.
pub fn client(ties: &Ties) -> Client {
    Client::with(Arc::new(Anonymous), Arc::new(Plain), ties.clone(), settings())
}

/// A plain read.
pub fn get(origin: &Origin, path: &str) -> Request<'static> {
    Request::new(Verb::Read, "GET", origin, path.to_owned())
}

/// What a read of everything gives.
pub fn fetched(origin: &Origin) -> Result<Vec<u8>, Failure> {
    client(&Ties::default()).fetch(&get(origin, "/"), 1 << 20).map(|(_, body)| body)
}
