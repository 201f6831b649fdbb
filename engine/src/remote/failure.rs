//! The transport's own failures, and those of the system's calls.

use std::io;

use crate::error::{EngineError, Kind};
use crate::remote::call::{Class, Failure, Refusal};

impl Failure {
    /// A failure of the transport. `message` is a lower-case fragment without secrets.
    pub(super) fn of(class: Class, message: impl Into<String>) -> Self {
        Self {
            class,
            status: None,
            code: String::new(),
            message: message.into(),
            errno: None,
            unsure: false,
            retry_after: None,
        }
    }

    /// The job's end, seen by a wait.
    pub(super) fn cancelled() -> Self {
        Self::of(Class::Cancelled, "cancelled")
    }

    /// What could not be understood.
    #[must_use]
    pub fn garbled(message: impl Into<String>) -> Self {
        Self::of(Class::Garbled, message)
    }

    /// A call of the system that failed on a connection.
    pub(super) fn io(error: &io::Error, doing: &str) -> Self {
        let message = format!("{doing}: {}", error.kind());
        Self { errno: error.raw_os_error(), ..Self::of(Class::Transient, message) }
    }

    /// A service's refusal.
    #[must_use]
    pub fn refused(status: u16, refusal: Refusal) -> Self {
        let Refusal { class, code, message } = refusal;
        Self { status: Some(status), code, ..Self::of(class, message) }
    }

    /// What kept a request from being signed.
    pub(super) fn signing(error: &EngineError) -> Self {
        let class = match error.kind() {
            Kind::Cancelled => Class::Cancelled,
            Kind::CredentialsExpired => Class::Expired,
            Kind::Throttled => Class::Throttled,
            Kind::RemoteTimeout => Class::Timeout,
            Kind::RemoteUnavailable => Class::Unreachable,
            Kind::ClockSkew => Class::Clock,
            Kind::TlsRefused => Class::Tls,
            Kind::InvalidField | Kind::Unsupported => Class::Invalid,
            Kind::CredentialsMissing => Class::Missing,
            Kind::SecretUnresolved => Class::Secret,
            _ => Class::Refused,
        };
        Self::of(class, error.to_string())
    }
}
