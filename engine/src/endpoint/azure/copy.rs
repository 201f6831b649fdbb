//! Copy Blob: the service copies an object of its own account.

use std::time::Duration;

use crate::endpoint::azure::container::Container;
use crate::endpoint::azure::errors::{COPY_CONDITION, COPY_SOURCE};
use crate::endpoint::azure::metadata;
use crate::endpoint::contract::destination_changed;
use crate::endpoint::store::verbs::{Condition, Copying, From, Object, Put, Store as _};
use crate::error::{EngineError, Kind, Result};
use crate::remote::call::{Class, Failure, Request, Verb};
use crate::remote::encode;

const DOING: &str = "failed to copy the object inside its account";
/// Longest body of an answer that is passed over, bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Largest object that is copied before the answer comes ("Copy Blob From URL").
const WAITED_BYTES_MAX: u64 = 256 << 20;
/// Shortest and longest wait between two looks at a copy that goes on.
const LOOKS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

impl Container {
    /// How the service would copy an object. A copy that goes on behind its answer takes the place of
    /// what stands there at once, and keeps it when it fails: what is replaced is copied before the
    /// answer, or not at all.
    pub(super) fn copying_blob(from: &From, condition: Condition) -> Copying {
        match condition == Condition::Absent || from.object.size <= WAITED_BYTES_MAX {
            true => Copying::Whole,
            false => Copying::Never,
        }
    }

    /// Has the service copy a whole object; `None` where it cannot, or could not give the copy what
    /// the location asks for: it takes content type, encoding and cache control from the source, and
    /// knows no customer's key.
    pub(super) fn copy_blob(&self, from: &From, key: &str, put: &Put) -> Result<Option<Object>> {
        let Some(source) = self.source_url(from) else { return Ok(None) };
        let never = Self::copying_blob(from, put.condition) == Copying::Never;
        if never || self.customer_key.is_some() || self.written.overrides_copies() {
            return Ok(None);
        }
        let mut request = self.blob(Verb::Write, "PUT", key)?.header("x-ms-copy-source", source);
        if !from.object.version.is_none() {
            request.headers.set("x-ms-source-if-match", from.object.version.as_str());
        }
        if put.condition != Condition::Absent {
            request.headers.set("x-ms-requires-sync", "true");
        }
        self.written.add_to_copy(&mut request, put)?;
        if let Err(failure) = self.start(&request) {
            // The source is read with rights of its own: a signature over the destination gives none.
            let cannot =
                matches!(failure.class, Class::Unsupported | Class::Refused | Class::Forbidden);
            if cannot || failure.code == COPY_SOURCE {
                return Ok(None);
            }
            self.settle_copy(from, key, put, &failure)?;
        }
        self.finish(from, key, put).map(Some)
    }

    /// The URL of an object of this account.
    fn source_url(&self, from: &From) -> Option<String> {
        let account = self.service();
        let container = from.store.identity().strip_prefix(&account)?;
        let key = encode::path(from.object.key.as_bytes());
        (!container.contains('/')).then(|| format!("{account}{container}/{key}"))
    }

    fn start(&self, request: &Request<'_>) -> Result<(), Failure> {
        self.client.fetch(request, ANSWER_BYTES_MAX).map(|_| ())
    }

    /// Which of both sides a refusal speaks of: the service has one code for both conditions where
    /// it is an old one.
    fn settle_copy(&self, from: &From, key: &str, put: &Put, failure: &Failure) -> Result<Object> {
        let changed = || {
            let why = "the object changed since it was looked at";
            EngineError::new(Kind::SourceChanged, why)
        };
        if failure.code == COPY_CONDITION {
            return Err(changed());
        }
        let settled = self.settle(key, put, failure, DOING);
        if settled.is_err() && matches!(failure.class, Class::Condition | Class::NotFound) {
            let standing = from.store.look(&from.object.key)?.map(|object| object.version);
            let pinned = Some(from.object.version).filter(|version| !version.is_none());
            if standing.is_none() || pinned.is_some_and(|pinned| standing != Some(pinned)) {
                return Err(changed());
            }
        }
        settled
    }

    /// Waits until the copy is done, and tells what it made. A job that is cancelled meanwhile
    /// leaves a copy that the service goes on with.
    fn finish(&self, from: &From, key: &str, put: &Put) -> Result<Object> {
        let mut wait = LOOKS.0;
        loop {
            let Some((object, headers)) = self.head(key)? else {
                return Err(destination_changed());
            };
            let written = object.metadata.as_deref().and_then(metadata::nonce);
            if metadata::nonce(&put.metadata) != written {
                return Err(destination_changed());
            }
            match headers.get("x-ms-copy-status") {
                Some("success") | None if object.size == from.object.size => return Ok(object),
                Some("success") | None => return Err(self.undo(&object, "it has another size")),
                Some("pending") => {}
                Some(_) => {
                    let why = headers.get("x-ms-copy-status-description");
                    return Err(self.undo(&object, why.unwrap_or("it failed")));
                }
            }
            self.ties.switch.sleep(wait)?;
            wait = (wait * 2).min(LOOKS.1);
        }
    }

    /// Takes away what a copy left that came to nothing.
    fn undo(&self, object: &Object, why: &str) -> EngineError {
        let error = EngineError::new(Kind::DestinationWrite, DOING).because(why, None);
        match self.delete(&object.key, object.version) {
            Ok(_) => error,
            Err(_) => error.hint("what it left under the key could not be removed: remove it"),
        }
    }
}
