//! Looks at a file.

use crate::endpoint::store::verbs::Object;
use crate::error::Result;
use crate::remote::call::{Class, Failure, Verb};

use super::site::{Site, failed};
use super::told;

impl Site {
    pub(super) fn look(&self, key: &str) -> Result<Option<Object>> {
        match self.head(key) {
            Ok(object) => Ok(Some(object)),
            Err(failure) if failure.class == Class::NotFound => Ok(None),
            Err(f) => Err(failed(&f, Verb::Look, "failed to look at the file")),
        }
    }

    fn head(&self, key: &str) -> Result<Object, Failure> {
        let answer = match self.ask(Verb::Look, "HEAD", key, &[]) {
            Ok(answer) => answer,
            // Not every server knows HEAD, and a signed URL may hold for GET alone.
            Err(failure) if matches!(failure.status, Some(400 | 403 | 405 | 501)) => {
                return self.first_byte(key);
            }
            Err(failure) => return Err(failure),
        };
        let object = told::object(answer.status, &answer.headers, key)?;
        match answer.headers.get("accept-ranges") {
            Some("bytes") if !object.sizeless => Ok(object),
            // There may be ranges that are not told of, and a length that only GET tells.
            _ => self.first_byte(key),
        }
    }

    /// Asks for the first byte, and takes what comes with it. A server without ranges begins to
    /// send everything; the connection ends with the answer.
    fn first_byte(&self, key: &str) -> Result<Object, Failure> {
        let fields = [("range", "bytes=0-0".to_owned())];
        let answer = match self.ask(Verb::Look, "GET", key, &fields) {
            // An empty file has no first byte.
            Err(failure) if failure.class == Class::Range => {
                self.ask(Verb::Look, "GET", key, &[])?
            }
            answer => answer?,
        };
        let object = told::object(answer.status, &answer.headers, key)?;
        let has_ranges = answer.status == 206
            && told::range(&answer.headers).is_some_and(|(range, _)| range == (0..1));
        Ok(Object { rangeless: object.rangeless || !has_ranges || object.sizeless, ..object })
    }
}
