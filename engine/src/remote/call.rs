//! One request and what comes of it.

use std::fmt;
use std::time::Duration;

use crate::error::{EngineError, Kind};
use crate::remote::headers::{Headers, is_secret_query};
use crate::remote::origin::Origin;

/// What a request does, as rates and concurrency tell requests apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Reads content.
    Read,
    /// Writes content.
    Write,
    /// Looks at one thing.
    Look,
    /// Lists.
    List,
    /// Removes.
    Remove,
    /// Anything else: begins, completes, tokens.
    Control,
}

/// Whether a request may be sent again when nobody knows whether it was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Yes: carried out twice is as good as once.
    Freely,
    /// No: the caller looks what became of it ([`Failure::unsure`]).
    Never,
}

/// A request. Its path is percent-encoded, and may have a query behind it that is so too; names and
/// values of `query` are not, and are encoded once (RFC 3986: all but letters, digits, `-`, `.`,
/// `_`, `~`), sorted by nobody. Its `Debug` shows no secret.
#[derive(Clone)]
pub struct Request<'a> {
    /// What it does.
    pub verb: Verb,
    /// Its method.
    pub method: &'static str,
    /// Where to.
    pub origin: Origin,
    /// The path, percent-encoded, from its first slash on.
    pub path: String,
    /// The query, plain.
    pub query: Vec<(String, String)>,
    /// Fields beside those of the transport (`host`, `content-length`, `connection`).
    pub headers: Headers,
    /// The body.
    pub body: &'a [u8],
    /// What is sent in front of the body, and behind it, as one with it: so that content is framed
    /// without being copied.
    pub frame: (Vec<u8>, Vec<u8>),
    /// Whether it may be sent twice.
    pub repeat: Repeat,
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.split('?').next().unwrap_or_default();
        let shown = |(name, value): &(String, String)| match is_secret_query(name) {
            true => (name.clone(), "[hidden]".to_owned()),
            false => (name.clone(), value.clone()),
        };
        f.debug_struct("Request")
            .field("verb", &self.verb)
            .field("method", &self.method)
            .field("origin", &self.origin)
            .field("path", &path)
            .field("query", &self.query.iter().map(shown).collect::<Vec<_>>())
            .field("headers", &self.headers)
            .field("body", &self.body.len())
            .field("repeat", &self.repeat)
            .finish()
    }
}

impl<'a> Request<'a> {
    /// A request without query, fields and body that may be sent twice.
    #[must_use]
    pub fn new(verb: Verb, method: &'static str, origin: &Origin, path: String) -> Self {
        Self {
            verb,
            method,
            origin: origin.clone(),
            path,
            query: Vec::new(),
            headers: Headers::default(),
            body: &[],
            frame: (Vec::new(), Vec::new()),
            repeat: Repeat::Freely,
        }
    }

    /// With one more part of the query.
    #[must_use]
    pub fn query(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.push((name.to_owned(), value.into()));
        self
    }

    /// With one more field, its name in lower case.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.add(name, value);
        self
    }

    /// With this body.
    #[must_use]
    pub fn body<'b>(self, body: &'b [u8]) -> Request<'b> {
        let Self { verb, method, origin, path, query, headers, frame, repeat, .. } = self;
        Request { verb, method, origin, path, query, headers, body, frame, repeat }
    }

    /// With this in front of its body, and that behind it.
    #[must_use]
    pub fn framed(mut self, front: Vec<u8>, behind: Vec<u8>) -> Self {
        self.frame = (front, behind);
        self
    }

    /// Bytes of its body with its frame.
    #[must_use]
    pub fn body_bytes(&self) -> u64 {
        let (front, behind) = &self.frame;
        (front.len() + self.body.len() + behind.len()) as u64
    }

    /// Never sent twice.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.repeat = Repeat::Never;
        self
    }
}

/// What a failure of a service means, whatever the dialect ("Retry classes").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Passes by itself: 5xx, 408, a reset before anything was carried out.
    Transient,
    /// Asks for patience: 429, SlowDown, ServerBusy.
    Throttled,
    /// No answer in time.
    Timeout,
    /// No connection: nobody listens, the name is unknown.
    Unreachable,
    /// What was sent arrived damaged; it may be sent again.
    Damaged,
    /// Credentials that are no longer valid.
    Expired,
    /// Credentials that are wrong.
    Refused,
    /// Credentials that were not found.
    Missing,
    /// A reference to a secret that leads nowhere.
    Secret,
    /// Rights that are missing.
    Forbidden,
    /// The clocks of both sides differ too much.
    Clock,
    /// The bucket or container does not exist.
    NoBucket,
    /// The thing does not exist.
    NotFound,
    /// The bucket lies in another region; `code` holds it where the service says so.
    Region,
    /// A condition of the request does not hold: 412, or 304.
    Condition,
    /// Somebody else is changing the same thing now: 409.
    Conflict,
    /// An upload that is not there any more.
    NoUpload,
    /// No room: quota, 507.
    Quota,
    /// Nothing may be written at all.
    ReadOnly,
    /// The object lies in an archive tier, and must be restored first.
    Archived,
    /// The range asked for is not there: 416.
    Range,
    /// The service does not know the request: 501, NotImplemented.
    Unsupported,
    /// The request is wrong in itself: any other 4xx.
    Invalid,
    /// The certificate is not trusted, or TLS failed.
    Tls,
    /// Another place was named, which is not followed.
    Redirect,
    /// The answer cannot be understood.
    Garbled,
    /// The job was cancelled.
    Cancelled,
}

impl Class {
    /// Whether the same request may succeed a little later.
    #[must_use]
    pub fn passes(self) -> bool {
        use Class::{Conflict, Damaged, Garbled, Throttled, Timeout, Transient, Unreachable};
        matches!(self, Transient | Throttled | Timeout | Unreachable | Damaged | Garbled | Conflict)
    }
}

/// A service's refusal, as its dialect reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What it means.
    pub class: Class,
    /// The service's own word for it, such as `NoSuchBucket`; empty where it gave none.
    pub code: String,
    /// The service's own text, cut and without secrets.
    pub message: String,
}

/// A request that came to nothing, after all repetitions.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What it means.
    pub class: Class,
    /// HTTP status of the last answer, where there was one.
    pub status: Option<u16>,
    /// The service's own word for it.
    pub code: String,
    /// What happened, as a lower-case fragment.
    pub message: String,
    /// The system's error number, where a call failed.
    pub errno: Option<i32>,
    /// Whether this attempt, or an earlier one, may have been carried out all the same.
    pub unsure: bool,
    /// How long the service asks to wait.
    pub retry_after: Option<Duration>,
}

/// On which side of a command a service stands, and what is done there: so that a refusal gets the
/// code that tells its reader what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It is read.
    Source,
    /// It is written.
    Destination,
}

impl Failure {
    /// As the engine's error. `doing` is a fragment such as "failed to list the bucket".
    #[must_use]
    pub fn error(&self, side: Side, verb: Verb, doing: &str) -> EngineError {
        let kind = self.kind(side, verb);
        if kind == Kind::Cancelled {
            return EngineError::cancelled();
        }
        let word = match (self.status, self.code.as_str()) {
            (Some(status), "") => format!("HTTP {status}"),
            (Some(status), code) => format!("HTTP {status} {code}"),
            (None, _) => "no answer".to_owned(),
        };
        let cause = match self.message.as_str() {
            "" => word,
            message => format!("{word}: {message}"),
        };
        EngineError::new(kind, doing.to_owned()).because(cause, self.errno)
    }

    fn kind(&self, side: Side, verb: Verb) -> Kind {
        let reads = side == Side::Source;
        match self.class {
            Class::Cancelled => Kind::Cancelled,
            Class::Throttled => Kind::Throttled,
            Class::Timeout => Kind::RemoteTimeout,
            Class::Transient | Class::Unreachable => Kind::RemoteUnavailable,
            Class::Expired => Kind::CredentialsExpired,
            Class::Refused => Kind::CredentialsRefused,
            Class::Missing => Kind::CredentialsMissing,
            Class::Secret => Kind::SecretUnresolved,
            Class::Forbidden if verb == Verb::List => Kind::ListPermission,
            Class::Forbidden if verb == Verb::Remove => Kind::DeletePermission,
            Class::Forbidden if reads => Kind::SourcePermission,
            Class::Forbidden => Kind::DestinationPermission,
            Class::Clock => Kind::ClockSkew,
            Class::NoBucket => Kind::BucketNotFound,
            Class::Region => Kind::RegionWrong,
            Class::NotFound if reads => Kind::SourceNotFound,
            Class::Condition if reads => Kind::SourceChanged,
            Class::Condition | Class::Conflict => Kind::DestinationChanged,
            Class::Range => Kind::SourceChanged,
            Class::Quota => Kind::DestinationNoSpace,
            Class::ReadOnly => Kind::DestinationReadOnly,
            Class::Archived => Kind::ObjectArchived,
            Class::Unsupported => Kind::Unsupported,
            Class::Tls => Kind::TlsRefused,
            Class::Redirect => Kind::RedirectRefused,
            Class::Garbled => Kind::RemoteAnswer,
            Class::Damaged if reads => Kind::SourceRead,
            Class::NotFound | Class::NoUpload | Class::Damaged => Kind::DestinationWrite,
            Class::Invalid => Kind::StoreRefused,
        }
    }
}
