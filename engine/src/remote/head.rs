//! Heads: of requests as they are written, of answers as they are read.

use crate::limits::REMOTE_FIELDS_MAX;
use crate::remote::call::{Class, Failure, Request};
use crate::remote::encode;
use crate::remote::headers::Headers;

/// What names this program to services.
const AGENT: &str = concat!("migration-engine/", env!("CARGO_PKG_VERSION"));

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head {
    /// Its status.
    pub(super) status: u16,
    /// Whether the peer speaks HTTP/1.0, where connections end by default.
    pub(super) old: bool,
    /// Its fields.
    pub(super) headers: Headers,
}

/// The head of a request as bytes.
///
/// # Errors
/// `Invalid` where a part of it holds what would make another request of it.
pub(super) fn write(request: &Request<'_>) -> Result<Vec<u8>, Failure> {
    let mut head = String::with_capacity(1024);
    head.push_str(request.method);
    head.push(' ');
    head.push_str(&request.path);
    if !request.query.is_empty() {
        head.push(if request.path.contains('?') { '&' } else { '?' });
        head.push_str(&encode::query(&request.query));
    }
    if head.bytes().skip(request.method.len() + 1).any(|byte| byte <= b' ' || byte == 0x7f) {
        return Err(Failure::of(Class::Invalid, "the path of a request holds a space or control"));
    }
    head.push_str(" HTTP/1.1\r\nhost: ");
    head.push_str(&request.origin.authority());
    if request.headers.get("user-agent").is_none() {
        head.push_str("\r\nuser-agent: ");
        head.push_str(AGENT);
    }
    if request.body_bytes() > 0 || matches!(request.method, "PUT" | "POST" | "PATCH") {
        head.push_str("\r\ncontent-length: ");
        head.push_str(&request.body_bytes().to_string());
    }
    for (name, value) in request.headers.iter() {
        if matches!(name, "host" | "content-length" | "connection") {
            continue;
        }
        if !is_name(name) || value.bytes().any(is_control) {
            return Err(Failure::of(Class::Invalid, "a header field holds what no field may"));
        }
        head.push_str("\r\n");
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
    }
    head.push_str("\r\n\r\n");
    Ok(head.into_bytes())
}

/// Reads the head of an answer, where all of it is in `bytes`; with it, its length.
///
/// # Errors
/// `Garbled` where it is none.
pub(super) fn read(bytes: &[u8]) -> Result<Option<(Head, usize)>, Failure> {
    let mut fields = [httparse::EMPTY_HEADER; REMOTE_FIELDS_MAX];
    let mut answer = httparse::Response::new(&mut fields);
    let length = match answer.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(Failure::garbled(format!("the head of the answer: {error}"))),
    };
    let status = answer.code.unwrap_or_default();
    if !(100..1000).contains(&status) {
        return Err(Failure::garbled("the answer has no status"));
    }
    let mut headers = Headers::default();
    for field in answer.headers.iter() {
        if field.value.iter().copied().any(is_control) {
            return Err(Failure::garbled("a header field of the answer holds a control"));
        }
        headers.add(field.name.to_ascii_lowercase(), text(field.value));
    }
    Ok(Some((Head { status, old: answer.version == Some(0), headers }, length)))
}

/// A field's value: UTF-8 where it is, else each byte for itself (ISO 8859-1).
fn text(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => value.iter().copied().map(char::from).collect(),
    }
}

fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

fn is_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}
