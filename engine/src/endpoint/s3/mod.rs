//! S3 and stores like it: one file for each request that it takes.
//!
//! Stores that only resemble S3 pass over what they do not know in silence. So nothing is taken for
//! granted that can be found out: [`facts`] keeps what was.

pub mod abort;
pub mod answer;
pub mod backslash;
pub mod bucket;
pub mod checksum;
pub mod complete;
pub mod condition;
pub mod copy;
pub mod copy_part;
pub mod create_upload;
pub mod delete;
pub mod delete_many;
pub mod errors;
pub mod facts;
pub mod get;
pub mod head;
pub mod list;
pub mod list_parts;
pub mod list_uploads;
pub mod metadata;
pub mod probe;
pub mod proof;
pub mod put;
pub mod put_part;
pub mod style;
pub mod xml;

use std::sync::Arc;

use crate::endpoint::Scheme;
use crate::endpoint::store;
use crate::endpoint::store::verbs::Store;
use crate::error::{EngineError, Kind, Result};
use crate::model::location::Location;
use crate::remote::call::Side;
use crate::remote::ties::Ties;

/// The registry's entry.
pub const SCHEME: Scheme = Scheme {
    name: "s3",
    caps: store::Bucket::caps("s3"),
    options: OPTIONS,
    writes: true,
    source: |location, ties| store::Bucket::source(open, location, ties),
    sink: |location, ties| store::Bucket::sink(open, location, ties),
    overlap: |source, destination| store::Bucket::overlap(open, source, destination),
    sweep: |search| store::Bucket::sweep(open, search),
};

/// What a location may say of S3.
pub const OPTIONS: &[&str] = &[
    "endpoint",
    "region",
    "profile",
    "anonymous",
    "imds",
    "path_style",
    "accelerate",
    "requester_pays",
    "tls_ca",
    "tls_insecure",
    "allow_racy",
    "keys",
    "part_bytes",
    "storage_class",
    "content_type",
    "content_encoding",
    "cache_control",
    "metadata",
    "tags",
    "acl",
    "sse",
    "sse_key_id",
];

/// The bucket of a location, and the key or key prefix that it names, without slash at its end.
///
/// # Errors
/// `InvalidField`, `Unsupported`; what keeps credentials from being had without asking anybody.
pub fn open(location: &Location, side: Side, ties: &Ties) -> Result<(Arc<dyn Store>, String)> {
    let Ok(path) = std::str::from_utf8(&location.path) else {
        return Err(EngineError::new(Kind::InvalidField, "keys of S3 are UTF-8; this one is not"));
    };
    let (name, key) = path.split_once('/').unwrap_or((path, ""));
    let key = store::named(key)?;
    let bucket = bucket::Bucket::open((name, key), location, side, ties)?;
    Ok((Arc::new(bucket), key.to_owned()))
}
