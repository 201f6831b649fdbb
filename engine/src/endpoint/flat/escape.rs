//! The two forms: how a record and its fields are written.

/// What files hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// RFC 4180.
    Csv,
    /// One JSON object a line.
    JsonLines,
}

/// What a value is to a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Nothing.
    Null,
    /// A number or a truth: JSON writes it without quotes.
    Bare,
    /// Text.
    Text,
}

impl Form {
    /// What names of files end with.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Self::Csv => ".csv",
            Self::JsonLines => ".jsonl",
        }
    }

    /// What stands before the first row.
    #[must_use]
    pub fn header(self, names: &[String]) -> Vec<u8> {
        let mut out = Vec::new();
        if self == Self::Csv {
            for (at, name) in names.iter().enumerate() {
                self.before(&mut out, at, "");
                self.value(&mut out, Sort::Text, name);
            }
            out.extend_from_slice(b"\r\n");
        }
        out
    }

    /// What stands before the field of this place.
    pub fn before(self, out: &mut Vec<u8>, at: usize, name: &str) {
        match self {
            Self::Csv if at == 0 => {}
            Self::Csv => out.push(b','),
            Self::JsonLines => {
                out.push(if at == 0 { b'{' } else { b',' });
                json_text(out, name);
                out.push(b':');
            }
        }
    }

    /// The value of a field.
    pub fn value(self, out: &mut Vec<u8>, sort: Sort, text: &str) {
        match (self, sort) {
            (Self::Csv, Sort::Null) => {}
            (Self::Csv, Sort::Bare) => out.extend_from_slice(text.as_bytes()),
            (Self::Csv, Sort::Text) => csv_text(out, text),
            (Self::JsonLines, Sort::Null) => out.extend_from_slice(b"null"),
            (Self::JsonLines, Sort::Bare) => out.extend_from_slice(text.as_bytes()),
            (Self::JsonLines, Sort::Text) => json_text(out, text),
        }
    }

    /// What ends a record of so many fields.
    pub fn end(self, out: &mut Vec<u8>, fields: usize) {
        match self {
            Self::Csv => out.extend_from_slice(b"\r\n"),
            Self::JsonLines if fields == 0 => out.extend_from_slice(b"{}\n"),
            Self::JsonLines => out.extend_from_slice(b"}\n"),
        }
    }
}

fn csv_text(out: &mut Vec<u8>, text: &str) {
    let odd = |c: char| matches!(c, '"' | ',' | '\r' | '\n');
    let plain = !text.is_empty() && text.trim() == text && !text.contains(odd);
    if plain {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

fn json_text(out: &mut Vec<u8>, text: &str) {
    // Writing to memory does not fail, and text always has a form.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(form: Form, fields: &[(Sort, &str)]) -> String {
        let mut out = Vec::new();
        for (at, (sort, text)) in fields.iter().enumerate() {
            form.before(&mut out, at, "n\"");
            form.value(&mut out, *sort, text);
        }
        form.end(&mut out, fields.len());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_and_the_empty_text_are_told_apart() {
        let fields =
            [(Sort::Null, ""), (Sort::Text, ""), (Sort::Text, "a\"b,\r\n"), (Sort::Bare, "1")];
        assert_eq!(record(Form::Csv, &fields), ",\"\",\"a\"\"b,\r\n\",1\r\n");
        assert_eq!(record(Form::JsonLines, &fields[..2]), "{\"n\\\"\":null,\"n\\\"\":\"\"}\n");
        assert_eq!(Form::Csv.header(&["a".to_owned(), " b".to_owned()]), b"a,\" b\"\r\n");
    }
}
