//! DeleteObjects: many removals in one request, each bound to the version that it means.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde::Deserialize;

use crate::endpoint::s3::bucket::Bucket;
use crate::endpoint::s3::errors;
use crate::endpoint::s3::{checksum, delete, head, xml};
use crate::error::Result;
use crate::model::version::Version;
use crate::remote::call::{Class, Failure, Request, Verb};
use crate::remote::headers::Headers;

/// Most keys of a request.
pub const KEYS_MAX: usize = 1000;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Came {
    #[serde(rename = "Deleted")]
    deleted: Vec<Named>,
    #[serde(rename = "Error")]
    errors: Vec<Named>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Named {
    key: String,
    code: String,
    message: String,
}

/// What a store says of one key.
enum Said {
    /// It is gone by this request.
    Gone,
    /// It is not there, or is another version.
    Kept,
    /// Why it is still there.
    Refused(Failure),
}

/// Removes those objects that are these versions, where the store is known to compare them. The
/// outcome of each, in order; false where another one stands there, or none.
#[must_use]
pub fn remove(bucket: &Bucket, objects: &[(String, Version)]) -> Vec<Result<bool>> {
    // What XML cannot hold goes by itself.
    let fits =
        |key: &str| !key.chars().any(|c| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'));
    let named: Vec<_> = objects.iter().filter(|(key, _)| fits(key)).cloned().collect();
    let (said, doubtful) = match ask(bucket, &named) {
        Ok(said) => said,
        Err(failure) => {
            let error = bucket.error(&failure, Verb::Remove, delete::DOING);
            return objects.iter().map(|_| Err(error.clone())).collect();
        }
    };
    let alone = |(key, version): &(String, Version)| delete::remove(bucket, key, *version);
    let outcome = |object: &(String, Version)| match said.get(&object.0) {
        Some(Said::Gone) => Ok(true),
        // Sent twice, it may have been removed the first time.
        Some(Said::Kept) if doubtful => Ok(head::look(bucket, &object.0)?.is_none()),
        Some(Said::Kept) => Ok(false),
        Some(Said::Refused(failure)) if !failure.class.passes() => {
            Err(bucket.error(failure, Verb::Remove, delete::DOING))
        }
        // What passes by itself is repeated in one place.
        Some(Said::Refused(_)) => alone(object),
        // Nothing was said of it, and it may be gone.
        None => Ok(alone(object)? || head::look(bucket, &object.0)?.is_none()),
    };
    objects.iter().map(outcome).collect()
}

/// What the store says of each key, and whether an earlier attempt may have been carried out.
fn ask(
    bucket: &Bucket,
    objects: &[(String, Version)],
) -> Result<(HashMap<String, Said>, bool), Failure> {
    if objects.is_empty() {
        return Ok((HashMap::new(), false));
    }
    let body = body(objects);
    let (answer, text) = bucket.fetch(request(bucket, &body))?;
    let came: Came = xml::read(&text, "DeleteResult").map_err(Failure::garbled)?;
    let mut said = HashMap::new();
    for Named { key, .. } in came.deleted {
        said.insert(key, Said::Gone);
    }
    for Named { key, code, message } in came.errors {
        let refusal = errors::refusal(code, &message);
        let kept = matches!(refusal.class, Class::Condition | Class::NotFound);
        let status = answer.status;
        let word = if kept { Said::Kept } else { Said::Refused(Failure::refused(status, refusal)) };
        // Whatever else is said of it: it failed.
        said.insert(key, word);
    }
    Ok((said, answer.doubtful))
}

fn request<'a>(bucket: &Bucket, body: &'a str) -> Request<'a> {
    let mut headers = Headers::default();
    headers.add("content-md5", checksum::base64(&checksum::md5(body.as_bytes())));
    headers.add("content-type", "application/xml");
    let mut request = bucket.request(Verb::Remove, "POST", "").query("delete", "");
    for (name, value) in headers.iter() {
        request.headers.add(name, value);
    }
    request.body(body.as_bytes())
}

fn body(objects: &[(String, Version)]) -> String {
    let mut text = "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">".to_owned();
    for (key, version) in objects {
        let (key, tag) = (xml::escape(key), xml::escape(version.as_str()));
        let _never = write!(text, "<Object><Key>{key}</Key><ETag>{tag}</ETag></Object>");
    }
    text.push_str("</Delete>");
    text
}

/// Whether the store heeds the version of a key, by a request to remove an object as a version that
/// it is not.
///
/// # Errors
/// What keeps it from being found out.
pub fn heeds(bucket: &Bucket, key: &str, never: &str) -> Result<bool, Failure> {
    let Some(never) = Version::new(never) else {
        return Ok(false);
    };
    match ask(bucket, &[(key.to_owned(), never)]) {
        Ok((said, false)) => Ok(matches!(said.get(key), Some(Said::Kept))),
        Ok((_, true)) => Ok(false),
        Err(failure) => match failure.class {
            Class::Cancelled => Err(failure),
            // A store that has no such request, or an odd one.
            _ => Ok(false),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_name_keys_with_their_versions() {
        let objects = [("a&<b".to_owned(), Version::new("\"x\"").unwrap())];
        let object = "<Object><Key>a&amp;&lt;b</Key><ETag>&quot;x&quot;</ETag></Object>";
        assert!(body(&objects).ends_with(&format!("{object}</Delete>")));
    }
}
