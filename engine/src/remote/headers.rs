//! Header fields, in order, with names in lower case.

use std::fmt;

/// Header fields of a request or an answer. Their `Debug` shows no secret.
#[derive(Clone, Default)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Adds a field. Its name must be in lower case.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// Puts a field in the place of all others of its name.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.retain(|(known, _)| known != name);
        self.add(name, value);
    }

    /// The first value of a field, its name in lower case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// All fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.iter().map(|(name, value)| {
            let hidden = is_of_origin(name) || name == "location" || name == "set-cookie";
            (name, if hidden { "[hidden]" } else { value })
        });
        f.debug_map().entries(shown).finish()
    }
}

/// Whether a field is meant for one origin alone: what proves who asks, and what services of a
/// kind understand by themselves.
pub(super) fn is_of_origin(name: &str) -> bool {
    matches!(name, "authorization" | "proxy-authorization" | "cookie")
        || ["x-amz-", "x-ms-", "x-goog-"].iter().any(|kind| name.starts_with(kind))
        || ["token", "secret", "api-key", "identity"].iter().any(|word| name.contains(word))
}

/// Whether a part of a query proves who asks.
pub(super) fn is_secret_query(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "sig" || ["signature", "token", "credential"].iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let mut headers = Headers::default();
        headers.add("authorization", "Bearer abc");
        headers.add("x-amz-security-token", "abc");
        headers.add("range", "bytes=0-1");
        let shown = format!("{headers:?}");
        assert!(!shown.contains("abc") && shown.contains("bytes=0-1"), "{shown}");
        assert!(is_secret_query("X-Amz-Signature") && is_secret_query("sig"));
        assert!(!is_secret_query("uploadId"));
    }
}
