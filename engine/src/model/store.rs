//! How an object store is reached, and what objects written there get.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How keys stand for names of items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Keys {
    /// As they are.
    #[default]
    Plain,
    /// What no name can hold is written as `%XX`.
    Escape,
}

/// What a location says beside its URL. The protocol's `StoreSpec` tells what each means.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each is explained at its field in the protocol")]
pub struct StoreOptions {
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub profile: Option<String>,
    pub account: Option<String>,
    pub anonymous: bool,
    pub imds: bool,
    pub path_style: Option<bool>,
    pub accelerate: bool,
    pub requester_pays: bool,
    pub tls_ca: Option<String>,
    pub tls_insecure: bool,
    pub allow_racy: bool,
    pub keys: Keys,
    pub part_bytes: Option<u64>,
    pub storage_class: Option<String>,
    pub content_type: Option<String>,
    pub content_encoding: Option<String>,
    pub cache_control: Option<String>,
    pub metadata: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
    pub acl: Option<String>,
    pub sse: Option<String>,
    pub sse_key_id: Option<String>,
}

impl StoreOptions {
    /// Names of the fields that are set, for a scheme that knows only some of them.
    #[must_use]
    pub fn set(&self) -> Vec<&'static str> {
        let fields = [
            ("endpoint", self.endpoint.is_some()),
            ("region", self.region.is_some()),
            ("profile", self.profile.is_some()),
            ("account", self.account.is_some()),
            ("anonymous", self.anonymous),
            ("imds", self.imds),
            ("path_style", self.path_style.is_some()),
            ("accelerate", self.accelerate),
            ("requester_pays", self.requester_pays),
            ("tls_ca", self.tls_ca.is_some()),
            ("tls_insecure", self.tls_insecure),
            ("allow_racy", self.allow_racy),
            ("keys", self.keys != Keys::Plain),
            ("part_bytes", self.part_bytes.is_some()),
            ("storage_class", self.storage_class.is_some()),
            ("content_type", self.content_type.is_some()),
            ("content_encoding", self.content_encoding.is_some()),
            ("cache_control", self.cache_control.is_some()),
            ("metadata", !self.metadata.is_empty()),
            ("tags", !self.tags.is_empty()),
            ("acl", self.acl.is_some()),
            ("sse", self.sse.is_some()),
            ("sse_key_id", self.sse_key_id.is_some()),
        ];
        fields.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect()
    }
}
