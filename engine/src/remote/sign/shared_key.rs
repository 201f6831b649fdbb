//! Shared Key of Azure Storage ("Authorize with Shared Key", version 2009-09-19 and later).

use std::cmp::Ordering;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use secrecy::ExposeSecret as _;
use secrecy::SecretSlice;

use crate::error::{EngineError, Kind, Result};
use crate::model::item::Timestamp;
use crate::remote::call::Request;
use crate::remote::dialect::Signer;
use crate::remote::sign::canonical::{http_time, push_folded};
use crate::remote::sign::source::Source;

/// The version of the service that requests ask for where they name none.
pub const VERSION: &str = "2021-12-02";
/// Fields whose values are signed by place; `content-length` stands between the first two and the
/// others.
const BEFORE_LENGTH: [&str; 2] = ["content-encoding", "content-language"];
const AFTER_LENGTH: [&str; 8] = [
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
];

/// An account with its key.
pub struct AccountKey {
    account: String,
    key: SecretSlice<u8>,
}

impl AccountKey {
    /// From the key as the service shows it: base64.
    ///
    /// # Errors
    /// `InvalidField` for what is no base64. Nothing of it is repeated.
    pub fn new(account: &str, encoded: &str) -> Result<Self> {
        let key = STANDARD.decode(encoded.trim()).ok().filter(|key| !key.is_empty());
        let Some(key) = key else {
            let why = "the key of the storage account is not base64";
            return Err(EngineError::new(Kind::InvalidField, why).field("auth.account_key"));
        };
        Ok(Self { account: account.to_owned(), key: SecretSlice::from(key) })
    }

    /// The account's name.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Signs a request.
    ///
    /// # Errors
    /// `Internal` for a clock beyond all dates.
    pub fn add(&self, request: &mut Request<'_>, now: Timestamp) -> Result<()> {
        request.headers.set("x-ms-date", http_time(now)?);
        if request.headers.get("x-ms-version").is_none() {
            request.headers.set("x-ms-version", VERSION);
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.key.expose_secret());
        let text = text_to_sign(&self.account, request);
        let signature = STANDARD.encode(hmac::sign(&key, text.as_bytes()));
        let proof = format!("SharedKey {}:{signature}", self.account);
        request.headers.set("authorization", proof);
        Ok(())
    }
}

/// Signs with an account's key.
pub struct SharedKey {
    source: Arc<dyn Source<AccountKey>>,
}

impl SharedKey {
    /// A signer with the key of `source`.
    #[must_use]
    pub fn new(source: Arc<dyn Source<AccountKey>>) -> Self {
        Self { source }
    }
}

impl Signer for SharedKey {
    fn sign(&self, request: &mut Request<'_>, now: Timestamp) -> Result<()> {
        self.source.get(now)?.add(request, now)
    }

    fn renew(&self) -> bool {
        self.source.renew()
    }
}

fn text_to_sign(account: &str, request: &Request<'_>) -> String {
    let mut out = String::with_capacity(1024);
    let line = |out: &mut String, text: &str| {
        out.push_str(text);
        out.push('\n');
    };
    line(&mut out, request.method);
    for name in BEFORE_LENGTH {
        line(&mut out, request.headers.get(name).unwrap_or_default());
    }
    match request.body.len() {
        0 => out.push('\n'),
        length => line(&mut out, &length.to_string()),
    }
    for name in AFTER_LENGTH {
        // The time is signed as x-ms-date, which goes before date.
        let value = if name == "date" { None } else { request.headers.get(name) };
        line(&mut out, value.unwrap_or_default());
    }
    push_fields(&mut out, request);
    push_resource(&mut out, account, request);
    out
}

fn push_fields(out: &mut String, request: &Request<'_>) {
    let mut fields: Vec<_> =
        request.headers.iter().filter(|(name, _)| name.starts_with("x-ms-")).collect();
    fields.sort_by(|(a, _), (b, _)| order(a, b));
    for (name, value) in fields {
        out.push_str(name);
        out.push(':');
        push_folded(out, value);
        out.push('\n');
    }
}

/// The order of names that the service sorts by: that of words in English, where hyphens count
/// only between names that are otherwise the same, and an underscore goes before digits.
fn order(a: &str, b: &str) -> Ordering {
    let rank = |byte: u8| if byte == b'_' { 1 } else { byte };
    let letters = |name: &'_ str| -> Vec<u8> {
        name.bytes().filter(|byte| *byte != b'-').map(rank).collect()
    };
    let hyphens = |name: &'_ str| -> Vec<bool> { name.bytes().map(|byte| byte == b'-').collect() };
    letters(a).cmp(&letters(b)).then_with(|| hyphens(a).cmp(&hyphens(b)))
}

/// The account, the path as it is sent, and the query plain: names in lower case and in order, the
/// values of one name in order behind it. With an emulator the path begins with the account too.
fn push_resource(out: &mut String, account: &str, request: &Request<'_>) {
    let path = if request.path.is_empty() { "/" } else { &request.path };
    out.extend(["/", account, path]);
    let pairs = request.query.iter();
    let mut pairs: Vec<_> =
        pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.as_str())).collect();
    pairs.sort_unstable();
    let mut last = None;
    for (name, value) in &pairs {
        if last == Some(name) {
            out.extend([",", value]);
        } else {
            out.extend(["\n", name, ":", value]);
        }
        last = Some(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::call::Verb;
    use crate::remote::origin::Origin;
    use crate::remote::sign::source::Fixed;

    const NOW: Timestamp = Timestamp(1_435_361_840_000_000_000);

    fn request<'a>(method: &'static str, url: &str) -> Request<'a> {
        let (origin, path) = Origin::parse(url).unwrap();
        Request::new(Verb::Look, method, &origin, path.to_owned())
    }

    #[test]
    fn the_text_is_that_of_the_documentation() {
        let get = request("GET", "https://myaccount.blob.core.windows.net/mycontainer")
            .query("restype", "container")
            .query("comp", "metadata")
            .query("timeout", "20")
            .header("x-ms-version", "2015-02-21")
            .header("x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT");
        let wanted = "GET\n\n\n\n\n\n\n\n\n\n\n\n\
            x-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n\
            /myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20";
        assert_eq!(text_to_sign("myaccount", &get), wanted);

        let put = request("PUT", "http://127.0.0.1:10000/devstoreaccount1/c/a%20b")
            .header("content-type", "text/plain")
            .header("if-none-match", "*")
            .header("date", "left out")
            .header("x-ms-meta-b", " a   b ")
            .query("Include", "snapshots")
            .query("include", "metadata")
            .body(b"0123456789ab");
        let wanted = "PUT\n\n\n12\n\ntext/plain\n\n\n\n*\n\n\nx-ms-meta-b:a b\n\
            /devstoreaccount1/devstoreaccount1/c/a%20b\ninclude:metadata,snapshots";
        assert_eq!(text_to_sign("devstoreaccount1", &put), wanted);
    }

    #[test]
    fn names_are_sorted_as_the_service_does() {
        let sorted = [
            "x-ms-blob-type",
            "x-ms-copy-source",
            "x-ms-copy-source-range",
            "x-ms-date",
            "x-ms-meta-i_",
            "x-ms-meta-i0",
            "x-ms-meta-test",
            "x-ms-meta-test-",
            "x-ms-meta-test--",
            "x-ms-meta-test_-",
            "x-ms-meta-test-_",
            "x-ms-meta-test__",
            "x-ms-meta-test_a",
            "x-ms-meta-test_a-",
            "x-ms-meta-test-_a",
            "x-ms-meta-test_z",
            "x-ms-meta-test-a",
            "x-ms-version",
        ];
        let mut names = sorted;
        names.sort_unstable();
        names.sort_by(|a, b| order(a, b));
        assert_eq!(names, sorted);
    }

    #[test]
    fn signing_adds_the_time_the_version_and_the_proof() {
        let key = AccountKey::new("a", "c2VjcmV0").unwrap();
        let signer = SharedKey::new(Fixed::new(key));
        let mut get = request("GET", "https://a.blob.core.windows.net/c");
        signer.sign(&mut get, NOW).unwrap();
        signer.sign(&mut get, NOW).unwrap();
        assert_eq!(get.headers.get("x-ms-date"), Some("Fri, 26 Jun 2015 23:37:20 GMT"));
        assert_eq!(get.headers.get("x-ms-version"), Some(VERSION));
        let text = "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:37:20 GMT\n\
            x-ms-version:2021-12-02\n/a/c";
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"secret");
        let wanted = format!("SharedKey a:{}", STANDARD.encode(hmac::sign(&key, text.as_bytes())));
        assert_eq!(get.headers.get("authorization"), Some(wanted.as_str()));
        assert_eq!(get.headers.iter().count(), 3);
        for bad in ["hunter2!", ""] {
            let error = AccountKey::new("a", bad).map(|_| ()).unwrap_err();
            assert!(!format!("{error:?}").contains("hunter2"));
        }
    }
}
