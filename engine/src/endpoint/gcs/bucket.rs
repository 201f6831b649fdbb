//! A bucket: where it is asked, and how answers become values or errors.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::endpoint::store;
use crate::endpoint::store::verbs::{Condition, Store};
use crate::error::{EngineError, Kind, Result};
use crate::model::location::Location;
use crate::model::store::StoreOptions;
use crate::remote::call::{Class, Failure, Request, Side, Verb};
use crate::remote::client::Client;
use crate::remote::credentials::google;
use crate::remote::encode;
use crate::remote::origin::Origin;
use crate::remote::settings::Settings;
use crate::remote::ties::Ties;

use super::errors::Reader;

/// Names of the fields of a location that are known here.
pub const OPTIONS: &[&str] = &[
    "endpoint",
    "anonymous",
    "imds",
    "requester_pays",
    "tls_ca",
    "tls_insecure",
    "keys",
    "part_bytes",
    "storage_class",
    "content_type",
    "content_encoding",
    "cache_control",
    "metadata",
    "acl",
    "sse_key_id",
];

/// Where the service listens.
const SERVICE: &str = "https://storage.googleapis.com";
/// Most bytes of an answer in JSON: a page of 1,000 objects, each with 8 KiB of metadata.
pub(super) const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Who pays for requests to a bucket whose owner does not.
const PROJECT: &str = "GOOGLE_CLOUD_PROJECT";

/// A bucket, opened for one job and one side.
#[derive(Clone)]
pub(super) struct Bucket {
    pub(super) client: Client,
    pub(super) side: Side,
    pub(super) options: Arc<StoreOptions>,
    pub(super) identity: String,
    origin: Origin,
    name: String,
    project: Option<String>,
}

/// Opens the bucket of a location; with it comes the key, or prefix of keys, that it names.
///
/// # Errors
/// `InvalidField` for a location that names no bucket, or a key that is no text.
pub fn open(location: &Location, side: Side, ties: &Ties) -> Result<(Arc<dyn Store>, String)> {
    let options = Arc::clone(&location.store);
    let (name, key) = split(&location.path)?;
    let chain = google::chain(location, ties)?;
    let endpoint = chain.endpoint()?;
    let (origin, rest) = Origin::parse(endpoint.as_deref().unwrap_or(SERVICE))?;
    if !matches!(rest, "" | "/") {
        let message = "the endpoint of Google Cloud Storage has no path";
        return Err(EngineError::new(Kind::InvalidField, message).field("endpoint"));
    }
    let project = options.requester_pays.then(paying).transpose()?;
    let settings = Settings {
        tls_ca: options.tls_ca.clone(),
        tls_insecure: options.tls_insecure,
        waits: ties.waits,
        tries: ties.tries,
        ..Settings::default()
    };
    let bucket = Bucket {
        client: Client::with(chain.signer(), Arc::new(Reader), ties.clone(), settings),
        side,
        identity: format!("gs {origin} {name}"),
        options,
        origin,
        name,
        project,
    };
    Ok((Arc::new(bucket), key))
}

fn paying() -> Result<String> {
    std::env::var(PROJECT).map_err(|_| {
        let message = format!("the environment has no {PROJECT}, which pays for the requests");
        EngineError::new(Kind::InvalidField, message).field("requester_pays")
    })
}

/// Bucket and key of `bucket/key`.
fn split(path: &[u8]) -> Result<(String, String)> {
    let invalid = |why: &str| Err(EngineError::new(Kind::InvalidField, why.to_owned()));
    let Ok(text) = std::str::from_utf8(path) else {
        return invalid("a key of Google Cloud Storage is UTF-8");
    };
    let (name, key) = text.split_once('/').unwrap_or((text, ""));
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    if name.is_empty() || name.len() > 222 || !name.chars().all(is_name) {
        return invalid("the location names no bucket of Google Cloud Storage");
    }
    Ok((name.to_owned(), store::named(key)?.to_owned()))
}

impl Bucket {
    /// The same for what is cleared away behind a job, cancelled or not.
    pub(super) fn parting(&self) -> Self {
        Self { client: self.client.parting(), ..self.clone() }
    }

    /// The path of all objects of this bucket, under `""`, `/upload` or `/download`.
    pub(super) fn objects(&self, root: &str) -> String {
        format!("{root}/storage/v1/b/{}/o", encode::component(self.name.as_bytes()))
    }

    /// The path of an object.
    pub(super) fn object(&self, root: &str, key: &str) -> String {
        format!("{}/{}", self.objects(root), encode::component(key.as_bytes()))
    }

    /// The bucket of the same service whose identity this is.
    pub(super) fn neighbour<'i>(&self, identity: &'i str) -> Option<&'i str> {
        identity.strip_prefix(&self.service_text())
    }

    /// What identities of all buckets of this service begin with.
    pub(super) fn service_text(&self) -> String {
        format!("gs {} ", self.origin)
    }

    /// A request to this bucket's service.
    pub(super) fn request<'a>(
        &self,
        verb: Verb,
        method: &'static str,
        path: String,
    ) -> Request<'a> {
        let request = Request::new(verb, method, &self.origin, path);
        match &self.project {
            Some(project) => request.query("userProject", project.as_str()),
            None => request,
        }
    }

    /// Sends a request that is answered in JSON.
    pub(super) fn ask<T: DeserializeOwned>(&self, request: &Request<'_>) -> Result<T, Failure> {
        let (answer, body) = self.client.fetch(request, ANSWER_BYTES_MAX)?;
        serde_json::from_slice(&body).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            let message = format!("the answer is not what was asked for ({place})");
            // It was carried out, as far as anybody knows.
            let unsure = request.method != "GET";
            Failure { unsure, ..garbled(Some(answer.status), message) }
        })
    }

    /// A failure as an error.
    pub(super) fn failed(&self, failure: &Failure, verb: Verb, doing: &str) -> EngineError {
        failure.error(self.side, verb, doing)
    }

    /// A failure to write where something must stand.
    pub(super) fn refused(
        &self,
        failure: &Failure,
        condition: Condition,
        doing: &str,
    ) -> EngineError {
        match (failure.class, condition) {
            (Class::Condition, Condition::Absent) => {
                EngineError::new(Kind::DestinationExists, "an object stands there already")
            }
            (Class::Condition, _) => {
                EngineError::new(Kind::DestinationChanged, "the object there is another one by now")
            }
            _ => self.failed(failure, Verb::Write, doing),
        }
    }
}

/// A request with the generation that must stand there.
pub(super) fn conditioned(request: Request<'_>, condition: Condition) -> Request<'_> {
    match condition {
        Condition::Absent => request.query("ifGenerationMatch", "0"),
        Condition::Is(version) => request.query("ifGenerationMatch", version.as_str()),
        Condition::Any => request,
    }
}

/// An answer that cannot be understood.
pub(super) fn garbled(status: Option<u16>, message: impl Into<String>) -> Failure {
    Failure {
        class: Class::Garbled,
        status,
        code: String::new(),
        message: message.into(),
        errno: None,
        unsure: false,
        retry_after: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_name_a_bucket_and_a_key() {
        for (path, name, key) in [
            ("bucket", "bucket", ""),
            ("bucket/", "bucket", ""),
            ("my.bucket_1/a b/c/", "my.bucket_1", "a b/c"),
            ("bucket//a%20b", "bucket", "/a%20b"),
        ] {
            assert_eq!(split(path.as_bytes()).unwrap(), (name.to_owned(), key.to_owned()));
        }
        for path in [&b""[..], b"/key", b"Bucket/key", b"a b/c", b"bucket/\xff"] {
            assert_eq!(split(path).unwrap_err().kind(), Kind::InvalidField);
        }
    }

    #[test]
    fn paths_encode_slashes_of_keys() {
        let location = Location::parse(b"gs://bucket/a", Vec::new()).unwrap();
        let (store, key) = open(&location, Side::Source, &Ties::default()).unwrap();
        assert_eq!(key, "a");
        assert_eq!(store.identity(), "gs https://storage.googleapis.com bucket");
    }
}
