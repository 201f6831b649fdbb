//! A bucket opened for one job and one side: how requests to it are made and sent.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::endpoint::s3::errors::{self, S3};
use crate::endpoint::s3::facts::{Facts, Heeds};
use crate::endpoint::s3::metadata::{self, CustomerKey};
use crate::endpoint::s3::style::Style;
use crate::endpoint::s3::{
    abort, backslash, complete, copy, copy_part, create_upload, delete, delete_many, get, head,
    list, list_parts, list_uploads, probe, put, put_part, xml,
};
use crate::endpoint::store::verbs::{
    Ask, Begun, Condition, Copying, From, Object, Opened, Page, Part, Put, Rules, Store, Upload,
    Whole,
};
use crate::error::{EngineError, Kind, Result};
use crate::model::digest::Algorithm;
use crate::model::location::Location;
use crate::model::store::StoreOptions;
use crate::model::version::Version;
use crate::platform::secret;
use crate::remote::call::{Class, Failure, Request, Side, Verb};
use crate::remote::client::{Answer, Client};
use crate::remote::credentials::aws::{self, AwsChain};
use crate::remote::headers::Headers;
use crate::remote::settings::Settings;
use crate::remote::sign::reach::Reach;
use crate::remote::ties::Ties;

/// Where a bucket is looked for when nobody says where it is.
const REGION: &str = "us-east-1";
const GIB: u64 = 1 << 30;
/// Most parts of an upload ("Amazon S3 multipart upload limits").
pub const PARTS_MAX: u64 = 10_000;
/// Bytes of a part, by the same.
const PART_BYTES: Range<u64> = 5 << 20..5 * GIB;
const KEY_BYTES_MAX: usize = 1024;

/// A bucket.
pub struct Bucket {
    style: Style,
    side: Side,
    root: String,
    clients: Clients,
    options: Arc<StoreOptions>,
    customer: Option<CustomerKey>,
    identity: String,
    facts: Arc<Facts>,
    wire: Mutex<Wire>,
    /// What answers told of the entity tags of parts: whether those of equal bytes are equal, and
    /// whether they differ, as those of encrypted ones do.
    plain_tags: AtomicBool,
    opaque_tags: AtomicBool,
}

/// What clients are made of.
struct Clients {
    chain: AwsChain,
    settings: Settings,
    ties: Ties,
}

/// What sends requests to a region.
#[derive(Clone)]
struct Wire {
    region: String,
    client: Client,
}

impl Bucket {
    /// The bucket of this name, of which a key or all beneath it is meant. Nothing is sent.
    ///
    /// # Errors
    /// `InvalidField`, `Unsupported`, `SecretUnresolved`, `CredentialsMissing`.
    pub fn open(
        (name, root): (&str, &str),
        location: &Location,
        side: Side,
        ties: &Ties,
    ) -> Result<Self> {
        let root = root.to_owned();
        let options = location.store.clone();
        let chain = aws::chain(location, ties)?;
        let asked = chain.region()?.unwrap_or_else(|| REGION.to_owned());
        let style = Style::new(name, chain.endpoint()?.as_deref(), &asked, &options)?;
        let customer = location.auth.iter().find(|(name, _)| name == "sse_customer_key");
        let customer = match customer {
            Some((_, source)) => {
                Reach::Any.check("a customer's key", &style.origin(REGION))?;
                Some(CustomerKey::new(&secret::read(source, ties.allow_secret_command)?)?)
            }
            None => None,
        };
        metadata::check(&options, customer.is_some())?;
        let identity = format!("{}/{name}", style.service());
        let (facts, _) = Facts::of(&identity);
        let region = facts.region().unwrap_or(asked);
        if !errors::is_region(&region) {
            let error = EngineError::new(Kind::InvalidField, "the region is no region's name");
            return Err(error.field("region"));
        }
        let clients = Clients {
            chain,
            settings: Settings {
                tls_ca: options.tls_ca.clone(),
                tls_insecure: options.tls_insecure,
                waits: ties.waits,
                tries: ties.tries,
                ..Settings::default()
            },
            ties: ties.clone(),
        };
        let wire = Mutex::new(clients.wire(&region));
        let opaque_tags = AtomicBool::new(customer.is_some());
        Ok(Self {
            style,
            side,
            root,
            clients,
            options,
            customer,
            identity,
            facts,
            wire,
            plain_tags: AtomicBool::new(false),
            opaque_tags,
        })
    }

    /// Learns from the answer to a part whether its entity tag stands for its bytes.
    pub fn learn_tags(&self, headers: &Headers) {
        let encrypted = headers.get("x-amz-server-side-encryption");
        let is_plain = encrypted.is_none_or(|by| by == "AES256");
        let told = if is_plain { &self.plain_tags } else { &self.opaque_tags };
        told.store(true, Ordering::Relaxed);
    }

    /// What is known of it.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The key that is meant, or what all that is meant is beneath.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// What its requests are made for.
    #[must_use]
    pub fn ties(&self) -> &Ties {
        &self.clients.ties
    }

    /// Where it is.
    #[must_use]
    pub fn style(&self) -> &Style {
        &self.style
    }

    /// What its location says.
    #[must_use]
    pub fn options(&self) -> &StoreOptions {
        &self.options
    }

    /// Whether its objects are encrypted by a key of the customer.
    #[must_use]
    pub fn has_customer_key(&self) -> bool {
        self.customer.is_some()
    }

    /// Adds the customer's key, where there is one.
    pub fn add_customer_key(&self, headers: &mut Headers) {
        if let Some(customer) = &self.customer {
            customer.add(headers);
        }
    }

    /// A request about a key, or about the bucket for an empty one.
    #[must_use]
    pub fn request(&self, verb: Verb, method: &'static str, key: &str) -> Request<'static> {
        let origin = self.style.origin(&self.wire().region);
        let mut request = Request::new(verb, method, &origin, self.style.path(key));
        if self.options.requester_pays {
            request.headers.add("x-amz-request-payer", "requester");
        }
        request
    }

    /// Sends a request whose answer's body is read by the caller; again, once, in the region that
    /// the store names.
    ///
    /// # Errors
    /// The last failure.
    pub fn send(&self, request: Request<'_>) -> Result<Answer, Failure> {
        self.in_region(request, |client, request| client.send(request))
    }

    /// Sends a request and reads its answer, again as [`Bucket::send`].
    ///
    /// # Errors
    /// The last failure.
    pub fn fetch(&self, request: Request<'_>) -> Result<(Answer, Vec<u8>), Failure> {
        self.in_region(request, |client, request| client.fetch(request, xml::BODY_BYTES_MAX))
    }

    /// As [`Bucket::fetch`], for what is cleared away behind a job, cancelled or not.
    ///
    /// # Errors
    /// The last failure.
    pub fn fetch_parting(&self, request: Request<'_>) -> Result<(Answer, Vec<u8>), Failure> {
        self.in_region(request, |client, request| {
            client.parting().fetch(request, xml::BODY_BYTES_MAX)
        })
    }

    /// As [`Bucket::fetch`], for what a job made and must not leave: as patient as the job, and still
    /// sent when that was cancelled.
    ///
    /// # Errors
    /// The last failure.
    pub fn fetch_away(&self, request: &Request<'_>) -> Result<(Answer, Vec<u8>), Failure> {
        match self.fetch(request.clone()) {
            Err(failure) if failure.class == Class::Cancelled => {
                self.fetch_parting(request.clone())
            }
            result => result,
        }
    }

    fn in_region<T>(
        &self,
        mut request: Request<'_>,
        act: impl Fn(&Client, &Request<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let first = self.wire();
        let result = match act(&first.client, &request) {
            Err(failure) if failure.class == Class::Region => {
                if !errors::is_region(&failure.code) || failure.code == first.region {
                    return Err(failure);
                }
                request.origin = self.style.origin(&failure.code);
                act(&self.moved(&failure.code).client, &request)
            }
            result => result,
        };
        if result.is_ok() {
            self.facts.see();
        }
        result
    }

    fn wire(&self) -> Wire {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn moved(&self, region: &str) -> Wire {
        self.facts.learn_region(region);
        let mut wire = self.wire.lock().unwrap_or_else(PoisonError::into_inner);
        if wire.region != region {
            *wire = self.clients.wire(region);
        }
        wire.clone()
    }

    /// A failure as the engine's error.
    #[must_use]
    pub fn error(&self, failure: &Failure, verb: Verb, doing: &str) -> EngineError {
        failure.error(self.side, verb, doing)
    }
}

impl Clients {
    fn wire(&self, region: &str) -> Wire {
        let (signer, ties) = (self.chain.signer(region), self.ties.clone());
        let client = Client::with(signer, Arc::new(S3), ties, self.settings.clone());
        Wire { region: region.to_owned(), client }
    }
}

impl Store for Bucket {
    fn scheme(&self) -> &'static str {
        "s3"
    }

    fn rules(&self) -> Rules {
        let confirmed = self.confirms();
        let heeds = Heeds { absent: true, is: true };
        let puts = self.facts.single.get().map_or(heeds, |single| single.puts);
        let completes = self.facts.completes.get().copied().unwrap_or(heeds);
        Rules {
            part_bytes_min: PART_BYTES.start,
            part_bytes_max: PART_BYTES.end,
            parts_max: PARTS_MAX,
            put_bytes_max: PART_BYTES.end,
            object_bytes_max: PARTS_MAX * PART_BYTES.end,
            copy_bytes_max: PART_BYTES.end,
            key_bytes_max: KEY_BYTES_MAX,
            parallel_parts: true,
            equal_parts: self.style.wants_equal_parts(),
            doubles: self.plain_tags.load(Ordering::Relaxed)
                && !self.opaque_tags.load(Ordering::Relaxed),
            checksum: confirmed.then_some(Algorithm::Crc64Nvme),
            checks_whole: confirmed,
            creates_only: puts.absent && completes.absent,
            replaces_only: puts.is && completes.is,
            removes_only: self.removes_only(),
            lists: true,
            leaves_objects: false,
            modified_step_ns: 1_000_000_000,
        }
    }

    fn identity(&self) -> &str {
        &self.identity
    }

    fn service(&self) -> String {
        self.style.service()
    }

    fn look(&self, key: &str) -> Result<Option<Object>> {
        let object = head::look(self, key)?;
        if object.is_some() {
            backslash::when_found(self, key)?;
        }
        Ok(object)
    }

    fn read(&self, key: &str, version: Version, range: Option<Range<u64>>) -> Result<Opened> {
        get::read(self, key, version, range)
    }

    fn list(&self, ask: &Ask<'_>) -> Result<Page> {
        list::list(self, ask)
    }

    fn put(&self, key: &str, bytes: &[u8], put: &Put) -> Result<Version> {
        backslash::before_write(self, key)?;
        put::put(self, key, bytes, put)
    }

    fn begin(&self, key: &str, put: &Put) -> Result<Upload> {
        backslash::before_write(self, key)?;
        create_upload::begin(self, key, put)
    }

    fn put_part(
        &self,
        upload: &Upload,
        index: u32,
        _offset: u64,
        bytes: &[u8],
        digest: Option<Whole>,
    ) -> Result<Part> {
        put_part::put_part(self, upload, index, bytes, digest)
    }

    fn copy_part(
        &self,
        upload: &Upload,
        index: u32,
        from: &From,
        range: Range<u64>,
    ) -> Result<Option<Part>> {
        copy_part::copy_part(self, upload, index, from, range)
    }

    fn parts(&self, upload: &Upload) -> Result<Option<Vec<Part>>> {
        list_parts::parts(self, upload)
    }

    fn complete(&self, upload: &Upload, parts: &[Part], put: &Put) -> Result<Version> {
        complete::complete(self, upload, parts, put)
    }

    fn abandon(&self, upload: &Upload) -> Result<()> {
        abort::abandon(self, upload)
    }

    fn uploads(&self, prefix: &str, each: &mut dyn FnMut(Begun) -> Result<()>) -> Result<()> {
        list_uploads::uploads(self, prefix, each)
    }

    fn copying(&self, from: &From, key: &str, condition: &Condition) -> Result<Copying> {
        copy::copying(self, from, key, condition)
    }

    fn copy(&self, from: &From, key: &str, put: &Put) -> Result<Option<Object>> {
        backslash::before_write(self, key)?;
        copy::copy(self, from, key, put)
    }

    fn remove(&self, key: &str, version: Version) -> Result<bool> {
        delete::remove(self, key, version)
    }

    fn removes_at_once(&self, near: &str) -> Result<usize> {
        let batches = match self.removes_only() {
            true => probe::batches(self, near),
            false => Ok(false),
        };
        match batches {
            Ok(true) => Ok(delete_many::KEYS_MAX),
            Err(error) if error.kind() == Kind::Cancelled => Err(error),
            // Who may remove need not be allowed to write what would tell.
            Ok(false) | Err(_) => Ok(1),
        }
    }

    fn remove_many(&self, objects: &[(String, Version)]) -> Vec<Result<bool>> {
        delete_many::remove(self, objects)
    }
}

impl Bucket {
    /// Whether the store confirms checksums, as far as is known.
    #[must_use]
    pub fn confirms(&self) -> bool {
        self.style.is_aws() || self.facts.checksums() != Some(false)
    }

    /// Whether `If-Match` holds for removals, as far as is known.
    #[must_use]
    pub fn removes_only(&self) -> bool {
        self.style.is_aws() || self.facts.single.get().is_some_and(|single| single.removes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::model::secret::SecretSource;

    #[test]
    fn a_customers_key_never_goes_in_the_clear_to_another_machine() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[b'k'; 32]).unwrap();
        let source = SecretSource::File(file.path().as_os_str().as_encoded_bytes().to_vec());
        let open = |endpoint: &str| {
            let auth = vec![("sse_customer_key".to_owned(), source.clone())];
            let mut location = Location::parse(b"s3://bucket/k", auth).unwrap();
            location.store = Arc::new(StoreOptions {
                endpoint: Some(endpoint.to_owned()),
                anonymous: true,
                ..StoreOptions::default()
            });
            Bucket::open(("bucket", "k"), &location, Side::Source, &Ties::default())
        };
        for endpoint in ["https://s3.example.org", "http://127.0.0.1:9000"] {
            assert!(open(endpoint).is_ok(), "{endpoint}");
        }
        let refused = open("http://s3.example.org").err().unwrap();
        assert_eq!(refused.kind(), Kind::InvalidField);
        assert_eq!(refused.parts().field.as_deref(), Some("endpoint"));
    }
}
