//! What stands with an object beside its bytes, as fields of requests and answers.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Digest as _;

use crate::endpoint::store::verbs::{Condition, Put};
use crate::error::{EngineError, Kind, Result};
use crate::model::secret::Secret;
use crate::model::store::StoreOptions;
use crate::remote::call::Request;
use crate::remote::encode;
use crate::remote::headers::Headers;

/// What the service puts before each name of user metadata.
const PREFIX: &str = "x-ms-meta-";
/// The nonce of a write, as stores name it, and as Azure does.
pub const WRITE: (&str, &str) = ("mig-write", "mig_write");
/// Bytes of a customer's key: AES-256.
const KEY_BYTES: usize = 32;
/// Most tags of a blob.
const TAGS_MAX: usize = 10;

/// What every object written gets by its location.
#[derive(Default)]
pub struct Written {
    /// Fields of every write.
    fields: Vec<(&'static str, String)>,
    content_type: Option<String>,
    metadata: Vec<(String, String)>,
}

impl Written {
    /// From the location's options.
    ///
    /// # Errors
    /// `InvalidField` for what no field can hold.
    pub fn new(options: &StoreOptions) -> Result<Self> {
        let mut fields = Vec::new();
        let plain = [
            ("storage_class", "x-ms-access-tier", &options.storage_class),
            ("content_encoding", "x-ms-blob-content-encoding", &options.content_encoding),
            ("cache_control", "x-ms-blob-cache-control", &options.cache_control),
        ];
        for (option, field, value) in plain {
            if let Some(value) = value {
                check_value(option, value)?;
                fields.push((field, value.clone()));
            }
        }
        if options.tags.len() > TAGS_MAX {
            return Err(invalid("tags", format!("a blob has {TAGS_MAX} tags at most")));
        }
        if !options.tags.is_empty() {
            let pairs: Vec<_> = options.tags.clone().into_iter().collect();
            fields.push(("x-ms-tags", encode::query(&pairs)));
        }
        if let Some(value) = &options.content_type {
            check_value("content_type", value)?;
        }
        let metadata: Vec<_> = options.metadata.clone().into_iter().collect();
        renamed(&metadata)?;
        Ok(Self { fields, content_type: options.content_type.clone(), metadata })
    }

    /// Whether it says anything that a copy inside the service takes from its source.
    pub fn overrides_copies(&self) -> bool {
        self.content_type.is_some() || self.fields.iter().any(|(name, _)| name.contains("-blob-"))
    }

    /// Adds the fields of a write: condition, content type, metadata, tier, tags.
    ///
    /// # Errors
    /// `InvalidField` for metadata that no field can hold.
    pub fn add(&self, request: &mut Request<'_>, put: &Put) -> Result<()> {
        self.add_common(request, put, |_| true)?;
        let content_type = self.content_type.as_deref().or(put.content_type.as_deref());
        if let Some(value) = content_type {
            request.headers.set("x-ms-blob-content-type", value);
        }
        for (name, value) in &put.fields {
            let field = format!("x-ms-blob-{name}");
            if self.fields.iter().all(|(own, _)| *own != field) {
                request.headers.set(&field, value.as_str());
            }
        }
        Ok(())
    }

    /// As [`Written::add`], without what a copy takes from its source.
    ///
    /// # Errors
    /// As [`Written::add`].
    pub fn add_to_copy(&self, request: &mut Request<'_>, put: &Put) -> Result<()> {
        self.add_common(request, put, |name| !name.contains("-blob-"))
    }

    fn add_common(
        &self,
        request: &mut Request<'_>,
        put: &Put,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<()> {
        match &put.condition {
            Condition::Absent => request.headers.set("if-none-match", "*"),
            Condition::Is(version) => request.headers.set("if-match", version.as_str()),
            Condition::Any => {}
        }
        for (name, value) in self.fields.iter().filter(|(name, _)| wanted(name)) {
            request.headers.set(name, value.as_str());
        }
        let mut metadata = renamed(&self.metadata)?;
        metadata.extend(renamed(&put.metadata)?);
        for (name, value) in metadata {
            request.headers.set(&format!("{PREFIX}{name}"), value);
        }
        Ok(())
    }
}

/// User metadata under the names that the service takes.
fn renamed(plain: &[(String, String)]) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for (name, value) in plain {
        let name = identifier(name)?;
        check_value("metadata", value)?;
        if all.contains_key(&name) {
            return Err(invalid("metadata", format!("two names of metadata become {name}")));
        }
        all.insert(name, value.clone());
    }
    Ok(all)
}

/// A name as an identifier of C#, which is all that the service takes: `-` becomes `_`.
fn identifier(name: &str) -> Result<String> {
    let text = name.to_ascii_lowercase().replace('-', "_");
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let begins = text.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    if begins && text.bytes().all(is_letter) {
        return Ok(text);
    }
    let why = format!("Azure takes no metadata named {name:?}: letters, digits and _ alone");
    Err(invalid("metadata", why))
}

/// User metadata of an answer, the nonce under its common name.
pub fn read(headers: &Headers) -> Vec<(String, String)> {
    let named =
        headers.iter().filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?, value)));
    named.map(|(name, value)| (common_name(name), value.to_owned())).collect()
}

/// The name that all stores have for some metadata.
pub fn common_name(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    if name == WRITE.1 { WRITE.0.to_owned() } else { name }
}

/// The nonce among some metadata.
pub fn nonce(metadata: &[(String, String)]) -> Option<&str> {
    metadata.iter().find(|(name, _)| name == WRITE.0).map(|(_, value)| value.as_str())
}

fn check_value(option: &str, value: &str) -> Result<()> {
    let is_plain = value.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    let is_trimmed = value.trim() == value;
    if is_plain && is_trimmed {
        return Ok(());
    }
    Err(invalid(option, "a value holds more than plain ASCII, or blanks at its ends".to_owned()))
}

fn invalid(field: &str, why: String) -> EngineError {
    EngineError::new(Kind::InvalidField, why).field(field)
}

/// A customer's own key: every request that reads or writes content or metadata carries it.
pub struct CustomerKey {
    encoded: SecretString,
    digest: String,
}

impl CustomerKey {
    /// From its bytes, or their base64.
    ///
    /// # Errors
    /// `InvalidField` for what is no key of AES-256.
    pub fn new(secret: &Secret) -> Result<Self> {
        let bytes = secret.expose_secret();
        let decoded = || STANDARD.decode(bytes.trim_ascii()).ok();
        let key = match bytes.len() {
            KEY_BYTES => Some(bytes.to_vec()),
            _ => decoded().filter(|key| key.len() == KEY_BYTES),
        };
        let key = key.map(Secret::from).ok_or_else(|| {
            invalid("auth.sse_customer_key", "it is no key of 32 bytes, nor its base64".to_owned())
        })?;
        let encoded = SecretString::from(STANDARD.encode(key.expose_secret()));
        let digest = STANDARD.encode(sha2::Sha256::digest(key.expose_secret()));
        Ok(Self { encoded, digest })
    }

    /// Adds it to a request.
    pub fn add(&self, request: &mut Request<'_>) {
        request.headers.set("x-ms-encryption-key", self.encoded.expose_secret());
        request.headers.set("x-ms-encryption-key-sha256", self.digest.as_str());
        request.headers.set("x-ms-encryption-algorithm", "AES256");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::version::Version;
    use crate::remote::call::Verb;
    use crate::remote::origin::Origin;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn request() -> Request<'static> {
        let (origin, _) = Origin::parse("https://h").unwrap();
        Request::new(Verb::Write, "PUT", &origin, "/c/k".to_owned())
    }

    fn put(condition: Condition, metadata: &[(&str, &str)]) -> Put {
        let metadata = pairs(metadata);
        Put {
            condition,
            metadata,
            content_type: Some("text/plain".into()),
            fields: Vec::new(),
            digest: None,
        }
    }

    fn options() -> StoreOptions {
        StoreOptions {
            storage_class: Some("Cool".into()),
            content_encoding: Some("gzip".into()),
            tags: pairs(&[("a b", "c&d")]).into_iter().collect(),
            metadata: pairs(&[("Team-Name", "x"), ("mtime", "0")]).into_iter().collect(),
            ..StoreOptions::default()
        }
    }

    #[test]
    fn writes_carry_conditions_tier_tags_and_metadata_by_names_that_azure_takes() {
        let written = Written::new(&options()).unwrap();
        let mut plain = request();
        let nonce = ("mig-write", "0123456789abcdef");
        written.add(&mut plain, &put(Condition::Absent, &[nonce, ("mtime", "1.5")])).unwrap();
        for (field, value) in [
            ("if-none-match", "*"),
            ("x-ms-access-tier", "Cool"),
            ("x-ms-blob-content-encoding", "gzip"),
            ("x-ms-blob-content-type", "text/plain"),
            ("x-ms-tags", "a%20b=c%26d"),
            ("x-ms-meta-mig_write", nonce.1),
            ("x-ms-meta-mtime", "1.5"),
            ("x-ms-meta-team_name", "x"),
        ] {
            assert_eq!(plain.headers.get(field), Some(value), "{field}");
        }
        assert_eq!(super::nonce(&read(&plain.headers)), Some(nonce.1));
        let mut copy = request();
        let version = Version::new("\"0x1\"").unwrap();
        written.add_to_copy(&mut copy, &put(Condition::Is(version), &[])).unwrap();
        assert_eq!(copy.headers.get("if-match"), Some("\"0x1\""));
        assert_eq!(copy.headers.get("x-ms-blob-content-encoding"), None);
        assert!(written.overrides_copies());
    }

    #[test]
    fn metadata_that_no_field_holds_is_refused_and_never_left_out() {
        let bad: [&[(&str, &str)]; 6] = [
            &[("1a", "")],
            &[("a.b", "")],
            &[("", "")],
            &[("a", "\r\nx: y")],
            &[("a", "é")],
            &[("a-b", "1"), ("a_b", "2")],
        ];
        for metadata in bad {
            let mut request = request();
            let added = Written::default().add(&mut request, &put(Condition::Any, metadata));
            assert_eq!(added.unwrap_err().kind(), Kind::InvalidField, "{metadata:?}");
        }
        let tags = (0..11).map(|n| (n.to_string(), String::new())).collect();
        assert!(Written::new(&StoreOptions { tags, ..StoreOptions::default() }).is_err());
    }

    #[test]
    fn a_customers_key_is_taken_plain_or_in_base64() {
        let plain = vec![b'k'; 32];
        for bytes in [plain.clone(), format!("{}\n", STANDARD.encode(&plain)).into_bytes()] {
            let key = CustomerKey::new(&Secret::from(bytes)).unwrap();
            let mut request = request();
            key.add(&mut request);
            let sent = request.headers.get("x-ms-encryption-key").unwrap();
            assert_eq!(STANDARD.decode(sent).unwrap(), plain);
        }
        assert!(CustomerKey::new(&Secret::from(vec![1; 31])).is_err());
    }
}
