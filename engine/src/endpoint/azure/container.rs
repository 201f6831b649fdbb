//! A container, opened: its address, what its requests have in common, and the verbs.

use std::ops::Range;
use std::sync::Arc;

use crate::endpoint::azure::address::Address;
use crate::endpoint::azure::checks::Checks;
use crate::endpoint::azure::errors::AzureDialect;
use crate::endpoint::azure::metadata::{self, CustomerKey, Written};
use crate::endpoint::contract::destination_changed;
use crate::endpoint::store::verbs::{
    Ask, Begun, Condition, Copying, From, Object, Opened, Page, Part, Put, Rules, Store, Upload,
    Whole,
};
use crate::error::{EngineError, Kind, Result};
use crate::model::digest::Algorithm;
use crate::model::location::Location;
use crate::model::version::Version;
use crate::platform::secret;
use crate::remote::call::{Class, Failure, Request, Side, Verb};
use crate::remote::client::Client;
use crate::remote::credentials::azure;
use crate::remote::encode;
use crate::remote::origin::Origin;
use crate::remote::settings::Settings;
use crate::remote::ties::Ties;

/// The service's version that is asked for: the first that is in every region's documents with all
/// that is used here (blocks of 4000 MiB, the tier Cold, names that XML cannot hold).
const VERSION: &str = "2021-12-02";
/// Most bytes of a block (Put Block, since 2019-12-12).
const BLOCK_BYTES_MAX: u64 = 4000 << 20;
/// Most blocks of a blob.
const BLOCKS_MAX: u64 = 50_000;
/// Most bytes of Put Blob (since 2019-12-12).
const PUT_BYTES_MAX: u64 = 5000 << 20;
/// Longest key, units of UTF-16, and the most parts between its slashes ("Naming and referencing
/// containers, blobs, and metadata").
const KEY_UNITS_MAX: usize = 1024;
const KEY_PARTS_MAX: usize = 254;
/// Bytes that a unit of UTF-16 takes at most as UTF-8.
const BYTES_OF_UNIT: usize = 3;

/// The secret that is a customer's key.
const CUSTOMER_KEY: &str = "sse_customer_key";

/// A container for one job and one side.
pub struct Container {
    pub(super) client: Client,
    pub(super) ties: Ties,
    pub(super) side: Side,
    pub(super) origin: Origin,
    /// The path of the account on its origin, without slash at its end: empty, or `/ACCOUNT`.
    pub(super) account_path: String,
    /// The path of the container.
    pub(super) path: String,
    /// Its URL.
    pub(super) identity: String,
    pub(super) written: Written,
    pub(super) customer_key: Option<CustomerKey>,
    pub(super) checks: Checks,
}

impl Container {
    /// Opens a container. Nothing is sent.
    ///
    /// # Errors
    /// `InvalidField`; what keeps the account or its credentials from being found.
    pub(super) fn open(
        container: &str,
        location: &Location,
        side: Side,
        ties: &Ties,
    ) -> Result<Self> {
        let options = &location.store;
        let chain = azure::chain(location, ties)?;
        let address = Address::new(chain.account()?.as_deref(), chain.endpoint()?.as_deref())?;
        let settings = Settings {
            tls_ca: options.tls_ca.clone(),
            tls_insecure: options.tls_insecure,
            waits: ties.waits,
            tries: ties.tries,
            ..Settings::default()
        };
        let client = Client::with(chain.signer(), Arc::new(AzureDialect), ties.clone(), settings);
        let secret = location.auth.iter().find(|(name, _)| name == CUSTOMER_KEY);
        let customer_key = match secret {
            Some(_) if !address.origin.tls => {
                let why = "a customer's key is not sent without TLS";
                return Err(EngineError::new(Kind::InvalidField, why).field("endpoint"));
            }
            Some((_, source)) => {
                Some(CustomerKey::new(&secret::read(source, ties.allow_secret_command)?)?)
            }
            None => None,
        };
        let path = address.path(container);
        Ok(Self {
            client,
            ties: ties.clone(),
            side,
            identity: format!("{}{path}", address.origin),
            path,
            origin: address.origin,
            account_path: address.account_path,
            written: Written::new(options)?,
            customer_key,
            checks: Checks::default(),
        })
    }

    /// A request for the container itself.
    pub(super) fn container(&self, verb: Verb, method: &'static str) -> Request<'static> {
        Request::new(verb, method, &self.origin, self.path.clone())
            .query("restype", "container")
            .header("x-ms-version", VERSION)
    }

    /// A request for a blob.
    ///
    /// # Errors
    /// `NameRefused` for a key that the service would not keep as it is.
    pub(super) fn blob(
        &self,
        verb: Verb,
        method: &'static str,
        key: &str,
    ) -> Result<Request<'static>> {
        if let Some(why) = refused_key(key) {
            let why = format!("Azure cannot hold this key: {why}");
            return Err(EngineError::new(Kind::NameRefused, why).at(key));
        }
        let path = format!("{}/{}", self.path, encode::path(key.as_bytes()));
        Ok(Request::new(verb, method, &self.origin, path).header("x-ms-version", VERSION))
    }

    /// Adds the customer's key to a request that reads or writes content or metadata.
    pub(super) fn add_key(&self, request: &mut Request<'_>) {
        if let Some(key) = &self.customer_key {
            key.add(request);
        }
    }

    /// A failure as the engine's error.
    pub(super) fn error(&self, failure: &Failure, verb: Verb, doing: &str) -> EngineError {
        failure.error(self.side, verb, doing)
    }

    /// What became of a write that failed. When it may have been carried out, or its condition does
    /// not hold any more, the object may be this very write's.
    pub(super) fn settle(
        &self,
        key: &str,
        put: &Put,
        failure: &Failure,
        doing: &str,
    ) -> Result<Object> {
        let may_be_done =
            failure.unsure || matches!(failure.class, Class::Condition | Class::NoUpload);
        if may_be_done && let Some(object) = self.own(key, put) {
            return Ok(object);
        }
        Err(match (failure.class, &put.condition) {
            (Class::Condition, Condition::Absent) => {
                EngineError::new(Kind::DestinationExists, "the destination exists")
            }
            (Class::Condition, _) => destination_changed(),
            (Class::NotFound, Condition::Is(_)) => destination_changed(),
            _ => self.error(failure, Verb::Write, doing),
        })
    }

    /// The object under a key, if it was put there by this very write. An answer that cannot be had
    /// leaves the write's own failure to be told.
    pub(super) fn own(&self, key: &str, put: &Put) -> Option<Object> {
        let nonce = metadata::nonce(&put.metadata)?;
        let object = self.properties(key).ok().flatten()?;
        let written = object.metadata.as_deref().and_then(metadata::nonce);
        (written == Some(nonce)).then_some(object)
    }
}

/// Why a key cannot be held. Parts that a path is normalised by never reach the service as written.
fn refused_key(key: &str) -> Option<&'static str> {
    if key.is_empty() {
        return Some("it is empty");
    }
    if key.encode_utf16().count() > KEY_UNITS_MAX {
        return Some("it is longer than 1024 characters");
    }
    if key.split('/').count() > KEY_PARTS_MAX {
        return Some("it has more than 254 parts");
    }
    if key.contains('\\') {
        return Some("it has a backslash, which the service takes for a slash");
    }
    if key.split('/').any(|part| part == "." || part == "..") {
        return Some("one of its parts is . or ..");
    }
    None
}

/// An answer that cannot be understood.
pub(super) fn garbled(doing: &str, why: &str) -> EngineError {
    EngineError::new(Kind::RemoteAnswer, doing).because(why, None)
}

impl Store for Container {
    fn scheme(&self) -> &'static str {
        "az"
    }

    fn rules(&self) -> Rules {
        Rules {
            part_bytes_min: 1,
            part_bytes_max: BLOCK_BYTES_MAX,
            parts_max: BLOCKS_MAX,
            put_bytes_max: PUT_BYTES_MAX,
            object_bytes_max: BLOCKS_MAX * BLOCK_BYTES_MAX,
            copy_bytes_max: BLOCKS_MAX * BLOCK_BYTES_MAX,
            key_bytes_max: KEY_UNITS_MAX * BYTES_OF_UNIT,
            parallel_parts: true,
            equal_parts: false,
            doubles: true,
            checksum: Some(Algorithm::Crc64Nvme),
            checks_whole: false,
            creates_only: true,
            replaces_only: true,
            removes_only: true,
            lists: true,
            leaves_objects: false,
            modified_step_ns: 1_000_000_000,
        }
    }

    fn identity(&self) -> &str {
        &self.identity
    }

    fn service(&self) -> String {
        format!("{}{}/", self.origin, self.account_path)
    }

    fn look(&self, key: &str) -> Result<Option<Object>> {
        self.properties(key)
    }

    fn read(&self, key: &str, version: Version, range: Option<Range<u64>>) -> Result<Opened> {
        self.get(key, version, range)
    }

    fn list(&self, ask: &Ask<'_>) -> Result<Page> {
        self.list_blobs(ask)
    }

    fn put(&self, key: &str, bytes: &[u8], put: &Put) -> Result<Version> {
        self.put_blob(key, bytes, put)
    }

    fn begin(&self, key: &str, _put: &Put) -> Result<Upload> {
        self.begin_blocks(key)
    }

    fn put_part(
        &self,
        upload: &Upload,
        index: u32,
        _offset: u64,
        bytes: &[u8],
        digest: Option<Whole>,
    ) -> Result<Part> {
        self.put_block(upload, index, bytes, digest)
    }

    fn parts(&self, upload: &Upload) -> Result<Option<Vec<Part>>> {
        self.blocks_of(upload)
    }

    fn complete(&self, upload: &Upload, parts: &[Part], put: &Put) -> Result<Version> {
        self.put_block_list(upload, parts, put)
    }

    /// Sends nothing: the service cannot be told to drop blocks. What was not committed expires a
    /// week after the last block, or when anything is committed under the key.
    fn abandon(&self, _upload: &Upload) -> Result<()> {
        Ok(())
    }

    fn uploads(&self, prefix: &str, each: &mut dyn FnMut(Begun) -> Result<()>) -> Result<()> {
        self.uncommitted(prefix, each)
    }

    fn copying(&self, from: &From, _key: &str, condition: &Condition) -> Result<Copying> {
        Ok(Self::copying_blob(from, *condition))
    }

    fn copy(&self, from: &From, key: &str, put: &Put) -> Result<Option<Object>> {
        self.copy_blob(from, key, put)
    }

    fn remove(&self, key: &str, version: Version) -> Result<bool> {
        self.delete(key, version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_azure_would_change_are_refused() {
        for key in ["a", "a//b", "/a", "a/", "..a/b.", "é", " "] {
            assert_eq!(refused_key(key), None, "{key}");
        }
        let (long, deep) = ("x".repeat(1025), "a/".repeat(254));
        for key in ["", ".", "a/../b", "./a", "a/.", "a\\b", long.as_str(), deep.as_str()] {
            assert!(refused_key(key).is_some(), "{key}");
        }
        assert_eq!(refused_key(&"é".repeat(1024)), None);
    }
}
