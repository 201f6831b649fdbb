//! The resource that stands for an object in the JSON interface, and what it is here.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::endpoint::store::verbs::{Object, Put, Whole};
use crate::model::digest::{Algorithm, Digest, hex};
use crate::model::parts::crc_hex;
use crate::model::store::StoreOptions;
use crate::model::version::Version;
use crate::platform::clock;

/// Name of the user metadata that holds a write's own nonce.
const NONCE: &str = "mig-write";

/// Fields of a resource that are asked for.
pub(super) const FIELDS: &str = "name,generation,size,timeCreated,updated,crc32c,md5Hash,metadata,\
     contentType,contentEncoding,contentDisposition,contentLanguage,cacheControl,customTime";

/// An object as the service tells it. What is not optional is there in every answer, or it is none.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Resource {
    pub(super) name: String,
    pub(super) generation: String,
    #[serde(deserialize_with = "decimal")]
    pub(super) size: u64,
    time_created: Option<String>,
    updated: Option<String>,
    crc32c: Option<String>,
    md5_hash: Option<String>,
    #[serde(default)]
    pub(super) metadata: BTreeMap<String, String>,
    content_type: Option<String>,
    content_encoding: Option<String>,
    content_disposition: Option<String>,
    content_language: Option<String>,
    cache_control: Option<String>,
    custom_time: Option<String>,
}

impl Resource {
    /// The CRC-32C of its content, which every object has.
    pub(super) fn crc32c(&self) -> Option<u32> {
        self.crc32c.as_deref().and_then(crc_of)
    }

    /// The nonce of the write that made it.
    pub(super) fn nonce(&self) -> Option<&str> {
        self.metadata.get(NONCE).map(String::as_str)
    }

    /// Its version, or none where its text is none.
    pub(super) fn version(&self) -> Version {
        Version::new(&self.generation).unwrap_or_default()
    }

    /// As an object.
    pub(super) fn object(self) -> Object {
        let time = self.time_created.as_deref().or(self.updated.as_deref());
        let crc = self.crc32c.as_deref().and_then(|text| digest(Algorithm::Crc32c, text));
        let md5 = self.md5_hash.as_deref().and_then(|text| digest(Algorithm::Md5, text));
        let (version, metadata) = (self.version(), self.metadata.iter());
        let fields = [
            ("cache-control", self.cache_control),
            ("content-disposition", self.content_disposition),
            ("content-encoding", self.content_encoding),
            ("content-language", self.content_language),
        ];
        let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Object {
            version,
            size: self.size,
            modified: time.and_then(clock::from_rfc3339).unwrap_or_default(),
            metadata: Some(metadata.map(|(k, v)| (k.to_lowercase(), v.clone())).collect()),
            content_type: self.content_type,
            fields: fields.collect(),
            digests: crc.into_iter().chain(md5).collect(),
            key: self.name,
            ..Object::default()
        }
    }
}

/// What is written of an object.
#[derive(Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fields {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) crc32c: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_disposition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage_class: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) metadata: BTreeMap<String, String>,
}

impl Fields {
    /// What the location and this object say together.
    pub(super) fn of(options: &StoreOptions, put: &Put) -> Self {
        let own = |name| put.field(name).map(str::to_owned);
        let content_type = options.content_type.clone();
        let mut metadata = options.metadata.clone();
        metadata.extend(put.metadata.iter().cloned());
        Self {
            content_type: content_type.or_else(|| put.content_type.as_deref().map(str::to_owned)),
            content_encoding: options.content_encoding.clone().or_else(|| own("content-encoding")),
            cache_control: options.cache_control.clone().or_else(|| own("cache-control")),
            content_disposition: own("content-disposition"),
            content_language: own("content-language"),
            storage_class: options.storage_class.clone(),
            metadata,
            ..Self::default()
        }
    }

    /// With what a copied object said of its content, where nothing else is said.
    pub(super) fn or_as(mut self, from: Resource) -> Self {
        self.content_type = self.content_type.or(from.content_type);
        self.content_encoding = self.content_encoding.or(from.content_encoding);
        self.cache_control = self.cache_control.or(from.cache_control);
        self.content_disposition = from.content_disposition;
        self.content_language = from.content_language;
        self.custom_time = from.custom_time;
        self
    }

    /// Of this name, with content of this CRC-32C for the service to check.
    pub(super) fn named(mut self, name: &str, crc: u32) -> Self {
        self.name = Some(name.to_owned());
        self.crc32c = Some(crc_text(crc));
        self
    }
}

/// The nonce of a write.
pub(super) fn nonce(put: &Put) -> Option<&str> {
    put.metadata.iter().find(|(name, _)| name == NONCE).map(|(_, value)| value.as_str())
}

/// The CRC-32C of bytes, as it was told or computed now.
pub(super) fn crc(bytes: &[u8], told: Option<Whole>) -> u32 {
    match told {
        Some(Whole { algorithm: Algorithm::Crc32c, value }) => value as u32,
        _ => crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32,
    }
}

/// As the service writes it: base64 of its four bytes, the highest first.
pub(super) fn crc_text(crc: u32) -> String {
    BASE64.encode(crc.to_be_bytes())
}

fn crc_of(text: &str) -> Option<u32> {
    let bytes: [u8; 4] = BASE64.decode(text).ok()?.try_into().ok()?;
    Some(u32::from_be_bytes(bytes))
}

/// A digest from its base64; `None` where that has not its length.
pub(super) fn digest(algorithm: Algorithm, text: &str) -> Option<Digest> {
    let hex = match algorithm {
        Algorithm::Crc32c => crc_hex(algorithm, u64::from(crc_of(text)?)),
        _ => hex(&BASE64.decode(text).ok().filter(|bytes| bytes.len() == 16)?),
    };
    Some(Digest { algorithm, hex })
}

fn decimal<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(|_| serde::de::Error::custom("a number that is none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_read_or_refused() {
        let text = r#"{"name":"a/b","generation":"17","size":"11","crc32c":"yZRlqg==",
            "md5Hash":"XrY7u+Ae7tCTyyK7j1rNww==","timeCreated":"2026-11-21T19:35:09.958Z",
            "metadata":{"MTime":"1.5"},"unknown":[1]}"#;
        let resource: Resource = serde_json::from_str(text).unwrap();
        assert_eq!(resource.crc32c(), Some(0xc994_65aa));
        let object = resource.object();
        assert_eq!((object.key.as_str(), object.size), ("a/b", 11));
        assert_eq!(object.version.as_str(), "17");
        assert_eq!(object.metadata, Some(vec![("mtime".to_owned(), "1.5".to_owned())]));
        let hexes: Vec<_> = object.digests.iter().map(|digest| digest.hex.as_str()).collect();
        assert_eq!(hexes, ["c99465aa", "5eb63bbbe01eeed093cb22bb8f5acdc3"]);
        assert_eq!(object.modified.0 % 1_000_000_000, 958_000_000);
        for bad in [
            r#"{"generation":"17","size":"11"}"#,
            r#"{"name":"a","size":"11"}"#,
            r#"{"name":"a","generation":"17"}"#,
            r#"{"name":"a","generation":"17","size":"-1"}"#,
        ] {
            assert!(serde_json::from_str::<Resource>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn checksums_are_big_endian() {
        let crc = crc(b"hello world", None);
        assert_eq!(crc_text(crc), "yZRlqg==");
        let told = Whole { algorithm: Algorithm::Crc64Nvme, value: 1 };
        assert_eq!(super::crc(b"hello world", Some(told)), crc);
        assert_eq!(digest(Algorithm::Crc32c, "yZRl"), None);
        assert_eq!(digest(Algorithm::Md5, "yZRlqg=="), None);
    }
}
