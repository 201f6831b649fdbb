//! What a location may say beside its URL: how its object store is reached, and what objects
//! written there get.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::vocabulary::Size;

/// How keys stand for names of items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keys {
    /// As they are; a key that is no name of an item fails.
    #[default]
    Plain,
    /// Bytes that no name can hold are written as `%XX`, and `%` as `%25`; read back, the key is
    /// the same again.
    Escape,
}

/// Fields of a location object beside `url`, `b64` and `auth`. Each store knows some of them, and
/// refuses the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSpec {
    /// Where the service listens, as `https://host:port`. Default: the store's own.
    pub endpoint: Option<String>,
    /// Region of the bucket. Default: of the environment or profile, else found out.
    pub region: Option<String>,
    /// Name of the profile in the store's configuration files. Default: of the environment.
    pub profile: Option<String>,
    /// Account of an Azure container. Default: of the environment.
    pub account: Option<String>,
    /// Whether requests are not signed. Default: false.
    pub anonymous: bool,
    /// Whether credentials may be asked of the machine's metadata service. Default: false.
    pub imds: bool,
    /// Whether the bucket stands in the path rather than in the host's name. Default: true where
    /// `endpoint` is given.
    pub path_style: Option<bool>,
    /// Whether the transfer acceleration host is used. Default: false.
    pub accelerate: bool,
    /// Whether the requester pays. Default: false.
    pub requester_pays: bool,
    /// A PEM file of certificates that are trusted beside the system's. Default: none.
    pub tls_ca: Option<String>,
    /// Whether any certificate is trusted. Named in every result. Default: false.
    pub tls_insecure: bool,
    /// Whether replacing is done without conditions where the store knows none. Default: false.
    pub allow_racy: bool,
    /// How keys stand for names. Default: plain.
    pub keys: Keys,
    /// Bytes of a part. Default: chosen by size and memory.
    pub part_bytes: Option<Size>,
    /// Storage class or access tier of objects written. Default: the bucket's.
    pub storage_class: Option<String>,
    /// Content type of objects written. Default: by name.
    pub content_type: Option<String>,
    /// Content encoding of objects written. Default: none.
    pub content_encoding: Option<String>,
    /// Cache control of objects written. Default: none.
    pub cache_control: Option<String>,
    /// User metadata of objects written. Default: none.
    pub metadata: BTreeMap<String, String>,
    /// Tags of objects written. Default: none.
    pub tags: BTreeMap<String, String>,
    /// Canned access list of objects written. Default: the bucket's.
    pub acl: Option<String>,
    /// Server-side encryption of objects written: AES256 or aws:kms. A customer's own key is
    /// given as `auth.sse_customer_key`. Default: the bucket's.
    pub sse: Option<String>,
    /// The key of the key service. Default: the bucket's.
    pub sse_key_id: Option<String>,
}
