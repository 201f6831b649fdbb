//! What objects hold beside their bytes, as header fields.

use secrecy::{ExposeSecret as _, SecretString};

use crate::endpoint::s3::checksum;
use crate::endpoint::store::verbs::Put;
use crate::error::{EngineError, Kind, Result};
use crate::model::secret::Secret;
use crate::model::store::StoreOptions;
use crate::remote::encode;
use crate::remote::headers::Headers;

/// What user metadata begins with.
const USER: &str = "x-amz-meta-";
/// Bytes of a customer's key: AES-256.
const CUSTOMER_KEY_BYTES: usize = 32;

/// A key that encrypts objects and that the store forgets after each request.
pub struct CustomerKey {
    key: SecretString,
    md5: String,
}

impl CustomerKey {
    /// From 32 bytes, or their base64.
    ///
    /// # Errors
    /// `InvalidField` for anything else.
    pub fn new(secret: &Secret) -> Result<Self> {
        use base64::Engine as _;
        let given = secret.expose_secret();
        let key = match given.len() {
            CUSTOMER_KEY_BYTES => given.to_vec(),
            _ => base64::engine::general_purpose::STANDARD.decode(given).unwrap_or_default(),
        };
        if key.len() != CUSTOMER_KEY_BYTES {
            let why = "sse_customer_key is neither 32 bytes nor the base64 of 32 bytes";
            return Err(EngineError::new(Kind::InvalidField, why).field("auth"));
        }
        let md5 = checksum::base64(&checksum::md5(&key));
        Ok(Self { key: checksum::base64(&key).into(), md5 })
    }

    /// Adds it to a request.
    pub fn add(&self, headers: &mut Headers) {
        let name = |end: &str| format!("x-amz-server-side-encryption-customer-{end}");
        headers.add(name("algorithm"), "AES256");
        headers.add(name("key"), self.key.expose_secret());
        headers.add(name("key-md5"), self.md5.clone());
    }
}

/// Looks through what a location says of objects written.
///
/// # Errors
/// `InvalidField` for what no header field can hold, and for options that exclude each other.
pub fn check(options: &StoreOptions, customer: bool) -> Result<()> {
    let invalid = |field: &str, why: &str| {
        Err(EngineError::new(Kind::InvalidField, why.to_owned()).field(field))
    };
    let fields = [
        ("storage_class", &options.storage_class),
        ("content_type", &options.content_type),
        ("content_encoding", &options.content_encoding),
        ("cache_control", &options.cache_control),
        ("acl", &options.acl),
        ("sse", &options.sse),
        ("sse_key_id", &options.sse_key_id),
    ];
    for (field, value) in fields {
        if value.as_ref().is_some_and(|value| value.is_empty() || !is_value(value)) {
            return invalid(field, "it must be printable ASCII without spaces at its ends");
        }
    }
    for (name, value) in &options.metadata {
        user_field(name, value).map_err(|error| error.field("metadata"))?;
    }
    match options.sse.as_deref() {
        Some(_) if customer => invalid("sse", "a customer's key excludes other encryption"),
        Some("AES256" | "aws:kms" | "aws:kms:dsse") | None => Ok(()),
        Some(_) => invalid("sse", "it must be AES256, aws:kms or aws:kms:dsse"),
    }?;
    let kms = options.sse.as_deref().is_some_and(|sse| sse.starts_with("aws:kms"));
    if options.sse_key_id.is_some() && !kms {
        return invalid("sse_key_id", "it needs sse: aws:kms");
    }
    Ok(())
}

/// Adds what an object written gets.
///
/// # Errors
/// `StoreRefused` for user metadata that no header field can hold.
pub fn add(headers: &mut Headers, options: &StoreOptions, put: &Put) -> Result<()> {
    let media = options.content_type.as_deref().or(put.content_type.as_deref());
    let coding = options.content_encoding.as_deref().or(put.field("content-encoding"));
    let caching = options.cache_control.as_deref().or(put.field("cache-control"));
    let fields = [
        ("content-type", media),
        ("content-encoding", coding),
        ("cache-control", caching),
        ("content-disposition", put.field("content-disposition")),
        ("content-language", put.field("content-language")),
        ("x-amz-storage-class", options.storage_class.as_deref()),
        ("x-amz-acl", options.acl.as_deref()),
        ("x-amz-server-side-encryption", options.sse.as_deref()),
        ("x-amz-server-side-encryption-aws-kms-key-id", options.sse_key_id.as_deref()),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            headers.add(name, value);
        }
    }
    if !options.tags.is_empty() {
        let tags: Vec<_> = options.tags.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        headers.add("x-amz-tagging", encode::query(&tags));
    }
    // What belongs to this very object goes before what the location says of all.
    let all = options.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let own = put.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in all.chain(own) {
        let (name, value) = user_field(name, value)?;
        headers.set(&name, value);
    }
    Ok(())
}

fn user_field(name: &str, value: &str) -> Result<(String, String)> {
    let refused = |why: &str| {
        let message = format!("metadata {} cannot be written to S3", name.escape_debug());
        Err(EngineError::new(Kind::StoreRefused, message).because(why, None))
    };
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        return refused("its name is no name of a header field");
    }
    if !is_value(value) {
        return refused("its value is not printable ASCII, or has spaces at its ends");
    }
    Ok((format!("{USER}{}", name.to_ascii_lowercase()), value.to_owned()))
}

fn is_value(value: &str) -> bool {
    value.bytes().all(|b| (0x20..0x7f).contains(&b)) && value.trim() == value
}

/// User metadata of an answer, names in lower case without the store's prefix.
#[must_use]
pub fn read(headers: &Headers) -> Vec<(String, String)> {
    let user =
        |(name, value): (&str, &str)| Some((name.strip_prefix(USER)?.to_owned(), value.to_owned()));
    headers.iter().filter_map(user).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::store::verbs::Condition;

    fn put(metadata: &[(&str, &str)]) -> Put {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let metadata = metadata.iter().map(owned).collect();
        Put {
            condition: Condition::Any,
            metadata,
            content_type: Some("application/json".into()),
            fields: Vec::new(),
            digest: None,
        }
    }

    #[test]
    fn fields_are_those_of_the_location_and_of_the_object() {
        let mut options = StoreOptions::default();
        options.metadata.insert("Team".to_owned(), "a b".to_owned());
        options.metadata.insert("mode".to_owned(), "1".to_owned());
        options.tags.insert("a&".to_owned(), "é".to_owned());
        options.sse = Some("aws:kms".to_owned());
        options.sse_key_id = Some("key".to_owned());
        check(&options, false).unwrap();
        let mut headers = Headers::default();
        add(&mut headers, &options, &put(&[("mode", "100644")])).unwrap();
        for (name, value) in [
            ("content-type", "application/json"),
            ("x-amz-tagging", "a%26=%C3%A9"),
            ("x-amz-server-side-encryption", "aws:kms"),
            ("x-amz-server-side-encryption-aws-kms-key-id", "key"),
        ] {
            assert_eq!(headers.get(name), Some(value));
        }
        let user = [("team", "a b"), ("mode", "100644")];
        assert_eq!(read(&headers), user.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }

    #[test]
    fn what_no_field_can_hold_is_refused() {
        for (name, value) in [("a", "é"), ("a", "x\r\ny: z"), ("a", " x"), ("", "x"), ("a b", "x")]
        {
            let mut headers = Headers::default();
            let error = add(&mut headers, &StoreOptions::default(), &put(&[(name, value)]));
            assert_eq!(error.unwrap_err().kind(), Kind::StoreRefused, "{name} {value}");
        }
        let checked = |change: fn(&mut StoreOptions), customer| {
            let mut options = StoreOptions::default();
            change(&mut options);
            check(&options, customer)
        };
        assert!(checked(|o| o.acl = Some("a\nb".to_owned()), false).is_err());
        assert!(checked(|o| o.sse = Some("DES".to_owned()), false).is_err());
        assert!(checked(|o| o.sse = Some("AES256".to_owned()), true).is_err());
        assert!(checked(|o| o.sse_key_id = Some("k".to_owned()), false).is_err());
    }

    #[test]
    fn customer_keys_are_32_bytes() {
        let key = |bytes: &[u8]| CustomerKey::new(&Secret::from(bytes.to_vec()));
        let mut headers = Headers::default();
        key(&[7; 32]).unwrap().add(&mut headers);
        let mut again = Headers::default();
        key(checksum::base64(&[7; 32]).as_bytes()).unwrap().add(&mut again);
        assert!(headers.iter().eq(again.iter()));
        let md5 = headers.get("x-amz-server-side-encryption-customer-key-md5");
        assert_eq!(md5, Some(checksum::base64(&checksum::md5(&[7; 32])).as_str()));
        for wrong in [&b""[..], &[7; 31], b"not base64 of anything"] {
            assert!(key(wrong).is_err());
        }
    }
}
