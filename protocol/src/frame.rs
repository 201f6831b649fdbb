//! One line of bytes ↔ one JSON object. Bad input is a [`Fault`], never a panic.

use std::fmt;

use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::fault::{Code, Fault};
use crate::{DEPTH_MAX, LINE_IN_MAX_BYTES, LINE_OUT_MAX_BYTES};

/// What a splitter found in the bytes pushed to it.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A whole line without its line end.
    Line(&'a [u8]),
    /// A line longer than [`LINE_IN_MAX_BYTES`]; its bytes were dropped up to the newline.
    TooLong,
}

/// Cuts a byte stream into lines, holding at most one line.
///
/// A UTF-8 byte order mark before the first line and a carriage return before a newline are
/// removed: PowerShell pipes add both.
#[derive(Debug, Default)]
pub struct LineSplitter {
    partial: Vec<u8>,
    skipping: bool,
    started: bool,
}

impl LineSplitter {
    /// A splitter at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Feeds `bytes` and calls `found` for every line that they complete, in order.
    pub fn push(&mut self, mut bytes: &[u8], mut found: impl FnMut(Piece<'_>)) {
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            let (head, rest) = bytes.split_at(end);
            bytes = rest.get(1..).unwrap_or_default();
            if self.partial.is_empty() && !self.skipping && head.len() <= LINE_IN_MAX_BYTES {
                found(Piece::Line(clean(head, &mut self.started)));
                continue;
            }
            self.hold(head);
            self.finish(&mut found);
        }
        self.hold(bytes);
    }

    /// Ends the stream: a last line without a newline still counts.
    pub fn end(&mut self, mut found: impl FnMut(Piece<'_>)) {
        if self.skipping || !self.partial.is_empty() {
            self.finish(&mut found);
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.skipping {
            return;
        }
        if self.partial.len() + bytes.len() > LINE_IN_MAX_BYTES {
            self.partial = Vec::new();
            self.skipping = true;
        } else {
            self.partial.extend_from_slice(bytes);
        }
    }

    fn finish(&mut self, found: &mut impl FnMut(Piece<'_>)) {
        if std::mem::take(&mut self.skipping) {
            self.started = true;
            found(Piece::TooLong);
        } else {
            found(Piece::Line(clean(&self.partial, &mut self.started)));
        }
        self.partial.clear();
    }
}

fn clean<'a>(line: &'a [u8], started: &mut bool) -> &'a [u8] {
    let line = match (std::mem::replace(started, true), line) {
        (false, [0xEF, 0xBB, 0xBF, rest @ ..]) => rest,
        _ => line,
    };
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Parses one line into an object; `None` for a blank line.
///
/// # Errors
/// `PARSE` for anything but one JSON object: invalid UTF-8 or JSON, lone surrogates, deeper than
/// [`DEPTH_MAX`], a bare value, trailing bytes. `DUPLICATE_FIELD` for a repeated key at any depth.
/// The message never repeats the line's text: it may hold what must not be printed.
pub fn parse(line: &[u8]) -> Result<Option<Map<String, Value>>, Fault> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    if let Some(column) = too_deep(line) {
        return Err(Fault::new(Code::Parse, format!("nested deeper than {DEPTH_MAX}"))
            .detail("column", column));
    }
    let mut reader = serde_json::Deserializer::from_slice(line);
    let parsed = Strict.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    match parsed {
        Ok(Value::Object(map)) => Ok(Some(map)),
        Ok(_) => Err(Fault::new(Code::Parse, "a line must be one JSON object")),
        Err(error) => Err(syntax_fault(&error)),
    }
}

const DUPLICATE: &str = "a field is given twice";

fn syntax_fault(error: &serde_json::Error) -> Fault {
    let text = error.to_string();
    let cause = text.split(" at line ").next().unwrap_or_default();
    let code = if cause == DUPLICATE { Code::DuplicateField } else { Code::Parse };
    let message = if code == Code::DuplicateField {
        DUPLICATE.to_owned()
    } else {
        format!("not valid JSON: {cause}")
    };
    Fault::new(code, message).detail("column", error.column())
}

/// The column at which `line` nests deeper than [`DEPTH_MAX`], brackets in strings not counted.
fn too_deep(line: &[u8]) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for (at, byte) in line.iter().enumerate() {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[') => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return Some(at + 1);
                }
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// Writes `value` as one line, newline included.
///
/// # Errors
/// `INTERNAL` when the value cannot be JSON or its line is longer than [`LINE_OUT_MAX_BYTES`];
/// builders of messages bound their lists so that this stays a bug, not a state.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Fault> {
    let mut line = serde_json::to_vec(value)
        .map_err(|error| Fault::new(Code::Internal, format!("failed to encode a line: {error}")))?;
    line.push(b'\n');
    if line.len() > LINE_OUT_MAX_BYTES {
        return Err(Fault::new(Code::Internal, format!("a line of {} bytes", line.len())));
    }
    Ok(line)
}

/// Builds a [`Value`] and refuses repeated keys, which `serde_json` would silently merge.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<Value, E> {
        Number::from_f64(v).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::String(v.to_owned()))
    }

    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(Value::String(v))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = seq.next_element_seed(Strict)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let value = access.next_value_seed(Strict)?;
            if map.insert(key, value).is_some() {
                return Err(A::Error::custom(DUPLICATE));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut out = Vec::new();
        let mut splitter = LineSplitter::new();
        let mut note = |piece: Piece<'_>| {
            out.push(match piece {
                Piece::Line(line) => String::from_utf8_lossy(line).into_owned(),
                Piece::TooLong => "TOO LONG".to_owned(),
            });
        };
        for chunk in chunks {
            splitter.push(chunk, &mut note);
        }
        splitter.end(&mut note);
        out
    }

    fn code(line: &str) -> &'static str {
        parse(line.as_bytes()).unwrap_err().code.name()
    }

    #[test]
    fn marks_carriage_returns_and_missing_last_newline() {
        assert_eq!(lines(&[b"\xEF\xBB\xBF{}\r\n", b"{\"a\"", b":1}"]), ["{}", "{\"a\":1}"]);
        assert_eq!(lines(&[b"\n\n"]), ["", ""]);
    }

    #[test]
    fn a_long_line_is_dropped_and_the_next_one_is_whole() {
        let long = vec![b'x'; LINE_IN_MAX_BYTES + 1];
        assert_eq!(lines(&[&long, b"yy\n{}\n"]), ["TOO LONG", "{}"]);
        let mut at_once = long.clone();
        at_once.extend_from_slice(b"\n{}\n");
        assert_eq!(lines(&[&at_once]), ["TOO LONG", "{}"]);
    }

    #[test]
    fn only_one_object_a_line() {
        assert!(parse(b"  \t").unwrap().is_none());
        assert_eq!(code("[]"), "PARSE");
        assert_eq!(code("7"), "PARSE");
        assert_eq!(code("{} {}"), "PARSE");
        assert_eq!(code("{\"a\":\"\\ud800\"}"), "PARSE");
        assert_eq!(code("{\"a\":1e999}"), "PARSE");
        assert_eq!(code("{\"a\":NaN}"), "PARSE");
        assert_eq!(parse(b"{\"a\":\"\xFF\"}").unwrap_err().code, Code::Parse);
    }

    #[test]
    fn repeated_keys_are_refused_at_any_depth() {
        assert_eq!(code(r#"{"a":1,"a":2}"#), "DUPLICATE_FIELD");
        assert_eq!(code(r#"{"a":[{"b":1,"b":1}]}"#), "DUPLICATE_FIELD");
        assert_eq!(code(r#"{"a":1,"\u0061":2}"#), "DUPLICATE_FIELD");
    }

    #[test]
    fn depth_is_bounded_and_strings_do_not_count() {
        let deep = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
        assert!(parse(deep(DEPTH_MAX - 1).as_bytes()).is_ok());
        assert_eq!(code(&deep(DEPTH_MAX)), "PARSE");
        assert_eq!(code(&deep(100_000)), "PARSE");
        assert!(parse(format!("{{\"a\":\"{}\"}}", "[".repeat(1000)).as_bytes()).is_ok());
    }

    #[test]
    fn messages_never_repeat_the_line() {
        let fault = parse(br#"{"secret": hunter2}"#).unwrap_err();
        assert!(!serde_json::to_string(&fault).unwrap().contains("hunter2"));
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn cutting_does_not_depend_on_chunks(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..256),
            cut in 0usize..256,
        ) {
            let (head, tail) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(lines(&[&bytes]), lines(&[head, tail]));
        }
    }
}
