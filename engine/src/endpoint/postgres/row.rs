//! Rows of an answer to a simple query: each value its text, or NULL.

use crate::endpoint::postgres::error::{Done, garbled};

/// A row.
#[derive(Debug, Default)]
pub(super) struct Row(Vec<Option<String>>);

impl Row {
    /// Reads a `DataRow`.
    pub(super) fn parse(payload: &[u8]) -> Done<Self> {
        let cut = || garbled("a row that is cut");
        let (count, mut rest) = payload.split_first_chunk::<2>().ok_or_else(cut)?;
        let mut values = Vec::new();
        for _ in 0..u16::from_be_bytes(*count) {
            let (length, tail) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
            let length = i32::from_be_bytes(*length);
            if length == -1 {
                rest = tail;
                values.push(None);
                continue;
            }
            let length = usize::try_from(length).map_err(|_| cut())?;
            let (value, tail) = tail.split_at_checked(length).ok_or_else(cut)?;
            rest = tail;
            let text = std::str::from_utf8(value).map_err(|_| garbled("an answer is no text"))?;
            values.push(Some(text.to_owned()));
        }
        if rest.is_empty() { Ok(Self(values)) } else { Err(cut()) }
    }

    /// A value; `None` for NULL, and for one that is not there.
    pub(super) fn get(&self, at: usize) -> Option<&str> {
        self.0.get(at).and_then(Option::as_deref)
    }

    /// A text; empty for NULL.
    pub(super) fn text(&self, at: usize) -> String {
        self.get(at).unwrap_or_default().to_owned()
    }

    /// A number; `None` for NULL, and for what is none.
    pub(super) fn number<T: std::str::FromStr>(&self, at: usize) -> Option<T> {
        self.get(at).and_then(|text| text.parse().ok())
    }

    /// Whether it is true.
    pub(super) fn is(&self, at: usize) -> bool {
        self.get(at) == Some("t")
    }

    /// Texts of a JSON array; none for NULL.
    pub(super) fn list(&self, at: usize) -> Vec<String> {
        self.get(at).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_lie_about_their_lengths_are_refused() {
        let row = Row::parse(b"\0\x02\0\0\0\x02ab\xff\xff\xff\xff").unwrap();
        assert_eq!((row.get(0), row.get(1), row.get(9)), (Some("ab"), None, None));
        for hostile in [
            &b""[..],
            b"\0",
            b"\0\x01",
            b"\0\x01\0\0\0\x05ab",
            b"\0\x01\x80\0\0\0",
            b"\0\x01\0\0\0\x01\xff",
            b"\0\0x",
            b"\xff\xff\0\0\0\0",
        ] {
            assert!(Row::parse(hostile).is_err(), "{hostile:?}");
        }
    }
}
