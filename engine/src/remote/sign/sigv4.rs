//! AWS Signature Version 4, in the header and in the query ("Authenticating Requests", Amazon S3
//! API Reference). Paths are taken as S3 wants them: encoded once, never normalised.

use std::sync::{Arc, Mutex, PoisonError};

use ring::hmac;
use secrecy::{ExposeSecret as _, SecretString};

use crate::error::Result;
use crate::model::item::Timestamp;
use crate::remote::call::Request;
use crate::remote::dialect::Signer;
use crate::remote::encode;
use crate::remote::sign::canonical::{basic_time, push_folded, push_hex, sha256_hex};
use crate::remote::sign::source::Source;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
/// The SHA-256 of nothing.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// Fields beside `x-amz-*` and `if-*` that are signed where they are there.
const SIGNED: [&str; 4] = ["content-md5", "content-type", "date", "range"];
/// Bytes of a canonical request that need no second allocation.
const USUAL_BYTES: usize = 1024;

/// An access key.
pub struct Keys {
    /// Its public half.
    pub id: String,
    /// Its secret half.
    pub secret: SecretString,
    /// What goes with it where it is valid for a while only.
    pub token: Option<SecretString>,
}

/// Signs for one service in one region.
pub struct SigV4 {
    source: Arc<dyn Source<Keys>>,
    service: &'static str,
    region: String,
    derived: Mutex<Option<Derived>>,
}

/// A signing key: made anew each day, and for each access key.
#[derive(Clone)]
struct Derived {
    keys: Arc<Keys>,
    day: String,
    key: hmac::Key,
}

/// What one signature is made of beside the request.
struct Moment {
    derived: Derived,
    time: String,
    scope: String,
}

impl SigV4 {
    /// A signer for `service` (such as `s3`) in `region`.
    #[must_use]
    pub fn new(source: Arc<dyn Source<Keys>>, service: &'static str, region: &str) -> Self {
        Self { source, service, region: region.to_owned(), derived: Mutex::default() }
    }

    fn moment(&self, now: Timestamp) -> Result<Moment> {
        let keys = self.source.get(now)?;
        let time = basic_time(now);
        let day = time.get(..8).unwrap_or_default();
        let scope = [day, &self.region, self.service, "aws4_request"].join("/");
        Ok(Moment { derived: self.derive(keys, day), time, scope })
    }

    fn derive(&self, keys: Arc<Keys>, day: &str) -> Derived {
        let mut cached = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = cached.as_ref()
            && Arc::ptr_eq(&known.keys, &keys)
            && known.day == day
        {
            return known.clone();
        }
        let secret =
            secrecy::zeroize::Zeroizing::new(format!("AWS4{}", keys.secret.expose_secret()));
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        for part in [day, &self.region, self.service, "aws4_request"] {
            key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
        }
        cached.insert(Derived { keys, day: day.to_owned(), key }).clone()
    }

    /// What stands for the body. Over TLS, or with a checksum of its own among the signed fields,
    /// S3 takes a body without its digest, which would cost a pass over it.
    fn payload(&self, request: &Request<'_>) -> String {
        if let Some(given) = request.headers.get("x-amz-content-sha256") {
            return given.to_owned();
        }
        if request.body.is_empty() {
            return EMPTY.to_owned();
        }
        if self.service == "s3" && (request.origin.tls || has_checksum(request)) {
            return UNSIGNED.to_owned();
        }
        sha256_hex(request.body)
    }
}

impl Signer for SigV4 {
    fn sign(&self, request: &mut Request<'_>, now: Timestamp) -> Result<()> {
        let moment = self.moment(now)?;
        let keys = &moment.derived.keys;
        let payload = self.payload(request);
        request.headers.set("x-amz-date", moment.time.as_str());
        request.headers.set("x-amz-content-sha256", payload.as_str());
        if let Some(token) = &keys.token {
            request.headers.set("x-amz-security-token", token.expose_secret());
        }
        let fields = Fields::of(request);
        let signature = moment.signature(&canonical(request, &fields, &payload));
        let (id, scope, names) = (&keys.id, &moment.scope, fields.names());
        let proof = format!(
            "{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}"
        );
        request.headers.set("authorization", proof);
        Ok(())
    }

    fn renew(&self) -> bool {
        self.source.renew()
    }
}

impl Moment {
    fn signature(&self, canonical: &str) -> String {
        let digest = sha256_hex(canonical.as_bytes());
        let text = [ALGORITHM, &self.time, &self.scope, &digest].join("\n");
        let mut out = String::with_capacity(64);
        push_hex(&mut out, hmac::sign(&self.derived.key, text.as_bytes()).as_ref());
        out
    }
}

fn has_checksum(request: &Request<'_>) -> bool {
    const ABOUT: [&str; 3] = ["algorithm", "mode", "type"];
    let mut kinds = request.headers.iter().filter_map(|(n, _)| n.strip_prefix("x-amz-checksum-"));
    kinds.any(|kind| !ABOUT.contains(&kind))
}

/// The fields that are signed, by name.
struct Fields<'a> {
    host: String,
    others: Vec<(&'a str, &'a str)>,
}

impl<'a> Fields<'a> {
    fn of(request: &'a Request<'_>) -> Self {
        let is_signed = |name: &str| {
            name.starts_with("x-amz-") || name.starts_with("if-") || SIGNED.contains(&name)
        };
        let mut others: Vec<_> =
            request.headers.iter().filter(|(name, _)| is_signed(name)).collect();
        // Values of one name stay in their order.
        others.sort_by_key(|(name, _)| *name);
        Self { host: request.origin.authority(), others }
    }

    /// Each name with a value, `host` in its place.
    fn each(&self) -> impl Iterator<Item = (&str, &str)> {
        let before = self.others.partition_point(|(name, _)| *name < "host");
        let (first, last) = self.others.split_at_checked(before).unwrap_or_default();
        let host = std::iter::once(("host", self.host.as_str()));
        first.iter().copied().chain(host).chain(last.iter().copied())
    }

    fn names(&self) -> String {
        let mut names: Vec<&str> = self.each().map(|(name, _)| name).collect();
        names.dedup();
        names.join(";")
    }
}

fn canonical(request: &Request<'_>, fields: &Fields<'_>, payload: &str) -> String {
    let mut out = String::with_capacity(USUAL_BYTES);
    let path = if request.path.is_empty() { "/" } else { &request.path };
    for part in [request.method, "\n", path, "\n"] {
        out.push_str(part);
    }
    push_query(&mut out, &request.query);
    let mut last = "";
    for (name, value) in fields.each() {
        if name == last {
            out.push(',');
        } else {
            out.extend(["\n", name, ":"]);
        }
        push_folded(&mut out, value);
        last = name;
    }
    out.extend(["\n\n", &fields.names(), "\n", payload]);
    out
}

/// The query, sorted as it is encoded.
fn push_query(out: &mut String, query: &[(String, String)]) {
    let encoded = |text: &String| encode::component(text.as_bytes());
    let mut pairs: Vec<_> =
        query.iter().map(|(name, value)| (encoded(name), encoded(value))).collect();
    pairs.sort_unstable();
    for (at, (name, value)) in pairs.iter().enumerate() {
        out.extend([if at == 0 { "" } else { "&" }, name, "=", value]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::remote::call::Verb;
    use crate::remote::origin::Origin;
    use crate::remote::sign::source::Fixed;

    /// 24 May 2013, the day of the documentation's examples.
    const NOW: Timestamp = Timestamp(1_369_353_600_000_000_000);

    fn keys(token: Option<&str>) -> Keys {
        Keys {
            id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: SecretString::from("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            token: token.map(SecretString::from),
        }
    }

    fn signer() -> SigV4 {
        SigV4::new(Fixed::new(keys(None)), "s3", "us-east-1")
    }

    fn request<'a>(method: &'static str, scheme: &str, path: &str) -> Request<'a> {
        let url = format!("{scheme}://examplebucket.s3.amazonaws.com");
        let (origin, _) = Origin::parse(&url).unwrap();
        Request::new(Verb::Look, method, &origin, path.to_owned())
    }

    /// What the request is proven by: the names that are signed, and the signature.
    fn proof(signer: &SigV4, mut request: Request<'_>) -> (String, String) {
        signer.sign(&mut request, NOW).unwrap();
        let proof = request.headers.get("authorization").unwrap();
        let (head, signature) = proof.split_once(", Signature=").unwrap();
        let (credential, names) = head.split_once(", SignedHeaders=").unwrap();
        let scope = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request";
        assert_eq!(credential, format!("AWS4-HMAC-SHA256 Credential={scope}"));
        (names.to_owned(), signature.to_owned())
    }

    #[test]
    fn signatures_are_those_of_the_documentation() {
        let get = request("GET", "https", "/test.txt").header("range", "bytes=0-9");
        let (names, signature) = proof(&signer(), get);
        assert_eq!(names, "host;range;x-amz-content-sha256;x-amz-date");
        let wanted = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
        assert_eq!(signature, wanted);

        // In the clear, so that the body's digest is signed as in the example.
        let put = request("PUT", "http", "/test%24file.text")
            .header("date", "Fri, 24 May 2013 00:00:00 GMT")
            .header("x-amz-storage-class", "REDUCED_REDUNDANCY")
            .body(b"Welcome to Amazon S3.");
        let (names, signature) = proof(&signer(), put);
        assert_eq!(names, "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class");
        let wanted = "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd";
        assert_eq!(signature, wanted);

        let lifecycle = request("GET", "https", "/").query("lifecycle", "");
        let wanted = "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543";
        assert_eq!(proof(&signer(), lifecycle).1, wanted);

        let list = request("GET", "https", "").query("prefix", "J").query("max-keys", "2");
        let wanted = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7";
        assert_eq!(proof(&signer(), list).1, wanted);
    }

    #[test]
    fn bodies_are_digested_only_where_nothing_else_covers_them() {
        let payload = |scheme: &str, service: &'static str, field: &str, body: &[u8]| {
            let signer = SigV4::new(Fixed::new(keys(None)), service, "us-east-1");
            signer.payload(&request("PUT", scheme, "/a").header(field, "x").body(body))
        };
        assert_eq!(payload("http", "s3", "a", b""), EMPTY);
        assert_eq!(payload("http", "s3", "a", b"b"), sha256_hex(b"b"));
        assert_eq!(payload("https", "s3", "a", b"b"), UNSIGNED);
        assert_eq!(payload("http", "s3", "x-amz-checksum-crc64nvme", b"b"), UNSIGNED);
        assert_eq!(payload("http", "s3", "x-amz-checksum-type", b"b"), sha256_hex(b"b"));
        assert_eq!(payload("https", "sts", "a", b"b"), sha256_hex(b"b"));
        assert_eq!(payload("https", "s3", "x-amz-content-sha256", b"b"), "x");
    }

    #[test]
    fn a_new_key_or_day_is_signed_with_anew_and_tokens_are_signed() {
        let with_token = SigV4::new(Fixed::new(keys(Some("t0k"))), "s3", "us-east-1");
        let mut get = request("GET", "https", "/a");
        with_token.sign(&mut get, NOW).unwrap();
        assert_eq!(get.headers.get("x-amz-security-token"), Some("t0k"));
        assert!(get.headers.get("authorization").unwrap().contains(";x-amz-security-token,"));
        let first = get.headers.get("authorization").unwrap().to_owned();
        let fields = get.headers.iter().count();
        with_token.sign(&mut get, Timestamp(NOW.0 + 86_400_000_000_000)).unwrap();
        assert_eq!(get.headers.iter().count(), fields);
        let second = get.headers.get("authorization").unwrap();
        assert!(first != second && second.contains("/20130525/"));
        with_token.sign(&mut get, NOW).unwrap();
        assert_eq!(get.headers.get("authorization"), Some(first.as_str()));
    }

    /// The signature written down step by step, without any of the shortcuts.
    fn by_the_book(request: &Request<'_>, names: &str, payload: &str) -> String {
        let mut fields = std::collections::BTreeMap::<String, Vec<String>>::new();
        fields.insert("host".to_owned(), vec![request.origin.authority()]);
        for (name, value) in request.headers.iter() {
            let words: Vec<_> = value.split_ascii_whitespace().collect();
            fields.entry(name.to_owned()).or_default().push(words.join(" "));
        }
        let lines: String =
            names.split(';').map(|name| format!("{name}:{}\n", fields[name].join(","))).collect();
        let mut query: Vec<_> = request
            .query
            .iter()
            .map(|(n, v)| [encode::component(n.as_bytes()), encode::component(v.as_bytes())])
            .collect();
        query.sort();
        let query: Vec<_> = query.iter().map(|pair| pair.join("=")).collect();
        let canonical = format!(
            "{}\n{}\n{}\n{lines}\n{names}\n{payload}",
            request.method,
            request.path,
            query.join("&")
        );
        let digest = sha256_hex(canonical.as_bytes());
        let scope = "20130524/us-east-1/s3/aws4_request";
        let text = format!("AWS4-HMAC-SHA256\n20130524T000000Z\n{scope}\n{digest}");
        let mut key = b"AWS4wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_vec();
        for part in ["20130524", "us-east-1", "s3", "aws4_request", &text] {
            let step = hmac::Key::new(hmac::HMAC_SHA256, &key);
            key = hmac::sign(&step, part.as_bytes()).as_ref().to_vec();
        }
        key.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    proptest! {
        #[test]
        fn any_request_is_signed_by_the_book(
            path in "(/[a-zA-Z0-9._~-]{0,9}){1,4}",
            query in proptest::collection::vec(("[ -~é]{1,9}", "[ -~é]{0,9}"), 0..5),
            fields in proptest::collection::vec(
                ("(x-amz-meta-[a-c]|if-match|range|accept|g|x-b)", "[ -~]{0,20}"), 0..6),
            body in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            let mut made = request("PUT", "http", &path);
            made.query = query;
            for (name, value) in fields {
                made = made.header(&name, value);
            }
            let mut made = made.body(&body);
            signer().sign(&mut made, NOW).unwrap();
            let proof = made.headers.get("authorization").unwrap().to_owned();
            let (head, signature) = proof.split_once(", Signature=").unwrap();
            let (_, names) = head.split_once(", SignedHeaders=").unwrap();
            let is_signed = |n: &str| n.starts_with("x-amz-") || n == "if-match" || n == "range";
            for (name, _) in made.headers.iter().filter(|(name, _)| *name != "authorization") {
                prop_assert_eq!(names.split(';').any(|n| n == name), is_signed(name), "{}", name);
            }
            let payload = made.headers.get("x-amz-content-sha256").unwrap().to_owned();
            prop_assert_eq!(signature, by_the_book(&made, names, &payload));
        }
    }
}
