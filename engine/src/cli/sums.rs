//! Lines as `sha256sum` writes and reads them.

/// `hex  name`, without its newline. A leading backslash says that the name is escaped.
#[must_use]
pub fn line(hex: &str, name: &[u8]) -> Vec<u8> {
    let escaped = escape(name);
    let mark: &[u8] = if escaped.len() == name.len() { b"" } else { b"\\" };
    [mark, hex.as_bytes(), b"  ", &escaped].concat()
}

fn escape(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    for byte in name {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            other => out.push(*other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_coreutils_do() {
        assert_eq!(line("00", b"plain \xff"), b"00  plain \xff");
        assert_eq!(line("00", b"a\\b\nc\r"), b"\\00  a\\\\b\\nc\\r");
    }
}
