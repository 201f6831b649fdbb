//! Finds out which conditions a store heeds, and which keys it keeps, by writes to an object made
//! for it and removed again. Some stores ignore what they do not know, and answer as if all were well.

use std::sync::{OnceLock, PoisonError};

use crate::endpoint::s3::bucket::Bucket;
use crate::endpoint::s3::facts::{Heeds, Single};
use crate::endpoint::s3::{abort, complete, create_upload, delete_many};
use crate::endpoint::store::verbs::{Part, Upload};
use crate::error::Result;
use crate::model::path::temp_name;
use crate::platform::host;
use crate::remote::call::{Class, Failure, Request, Verb};
use crate::remote::encode;

const DOING: &str = "failed to find out whether the store heeds conditions";
const PUTTING: &str = "failed to find out whether the store keeps backslashes in keys";
const CONTENT: &[u8] = b"probe";
/// An entity tag that no object has.
const NEVER: &str = "\"00000000000000000000000000000000\"";

/// Which conditions hold for puts, copies and removals.
///
/// # Errors
/// What keeps objects from being written beside `near`.
pub fn single(bucket: &Bucket, near: &str) -> Result<Single> {
    once(bucket, &bucket.facts().single, DOING, || key(bucket, near), |probe| probe.single())
}

/// Which conditions hold when an upload is completed.
///
/// # Errors
/// What keeps objects from being written beside `near`.
pub fn completes(bucket: &Bucket, near: &str) -> Result<Heeds> {
    once(bucket, &bucket.facts().completes, DOING, || key(bucket, near), |probe| probe.completes())
}

/// Whether a key with a backslash stays as it is. A store that takes it for a slash finds the object
/// by the key with a slash, too.
///
/// # Errors
/// What keeps objects from being written beside `near`.
pub fn keeps_backslashes(bucket: &Bucket, near: &str) -> Result<bool> {
    let named = || {
        let name = key(bucket, near);
        let leaf = name.rsplit('/').next().unwrap_or_default();
        format!("{name}\\{leaf}")
    };
    once(bucket, &bucket.facts().backslashes, PUTTING, named, |probe| {
        let (front, leaf) = probe.key.rsplit_once('\\').unwrap_or_default();
        let mut request = bucket.request(Verb::Look, "HEAD", &format!("{front}/{leaf}"));
        bucket.add_customer_key(&mut request.headers);
        match bucket.fetch(request) {
            Ok(_) => Ok(false),
            // Who may not list is not told what is not there.
            Err(failure) if matches!(failure.class, Class::NotFound | Class::Forbidden) => Ok(true),
            Err(failure) => Err(failure),
        }
    })
}

/// Whether the store compares the versions of keys that are removed many at once.
///
/// # Errors
/// What keeps objects from being written beside `near`.
pub fn batches(bucket: &Bucket, near: &str) -> Result<bool> {
    once(
        bucket,
        &bucket.facts().batches,
        DOING,
        || key(bucket, near),
        |probe| delete_many::heeds(bucket, &probe.key, NEVER),
    )
}

/// What is found out once of a bucket, by one object made for it.
fn once<T: Copy>(
    bucket: &Bucket,
    known: &OnceLock<T>,
    doing: &str,
    named: impl FnOnce() -> String,
    find: impl FnOnce(&Probe<'_>) -> Result<T, Failure>,
) -> Result<T> {
    if let Some(known) = known.get() {
        return Ok(*known);
    }
    let _held = bucket.facts().probing.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = known.get() {
        return Ok(*known);
    }
    let probe = Probe { bucket, key: named() };
    let found = probe.make().and_then(|()| find(&probe));
    probe.remove();
    let found = found.map_err(|failure| bucket.error(&failure, Verb::Write, doing))?;
    Ok(*known.get_or_init(|| found))
}

/// A temporary name of the job, where those who clean up after it look for one.
fn key(bucket: &Bucket, near: &str) -> String {
    let name = temp_name(&bucket.ties().job, host::nonce());
    format!("{}{}", folder(bucket.root(), near), String::from_utf8_lossy(&name))
}

/// The top of the tree that is written, or where the one object stands.
fn folder<'a>(root: &str, near: &'a str) -> &'a str {
    let beneath = near.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'));
    let end = match near.rfind('/') {
        _ if beneath => root.len() + 1,
        Some(slash) if !root.is_empty() => slash + 1,
        _ => 0,
    };
    near.get(..end).unwrap_or_default()
}

struct Probe<'a> {
    bucket: &'a Bucket,
    key: String,
}

impl Probe<'_> {
    fn request(&self, verb: Verb, method: &'static str) -> Request<'static> {
        let mut request = self.bucket.request(verb, method, &self.key);
        if method == "PUT" {
            self.bucket.add_customer_key(&mut request.headers);
        }
        request
    }

    fn make(&self) -> Result<(), Failure> {
        self.bucket.fetch(self.request(Verb::Write, "PUT").body(CONTENT)).map(drop)
    }

    fn remove(&self) {
        // Rights to remove may be missing; what is left then is five bytes.
        let _left = self.bucket.fetch_away(&self.request(Verb::Remove, "DELETE"));
    }

    fn single(&self) -> Result<Single, Failure> {
        let put = |name, value| {
            heeded(
                self.bucket
                    .fetch(self.request(Verb::Write, "PUT").header(name, value).body(CONTENT)),
            )
        };
        let puts = Heeds { absent: put("if-none-match", "*")?, is: put("if-match", NEVER)? };
        let copy = |name, value| {
            if self.bucket.has_customer_key() {
                return Ok(false);
            }
            let source = format!("/{}/{}", self.bucket.style().bucket(), self.key);
            let request = self
                .request(Verb::Write, "PUT")
                .header("x-amz-copy-source", encode::path(source.as_bytes()))
                .header("x-amz-metadata-directive", "REPLACE")
                .header(name, value);
            match self.bucket.fetch(request) {
                // Who may not read here has nothing copied.
                Err(failure) if failure.class == Class::Forbidden => Ok(false),
                result => heeded(result),
            }
        };
        let copies = Heeds { absent: copy("if-none-match", "*")?, is: copy("if-match", NEVER)? };
        let sources = copy("x-amz-copy-source-if-match", NEVER)?;
        let request = self.request(Verb::Remove, "DELETE").header("if-match", NEVER);
        let removes = match self.bucket.fetch(request) {
            Err(failure) if failure.class == Class::Forbidden => false,
            result => heeded(result)?,
        };
        Ok(Single { puts, copies, sources, removes })
    }

    fn completes(&self) -> Result<Heeds, Failure> {
        let one = |name, value| {
            let upload = create_upload::bare(self.bucket, &self.key)?;
            let result = self.complete(&upload, name, value);
            match self.bucket.fetch_away(&abort::request(self.bucket, &upload)) {
                Err(f) if !matches!(f.class, Class::NoUpload | Class::NotFound) => {
                    let why = self.bucket.error(&f, Verb::Remove, abort::DOING);
                    self.bucket.ties().left.add(why.at(self.key.as_str()));
                }
                _ => {}
            }
            result
        };
        Ok(Heeds { absent: one("if-none-match", "*")?, is: one("if-match", NEVER)? })
    }

    fn complete(&self, upload: &Upload, name: &str, value: &str) -> Result<bool, Failure> {
        let request = self
            .request(Verb::Write, "PUT")
            .query("partNumber", "1")
            .query("uploadId", upload.id.as_str());
        let (answer, _) = self.bucket.fetch(request.body(CONTENT))?;
        let tag = answer.headers.get("etag").unwrap_or_default().to_owned();
        let part = Part { index: 0, size: CONTENT.len() as u64, tag, digest: None };
        let body = complete::body(&[part], false);
        let mut request = self
            .bucket
            .request(Verb::Control, "POST", &self.key)
            .query("uploadId", upload.id.as_str())
            .header(name, value);
        self.bucket.add_customer_key(&mut request.headers);
        heeded(self.bucket.fetch(request.body(body.as_bytes())))
    }
}

/// Whether a condition that does not hold was heeded.
fn heeded<T>(result: Result<T, Failure>) -> Result<bool, Failure> {
    match result {
        Ok(_) => Ok(false),
        Err(failure) => match failure.class {
            Class::Condition => Ok(true),
            Class::Unsupported | Class::Invalid | Class::NotFound => Ok(false),
            _ => Err(failure),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_lie_where_they_are_looked_for() {
        assert_eq!(folder("tree", "tree/a/b"), "tree/");
        assert_eq!(folder("deep/tree", "deep/tree/a"), "deep/tree/");
        assert_eq!(folder("", "a/b"), "");
        assert_eq!(folder("a/one", "a/one"), "a/");
        assert_eq!(folder("one", "one"), "");
    }
}
