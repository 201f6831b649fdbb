//! What an object store can do, one call for each request it takes. Each dialect implements it; the
//! rest of the endpoint is shared.
//!
//! Keys are as the store holds them: UTF-8, `/` between parts by convention alone. Calls block;
//! they are repeated by [`crate::remote::client`] and by nobody else. What was not found is `None`
//! where the answer says so, never an error.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use crate::error::Result;
use crate::model::digest::{Algorithm, Digest};
use crate::model::item::Timestamp;
use crate::model::version::Version;
use crate::remote::client::Answer;
use crate::remote::headers::Headers;

/// Header fields that tell how content is meant, beside its type: kept with objects by every store.
pub const MEANING: [&str; 4] =
    ["cache-control", "content-disposition", "content-encoding", "content-language"];

/// Those fields of an answer.
#[must_use]
pub fn meaning(headers: &Headers) -> Vec<(String, String)> {
    let told = |name: &&str| headers.get(name).map(|value| ((*name).to_owned(), value.to_owned()));
    MEANING.iter().filter_map(told).collect()
}

/// What is known of an object.
#[derive(Clone, Debug, Default)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// Bytes of content.
    pub size: u64,
    /// Which state of it: an entity tag with its quotes, a generation.
    pub version: Version,
    /// When the store took it.
    pub modified: Timestamp,
    /// User metadata, names in lower case without the store's prefix; `None` where the answer did
    /// not tell (listings).
    pub metadata: Option<Vec<(String, String)>>,
    /// Its content type; `None` where the answer did not tell.
    pub content_type: Option<String>,
    /// Those of [`MEANING`] that it has, as far as the answer told.
    pub fields: Vec<(String, String)>,
    /// Whether it has tags.
    pub tagged: bool,
    /// Digests of the whole content that the store holds.
    pub digests: Vec<Digest>,
    /// Whether it lies in an archive tier and cannot be read now.
    pub archived: bool,
    /// Whether nobody knows how long it is before all of it was read; `size` is 0 then.
    pub sizeless: bool,
    /// Whether only the whole can be read, from its start on.
    pub rangeless: bool,
}

/// One page of a listing.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Objects, in the store's order.
    pub objects: Vec<Object>,
    /// With a delimiter: prefixes of keys that go on behind it, delimiter included.
    pub prefixes: Vec<String>,
    /// How to ask for the next page; `None` at the end.
    pub next: Option<String>,
}

impl Page {
    /// Why no good store writes this page, if none does: a name comes twice in it, or a prefix is
    /// none that was asked for. The order says nothing: stores that keep trees list them as trees,
    /// `a/b` before `a-b`.
    #[must_use]
    pub fn wrong(&self, ask: &Ask<'_>) -> Option<&'static str> {
        let is_prefix = |prefix: &String| {
            let rest = prefix.strip_prefix(ask.prefix).unwrap_or_default();
            ask.folded && rest.ends_with('/')
        };
        if !self.prefixes.iter().all(is_prefix) {
            return Some("a prefix in it is none that was asked for");
        }
        let mut known = HashSet::with_capacity(self.objects.len() + self.prefixes.len());
        let keys = self.objects.iter().map(|object| object.key.as_str());
        let mut names = keys.chain(self.prefixes.iter().map(String::as_str));
        (!names.all(|name| known.insert(name))).then_some("a key comes twice in it")
    }
}

/// Which page is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// What all keys begin with.
    pub prefix: &'a str,
    /// Whether keys that go on behind the next `/` are told as one prefix.
    pub folded: bool,
    /// [`Page::next`] of the page before.
    pub next: Option<&'a str>,
    /// Most entries; the store may give fewer.
    pub most: usize,
}

/// What must stand under a key when an object is put there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    Absent,
    /// This state.
    Is(Version),
    /// Anything: the key is the writer's own.
    Any,
}

/// What a store holds with an object beside its bytes.
#[derive(Clone, Debug)]
pub struct Put {
    /// What must stand there.
    pub condition: Condition,
    /// User metadata: names in lower case without the store's prefix.
    pub metadata: Vec<(String, String)>,
    /// Content type of the source or by name; the location's own goes before it.
    pub content_type: Option<Cow<'static, str>>,
    /// Those of [`MEANING`] that the source has; the location's own go before them.
    pub fields: Vec<(String, String)>,
    /// The digest of the whole content where it is known, for the store to check.
    pub digest: Option<Whole>,
}

impl Put {
    /// One of [`MEANING`] that the source has.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A checksum of a whole object or part: CRC-64/NVME or CRC-32C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole {
    /// Which.
    pub algorithm: Algorithm,
    /// Its value.
    pub value: u64,
}

/// An upload that was begun: its key and the store's own name of it, which a later process can go
/// on with. Printable, without secrets where the store can do without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its key.
    pub key: String,
    /// The store's name of it.
    pub id: String,
}

/// A part that the store took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number, from 0.
    pub index: u32,
    /// Its bytes.
    pub size: u64,
    /// The store's name of it (an entity tag, a block's id, a generation).
    pub tag: String,
    /// The checksum that the store holds of it, where it tells.
    pub digest: Option<Whole>,
}

/// An upload found by listing.
#[derive(Clone, Debug)]
pub struct Begun {
    /// Which.
    pub upload: Upload,
    /// When it was begun.
    pub begun: Timestamp,
}

/// An object being read.
pub struct Opened {
    /// The object whose bytes these are.
    pub object: Object,
    /// The bytes of the range asked for.
    pub body: Answer,
}

/// Bounds of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Least bytes of a part that is not the last.
    pub part_bytes_min: u64,
    /// Most bytes of a part.
    pub part_bytes_max: u64,
    /// Most parts of an object.
    pub parts_max: u64,
    /// Most bytes put in one request.
    pub put_bytes_max: u64,
    /// Most bytes of an object.
    pub object_bytes_max: u64,
    /// Most bytes that one server-side copy takes.
    pub copy_bytes_max: u64,
    /// Longest key, bytes.
    pub key_bytes_max: usize,
    /// Whether parts arrive in any order and at once; otherwise one after the other.
    pub parallel_parts: bool,
    /// Whether all parts but the last must be of one length.
    pub equal_parts: bool,
    /// Whether a part that is sent twice at once, with the same bytes, is the same part under the
    /// same tag whichever comes last.
    pub doubles: bool,
    /// The checksum that the store checks itself for parts and the whole.
    pub checksum: Option<Algorithm>,
    /// Whether it checks that of the whole when an upload is completed, joined from its parts'.
    pub checks_whole: bool,
    /// Whether [`Condition::Absent`] holds.
    pub creates_only: bool,
    /// Whether [`Condition::Is`] holds.
    pub replaces_only: bool,
    /// Whether a removal may be bound to a version.
    pub removes_only: bool,
    /// Whether what it holds can be listed.
    pub lists: bool,
    /// Whether parts are objects of their own until they are composed, with temporary names.
    pub leaves_objects: bool,
    /// Step of [`Object::modified`], nanoseconds.
    pub modified_step_ns: u64,
}

/// An object store's bucket or container, opened for one job and one side.
pub trait Store: Send + Sync {
    /// Its scheme.
    fn scheme(&self) -> &'static str;

    /// Its bounds. Known without asking.
    fn rules(&self) -> Rules;

    /// What tells this bucket from every other: two stores with the same text hold the same keys.
    fn identity(&self) -> &str;

    /// What tells its service from every other: a store may be asked to copy from all those with
    /// the same text. Whether its rights reach there only the service knows.
    fn service(&self) -> String {
        self.identity().to_owned()
    }

    /// Looks at an object.
    ///
    /// # Errors
    /// What keeps it from being looked at.
    fn look(&self, key: &str) -> Result<Option<Object>>;

    /// Reads a range of the very version given; the whole from its start where `range` is `None`,
    /// which is all that may be asked of a [rangeless](Object::rangeless) object. An empty version
    /// stands for whatever is there now.
    ///
    /// # Errors
    /// `SourceNotFound`, `SourceChanged` when another version stands there, `SourcePermission`, …
    fn read(&self, key: &str, version: Version, range: Option<Range<u64>>) -> Result<Opened>;

    /// One page of a listing.
    ///
    /// # Errors
    /// What keeps it from being listed. A page that cannot be understood is an error, never an end.
    fn list(&self, ask: &Ask<'_>) -> Result<Page>;

    /// Puts a whole object in one request.
    ///
    /// # Errors
    /// `DestinationExists`, `DestinationChanged` by its condition; a reply that was lost is looked
    /// into (the object with the same `mig-write` in its metadata is this very one).
    fn put(&self, key: &str, bytes: &[u8], put: &Put) -> Result<Version>;

    /// Begins an upload in parts.
    ///
    /// # Errors
    /// As [`Store::put`].
    fn begin(&self, key: &str, put: &Put) -> Result<Upload>;

    /// Sends a part; the same index again replaces it. `offset` is where it begins in the object.
    ///
    /// # Errors
    /// `DestinationWrite` and the like.
    fn put_part(
        &self,
        upload: &Upload,
        index: u32,
        offset: u64,
        bytes: &[u8],
        digest: Option<Whole>,
    ) -> Result<Part>;

    /// The store's name of the upload that an object of this key is a part of, where parts are
    /// [objects](Rules::leaves_objects).
    fn upload_of(&self, _key: &str) -> Option<String> {
        None
    }

    /// Has the store copy a range of an object of its service as a part; `None` where it cannot or
    /// may not.
    ///
    /// # Errors
    /// `SourceChanged`, `DestinationWrite`.
    fn copy_part(
        &self,
        _upload: &Upload,
        _index: u32,
        _from: &From,
        _range: Range<u64>,
    ) -> Result<Option<Part>> {
        Ok(None)
    }

    /// Parts of an upload that the store has, by index; `None` when the upload is gone.
    ///
    /// # Errors
    /// What keeps them from being listed.
    fn parts(&self, upload: &Upload) -> Result<Option<Vec<Part>>>;

    /// Makes an object of the parts, which are in order and without gaps.
    ///
    /// # Errors
    /// `DestinationExists`, `DestinationChanged` by its condition; `VerifyMismatch` when the store's
    /// checksum is another one. A reply that was lost is looked into.
    fn complete(&self, upload: &Upload, parts: &[Part], put: &Put) -> Result<Version>;

    /// Gives an upload up. One that is gone is no error.
    ///
    /// # Errors
    /// What keeps it from being given up.
    fn abandon(&self, upload: &Upload) -> Result<()>;

    /// Tells every upload whose key begins so and that is not completed.
    ///
    /// # Errors
    /// What keeps them from being listed, and what `each` answers.
    fn uploads(&self, prefix: &str, each: &mut dyn FnMut(Begun) -> Result<()>) -> Result<()>;

    /// How the store would copy an object of its service under a condition. It may decline all the
    /// same.
    ///
    /// # Errors
    /// What keeps it from being found out.
    fn copying(&self, from: &From, _key: &str, _condition: &Condition) -> Result<Copying> {
        let whole = from.object.size <= self.rules().copy_bytes_max;
        Ok(if whole { Copying::Whole } else { Copying::Parts })
    }

    /// Has the store copy a whole object of its service; `None` where it cannot or may not, and then
    /// it must be read.
    ///
    /// # Errors
    /// As [`Store::put`], and `SourceChanged`.
    fn copy(&self, _from: &From, _key: &str, _put: &Put) -> Result<Option<Object>> {
        Ok(None)
    }

    /// Removes an object, if it is this version where the store can tell. False when it is gone or
    /// another one stands there.
    ///
    /// # Errors
    /// `DeletePermission`, …
    fn remove(&self, key: &str, version: Version) -> Result<bool>;

    /// Most objects that [`Store::remove_many`] takes: 1 where the store removes no more than that
    /// by one request that is bound to their versions. Where nobody knows, it is found out by a
    /// few requests beside `near`.
    ///
    /// # Errors
    /// What keeps it from being found out.
    fn removes_at_once(&self, _near: &str) -> Result<usize> {
        Ok(1)
    }

    /// Removes objects as [`Store::remove`] does, by one request where the store can. The outcome
    /// of each, in order.
    fn remove_many(&self, objects: &[(String, Version)]) -> Vec<Result<bool>> {
        objects.iter().map(|(key, version)| self.remove(key, *version)).collect()
    }
}

/// How a store copies an object by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copying {
    /// In one request that holds the condition.
    Whole,
    /// As parts of an upload, whose completion holds it.
    Parts,
    /// Not at all.
    Never,
}

/// An object to be copied by its store.
#[derive(Clone)]
pub struct From {
    /// Its store.
    pub store: Arc<dyn Store>,
    /// What is known of it.
    pub object: Object,
}
