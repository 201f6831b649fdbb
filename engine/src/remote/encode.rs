//! Percent-encoding as signatures want it (RFC 3986, AWS Signature Version 4: "URI-encode").

/// Encodes every byte but letters, digits, `-`, `.`, `_` and `~`.
#[must_use]
pub fn component(bytes: &[u8]) -> String {
    encoded(bytes, |_| false)
}

/// As [`component`], leaving slashes.
#[must_use]
pub fn path(bytes: &[u8]) -> String {
    encoded(bytes, |byte| byte == b'/')
}

/// Names and values as a query, in their order, without the question mark.
#[must_use]
pub fn query(pairs: &[(String, String)]) -> String {
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| {
            format!("{}={}", component(name.as_bytes()), component(value.as_bytes()))
        })
        .collect();
    pairs.join("&")
}

/// The bytes that a percent-encoded text stands for; what is no encoding stays.
#[must_use]
pub fn decoded(text: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, behind)) = rest.split_first() {
        let hex =
            behind.get(..2).filter(|_| *first == b'%').and_then(|hex| str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = behind.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = behind;
            }
        }
    }
    out
}

fn encoded(bytes: &[u8], keeps: impl Fn(u8) -> bool) -> String {
    const HEX: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let digit = |value: u8| HEX.get(usize::from(value)).copied().unwrap_or_default();
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keeps(byte) {
            out.push(char::from(byte));
        } else {
            out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreserved_bytes_stay() {
        assert_eq!(component("a/b c~é".as_bytes()), "a%2Fb%20c~%C3%A9");
        assert_eq!(path(b"/a b/+"), "/a%20b/%2B");
        assert_eq!(decoded("a%2Fb%20c%"), b"a/b c%");
        assert_eq!(query(&[("a&".to_owned(), "=".to_owned())]), "a%26=%3D");
    }
}
