//! The one place where values become text of a statement or of a load. Both forms use the backslash,
//! which the session's mode keeps an escape, and every session's statements are `utf8mb4`, in which
//! no byte of a longer character is a quote or a backslash.

/// A text as a literal, quotes and all.
pub(super) fn literal(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    quoted(text.as_bytes(), &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Appends bytes as a literal of text, quotes and all.
pub(super) fn quoted(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'\'');
    replaced(bytes, out, |byte| match byte {
        b'\'' => Some(b'\''),
        b'\\' => Some(b'\\'),
        0 => Some(b'0'),
        b'\n' => Some(b'n'),
        b'\r' => Some(b'r'),
        0x1a => Some(b'Z'),
        _ => None,
    });
    out.push(b'\'');
}

/// Appends bytes as a literal of bytes.
pub(super) fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(b"X'");
    for byte in bytes {
        let digit = |at: u8| DIGITS.get(usize::from(at)).copied().unwrap_or_default();
        out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    out.push(b'\'');
}

/// Appends bytes as a field of `LOAD DATA … FIELDS TERMINATED BY '\t' ESCAPED BY '\\' LINES
/// TERMINATED BY '\n'`.
#[inline]
pub(super) fn field(bytes: &[u8], out: &mut Vec<u8>) {
    replaced(bytes, out, |byte| match byte {
        b'\\' => Some(b'\\'),
        b'\t' => Some(b't'),
        b'\n' => Some(b'n'),
        b'\r' => Some(b'r'),
        0 => Some(b'0'),
        _ => None,
    });
}

/// Appends bytes, those that have one with a backslash and their letter. Most have none at all, so
/// that stretches without are copied at once.
#[inline]
fn replaced(bytes: &[u8], out: &mut Vec<u8>, letter: impl Fn(u8) -> Option<u8>) {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| letter(*byte).is_some()) {
        let (plain, tail) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        out.extend_from_slice(plain);
        if let Some((first, tail)) = tail.split_first() {
            out.extend_from_slice(&[b'\\', letter(*first).unwrap_or(*first)]);
            rest = tail;
        }
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a server makes of a field or of the inside of a literal.
    fn read_back(mut text: &[u8], ends: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some((first, tail)) = text.split_first() {
            text = tail;
            assert!(!ends.contains(first), "ends early");
            if *first != b'\\' {
                out.push(*first);
                continue;
            }
            let (letter, tail) = text.split_first().unwrap();
            text = tail;
            out.push(match letter {
                b'0' => 0,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'Z' => 0x1a,
                other => *other,
            });
        }
        out
    }

    proptest! {
        #[test]
        fn whatever_goes_in_comes_out(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut out = Vec::new();
            field(&bytes, &mut out);
            prop_assert_eq!(&read_back(&out, b"\t\n"), &bytes);
            prop_assert_ne!(out.as_slice(), b"\\N");
            out.clear();
            quoted(&bytes, &mut out);
            prop_assert_eq!(&read_back(&out[1..out.len() - 1], b"'"), &bytes);
        }
    }

    #[test]
    fn bytes_are_hex_digits() {
        let mut out = Vec::new();
        hex(b"\x00\xff'", &mut out);
        assert_eq!(out, b"X'00FF27'");
        assert_eq!(literal(r"a'b\"), r"'a\'b\\'");
    }
}
