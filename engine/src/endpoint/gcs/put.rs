//! Puts a whole object in one request, and finds out what became of writes whose answers were lost.

use crate::endpoint::store::verbs::Put;
use crate::error::{EngineError, Kind, Result};
use crate::model::version::Version;
use crate::remote::call::{Class, Failure, Request};

use super::bucket::Bucket;
use super::resource::{Fields, Resource, crc, nonce};

/// How a request names the canned access list, and the key, of what it makes.
#[derive(Clone, Copy)]
pub(super) struct Names(&'static str, &'static str);

/// Those of an upload.
pub(super) const UPLOAD: Names = Names("predefinedAcl", "kmsKeyName");
/// Those of a compose.
pub(super) const COMPOSE: Names = Names("destinationPredefinedAcl", "kmsKeyName");
/// Those of a rewrite.
pub(super) const REWRITE: Names = Names("destinationPredefinedAcl", "destinationKmsKeyName");

impl Bucket {
    pub(super) fn put(&self, key: &str, bytes: &[u8], put: &Put) -> Result<Version> {
        let crc = crc(bytes, put.digest);
        let fields = Fields::of(&self.options, put).named(key, crc);
        let sent = self.send(&fields, nonce(put).unwrap_or_default(), bytes, put.condition);
        let made = self.settled(sent, key, put, "failed to write the object")?;
        self.proven(key, &made, crc, bytes.len() as u64)
    }

    /// The object that a write made, also if its answer was lost.
    pub(super) fn settled(
        &self,
        sent: Result<Resource, Failure>,
        key: &str,
        put: &Put,
        doing: &str,
    ) -> Result<Resource> {
        let failure = match sent {
            Ok(made) => return Ok(made),
            Err(failure) => failure,
        };
        // What was taken before a process died is found as not fulfilled, or as gone.
        let may_be = matches!(failure.class, Class::Condition | Class::NotFound | Class::NoUpload);
        let doubtful = failure.unsure || may_be;
        if let Some(own) = nonce(put).filter(|_| doubtful && failure.class != Class::Cancelled)
            && let Ok(Some(found)) = self.resource(key)
            && found.nonce() == Some(own)
        {
            return Ok(found);
        }
        Err(self.refused(&failure, put.condition, doing))
    }

    /// The version of an object whose content is what was sent; any other is removed.
    pub(super) fn proven(
        &self,
        key: &str,
        made: &Resource,
        crc: u32,
        bytes: u64,
    ) -> Result<Version> {
        let version = made.version();
        if made.size == bytes && made.crc32c().is_none_or(|told| told == crc) && !version.is_none()
        {
            return Ok(version);
        }
        self.discard(key, &made.generation)?;
        let told = made.crc32c().map_or_else(|| "none".to_owned(), |told| format!("{told:08x}"));
        let message = "the object that the store made is not what was sent";
        Err(EngineError::new(Kind::VerifyMismatch, message).because(
            format!("crc32c {told} of {} bytes, not {crc:08x} of {bytes}", made.size),
            None,
        ))
    }

    /// A request that writes, with what the location says of access and keys.
    pub(super) fn written<'a>(&self, request: Request<'a>, names: Names) -> Request<'a> {
        let options = [(names.0, &self.options.acl), (names.1, &self.options.sse_key_id)];
        options.into_iter().fold(request, |request, (name, value)| match value {
            Some(value) => request.query(name, value.as_str()),
            None => request,
        })
    }
}
