//! A command of the protocol in the making.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use crate::cli::arguments::{JobArgs, SelectionArgs};

/// A command whose fields are being filled in. Flags that were not given leave no field, so that
/// defaults of the settings still count.
#[derive(Debug)]
pub struct Draft(Map<String, Value>);

impl Draft {
    /// A command of this op; the op is also its id.
    #[must_use]
    pub fn new(op: &str) -> Self {
        Self(Map::new()).with("op", op).with("id", op)
    }

    /// With this field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// With this field, where it was given.
    #[must_use]
    pub fn maybe(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// With this list, where it was given.
    #[must_use]
    pub fn list<T: Into<Value>>(self, name: &str, values: Vec<T>) -> Self {
        if values.is_empty() { self } else { self.with(name, values) }
    }

    /// With this switch, where it is on.
    #[must_use]
    pub fn switch(self, name: &str, on: bool) -> Self {
        if on { self.with(name, true) } else { self }
    }

    /// With this location.
    #[must_use]
    pub fn place(self, name: &str, place: &OsStr) -> Self {
        self.with(name, location(place))
    }

    /// With this location, where it was given.
    #[must_use]
    pub fn maybe_place(self, name: &str, place: Option<&OsString>) -> Self {
        self.maybe(name, place.map(|place| location(place)))
    }

    /// With these globs.
    #[must_use]
    pub fn selection(self, args: SelectionArgs) -> Self {
        self.list("include", args.include).list("exclude", args.exclude)
    }

    /// With these rates and this key.
    #[must_use]
    pub fn job(self, args: JobArgs) -> Self {
        let bytes = args.bytes_per_s.map(|size| ("bytes_per_s".to_owned(), size.0.into()));
        let ops = args.ops_per_s.map(|ops| ("ops_per_s".to_owned(), ops.into()));
        let limits: Map<String, Value> = bytes.into_iter().chain(ops).collect();
        let this = if limits.is_empty() { self } else { self.with("limits", limits) };
        this.maybe("key", args.key)
    }

    /// The command.
    #[must_use]
    pub fn finish(self) -> Map<String, Value> {
        self.0
    }
}

/// A location as the wire takes it: text where it is UTF-8, its exact bytes otherwise.
#[must_use]
pub fn location(place: &OsStr) -> Value {
    match place.to_str() {
        Some(text) => json!(text),
        None => json!({ "b64": BASE64.encode(place.as_bytes()) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_every_byte_and_absent_flags_leave_no_field() {
        let odd = OsStr::from_bytes(b"foo\xffbar");
        let draft = Draft::new("copy").place("src", odd).maybe("key", None::<String>);
        let draft = draft.job(JobArgs::default()).selection(SelectionArgs::default());
        let expected = json!({ "op": "copy", "id": "copy", "src": { "b64": "Zm9v/2Jhcg==" } });
        assert_eq!(Value::Object(draft.finish()), expected);
    }
}
