//! Where something is, parsed: scheme and path, with secrets by reference. No connection.

use std::sync::Arc;

use crate::error::{EngineError, Kind, Result};
use crate::model::secret::SecretSource;
use crate::model::store::StoreOptions;

/// Schemes whose URLs may name a user, though never a password.
const DATABASES: [&str; 4] = ["postgres", "postgresql", "mysql", "mariadb"];

/// A parsed location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// `file`, `memory`, or another scheme's name in lower case.
    pub scheme: String,
    /// For `file` the operating system's path, otherwise what follows `scheme://`.
    pub path: Vec<u8>,
    /// Named secrets.
    pub auth: Vec<(String, SecretSource)>,
    /// How its store is reached and written.
    pub store: Arc<StoreOptions>,
}

impl Location {
    /// Parses a path or URL. A path is a path unless it begins with `scheme://`.
    ///
    /// # Errors
    /// `InvalidField` for an empty location, one with a NUL, or a URL that carries a password:
    /// the text of it is not repeated.
    pub fn parse(bytes: &[u8], auth: Vec<(String, SecretSource)>) -> Result<Self> {
        let store = Arc::default();
        let invalid = |why: &str| Err(EngineError::new(Kind::InvalidField, why.to_owned()));
        if bytes.is_empty() {
            return invalid("the location is empty");
        }
        if bytes.contains(&0) {
            return invalid("the location holds a NUL");
        }
        let Some((scheme, rest)) = split_scheme(bytes) else {
            return Ok(Self { scheme: "file".to_owned(), path: bytes.to_vec(), auth, store });
        };
        let authority = rest.split(|b| *b == b'/').next().unwrap_or_default();
        let user = authority.iter().position(|b| *b == b'@').and_then(|at| authority.get(..at));
        if let Some(user) = user {
            let names_one = DATABASES.contains(&scheme.as_str()) && !user.contains(&b':');
            if !names_one {
                return invalid(
                    "a URL must not carry a user or password; use auth with references",
                );
            }
        }
        if scheme == "file" {
            let Some(path) = rest.strip_prefix(b"/").map(|_| rest) else {
                return invalid("a file URL must name no host: file:///path");
            };
            return Ok(Self { scheme, path: percent_decode(path)?, auth, store });
        }
        Ok(Self { scheme, path: rest.to_vec(), auth, store })
    }

    /// A file of the operator's.
    #[must_use]
    pub fn file(path: &[u8]) -> Self {
        let (scheme, store) = ("file".to_owned(), Arc::default());
        Self { scheme, path: path.to_vec(), auth: Vec::new(), store }
    }

    /// Whether it ends in a slash: "into this directory".
    #[must_use]
    pub fn is_into(&self) -> bool {
        self.path.ends_with(b"/")
    }

    /// The last part of its path; empty for `/`, `.` and `..`, which name no entry.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        let name = self.plain().split(|b| *b == b'/').rfind(|part| !part.is_empty());
        name.filter(|name| *name != b"." && *name != b"..").unwrap_or_default()
    }

    /// The location of `name` in this one.
    #[must_use]
    pub fn child(&self, name: &[u8]) -> Self {
        let mut path = self.path.clone();
        if !path.ends_with(b"/") && !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        Self { path, ..self.clone() }
    }

    /// What a person would type: a path, or a URL; that of a web server without its query.
    #[must_use]
    pub fn shown(&self) -> Vec<u8> {
        if self.scheme == "file" {
            return self.path.clone();
        }
        [self.scheme.as_bytes(), b"://", self.plain()].concat()
    }

    /// The path without the query of a web server's URL, which is no part of a name and may hold a
    /// signature. In a key of an object store, `?` is a character as any other.
    fn plain(&self) -> &[u8] {
        let is_web = matches!(self.scheme.as_str(), "http" | "https");
        let end = self.path.iter().position(|b| is_web && matches!(b, b'?' | b'#'));
        self.path.get(..end.unwrap_or(self.path.len())).unwrap_or_default()
    }
}

fn split_scheme(bytes: &[u8]) -> Option<(String, &[u8])> {
    let end = bytes.windows(3).position(|w| w == b"://")?;
    let (scheme, rest) = bytes.split_at_checked(end)?;
    let first = scheme.first()?.is_ascii_alphabetic();
    let tail = scheme.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    let text = std::str::from_utf8(scheme).ok()?;
    (first && tail).then(|| (text.to_ascii_lowercase(), rest.get(3..).unwrap_or_default()))
}

fn percent_decode(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let digit = |at: usize| tail.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (digit(0), digit(1)) {
            (Some(high), Some(low)) if high * 16 + low != 0 => out.push((high * 16 + low) as u8),
            _ => return Err(EngineError::new(Kind::InvalidField, "a bad %-escape in a file URL")),
        }
        rest = tail.get(2..).unwrap_or_default();
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Location> {
        Location::parse(text.as_bytes(), Vec::new())
    }

    #[test]
    fn paths_stay_paths() {
        for text in ["a", "-a", "a:b", "C:\\x", "://x", "1://x", "a b://c"] {
            let location = parse(text).unwrap();
            assert_eq!(
                (location.scheme.as_str(), location.path.as_slice()),
                ("file", text.as_bytes())
            );
        }
    }

    #[test]
    fn urls_are_split_and_never_carry_passwords() {
        assert_eq!(parse("S3://b/k").unwrap().scheme, "s3");
        assert_eq!(parse("file:///a%20b").unwrap().path, b"/a b");
        assert!(parse("file://host/a").is_err());
        assert!(parse("file:///a%00").is_err());
        let error = parse("s3://user:hunter2@b/k").unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn names_and_children() {
        assert_eq!(parse("a/b/").unwrap().name(), b"b");
        assert_eq!(parse("/").unwrap().name(), b"");
        assert_eq!(parse("a/..").unwrap().name(), b"");
        assert_eq!(parse("a/").unwrap().child(b"x").path, b"a/x");
        assert_eq!(parse("https://h/k?sig=1").unwrap().shown(), b"https://h/k");
        assert_eq!(parse("https://h/a/k?b/c#d").unwrap().name(), b"k");
        assert_eq!(parse("s3://b/k?x#y").unwrap().shown(), b"s3://b/k?x#y");
        assert_eq!(parse("s3://b/k?x").unwrap().name(), b"k?x");
    }
}
