//! What the tests share: a client that is soon impatient, and the simplest dialect.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use migration_engine::remote::call::{Class, Failure, Refusal, Request, Verb};
use migration_engine::remote::client::Client;
use migration_engine::remote::dialect::{Anonymous, Dialect, Signer};
use migration_engine::remote::headers::Headers;
use migration_engine::remote::origin::Origin;
use migration_engine::remote::settings::{Settings, Tries, Waits};
use migration_engine::remote::ties::Ties;
use migration_engine::remote::transport::Transport;

/// Reads refusals by their status alone, or by their text where that names a class.
pub struct Plain;

impl Dialect for Plain {
    fn refusal(&self, status: u16, _headers: &Headers, body: &[u8]) -> Refusal {
        let class = match (status, body) {
            (_, b"expired") => Class::Expired,
            (_, b"clock") => Class::Clock,
            (429 | 503, _) => Class::Throttled,
            (408 | 500..=599, _) => Class::Transient,
            (412, _) => Class::Condition,
            (404, _) => Class::NotFound,
            (300..=399, _) => Class::Redirect,
            _ => Class::Invalid,
        };
        let message = String::from_utf8_lossy(body).into_owned();
        Refusal { class, code: String::new(), message }
    }

    fn hidden(&self, body: &[u8]) -> Option<Refusal> {
        let class = match body {
            b"slow" => Class::Throttled,
            b"broken" => Class::Transient,
            _ => return None,
        };
        Some(Refusal { class, code: String::new(), message: String::new() })
    }
}

/// As [`Plain`], sent on to wherever.
pub struct Following;

impl Dialect for Following {
    fn refusal(&self, status: u16, headers: &Headers, body: &[u8]) -> Refusal {
        Plain.refusal(status, headers, body)
    }

    fn follows(&self) -> bool {
        true
    }
}

/// Time-outs that suit tests.
pub fn settings() -> Settings {
    let short = Duration::from_millis(300);
    let waits = Waits {
        connect: Duration::from_secs(20),
        answer: short,
        silence: short,
        whole: Duration::from_secs(20),
        slow_bytes_per_s: 1 << 20,
        slow: short,
    };
    let tries = Tries {
        count: 4,
        total: Duration::from_secs(30),
        first: Duration::from_millis(1),
        longest: Duration::from_millis(5),
        rest: Duration::from_millis(50),
    };
    Settings { waits, tries, ..Settings::default() }
}

/// Time-outs that no busy machine reaches.
pub fn patient() -> Settings {
    let waits = Waits { connect: Duration::from_secs(20), ..Waits::default() };
    Settings { waits, ..settings() }
}

/// A client with rates, connections and budget of its own.
pub fn with(signer: impl Signer + 'static, ties: &Ties, settings: Settings) -> Client {
    Client::with(Arc::new(signer), Arc::new(Plain), ties.clone(), settings).over(&Arc::default())
}

/// A client that signs nothing.
pub fn client(ties: &Ties) -> Client {
    with(Anonymous, ties, patient())
}

/// A plain read.
pub fn get(origin: &Origin, path: &str) -> Request<'static> {
    Request::new(Verb::Read, "GET", origin, path.to_owned())
}

/// A plain write.
pub fn put<'a>(origin: &Origin, path: &str, body: &'a [u8]) -> Request<'a> {
    Request::new(Verb::Write, "PUT", origin, path.to_owned()).body(body)
}

/// What a read of everything gives.
pub fn fetched(origin: &Origin) -> Result<Vec<u8>, Failure> {
    client(&Ties::default()).fetch(&get(origin, "/"), 1 << 20).map(|(_, body)| body)
}

/// The value of a counter.
pub fn value(counter: &AtomicU64) -> u64 {
    counter.load(SeqCst)
}

/// A transport of a test's own.
pub fn transport() -> Arc<Transport> {
    Arc::default()
}
