//! How a service is talked to: trust, time-outs, repetitions.

use std::time::Duration;

use crate::limits;

/// What a client may be told. The default is what `limits` says, the system's authorities, and no
/// metadata service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// A PEM file of certificates that are trusted beside the system's.
    pub tls_ca: Option<String>,
    /// Whether any certificate is trusted.
    pub tls_insecure: bool,
    /// Whether the addresses of metadata services may be asked.
    pub imds: bool,
    /// Time-outs.
    pub waits: Waits,
    /// Repetitions.
    pub tries: Tries,
}

/// Time-outs, by what is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// For a connection, over all addresses of a name, TLS included.
    pub connect: Duration,
    /// For the head of an answer, once the request was sent.
    pub answer: Duration,
    /// For the next byte, of a request on its way out or of a body.
    pub silence: Duration,
    /// For the whole body of an answer that carries no content.
    pub whole: Duration,
    /// Least bytes of content each second.
    pub slow_bytes_per_s: u64,
    /// How long content may come slower than that.
    pub slow: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            connect: Duration::from_millis(limits::REMOTE_CONNECT_MS),
            answer: Duration::from_millis(limits::REMOTE_ANSWER_MS),
            silence: Duration::from_millis(limits::REMOTE_SILENCE_MS),
            whole: Duration::from_millis(limits::REMOTE_WHOLE_MS),
            slow_bytes_per_s: limits::REMOTE_SLOW_BYTES_PER_S,
            slow: Duration::from_millis(limits::REMOTE_SLOW_MS),
        }
    }
}

/// How long a database may take over one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For a lock that others hold.
    pub lock: Duration,
    /// For a statement, those that load rows or build indexes too; `None` for as long as it takes.
    pub statement: Option<Duration>,
}

impl Default for Patience {
    fn default() -> Self {
        Self { lock: Duration::from_secs(limits::DATABASE_LOCK_S), statement: None }
    }
}

impl Patience {
    /// How long a statement that changes a table waits for its lock at once: whoever comes after it
    /// waits behind it, so that it steps back and comes again until [`Patience::lock`] is over.
    #[must_use]
    pub fn turn(&self) -> Duration {
        self.lock.min(Duration::from_secs(limits::DATABASE_LOCK_TURN_S))
    }
}

/// How often and how soon a request is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tries {
    /// Attempts at most.
    pub count: u32,
    /// Time for all of them, but for what a service asks for.
    pub total: Duration,
    /// Least wait between two.
    pub first: Duration,
    /// Greatest wait between two.
    pub longest: Duration,
    /// How long a service that fails again and again is left alone.
    pub rest: Duration,
}

impl Default for Tries {
    fn default() -> Self {
        Self {
            count: limits::REMOTE_TRIES,
            total: Duration::from_millis(limits::REMOTE_TRIES_MS),
            first: Duration::from_millis(limits::REMOTE_BACKOFF_MS.0),
            longest: Duration::from_millis(limits::REMOTE_BACKOFF_MS.1),
            rest: Duration::from_millis(limits::REMOTE_BREAKER_MS),
        }
    }
}
