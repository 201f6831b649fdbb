//! Where a service listens.

use std::fmt;
use std::sync::Arc;

use crate::error::{EngineError, Kind, Result};

/// Scheme, host and port: what a connection and its credentials belong to. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Whether by TLS.
    pub tls: bool,
    /// Host name in lower case, or an address; of IPv6 without brackets.
    pub host: Arc<str>,
    /// Port.
    pub port: u16,
}

impl Origin {
    /// Reads `http://host:port` or `https://host`; what follows it, from the first slash on, is
    /// given back.
    ///
    /// # Errors
    /// `InvalidField` for another scheme, a user, a bad host or port.
    pub fn parse(url: &str) -> Result<(Self, &str)> {
        let invalid = |why: &str| EngineError::new(Kind::InvalidField, why.to_owned());
        let (tls, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(invalid("a service is named by http:// or https://")),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => match v6.split_once(']') {
                Some((host, port)) => (host, port.strip_prefix(':')),
                None => return Err(invalid("the host of a service is not closed by a bracket")),
            },
            None => match authority.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(is_host) {
            return Err(invalid("the host of a service is no host name"));
        }
        let port = match port {
            None | Some("") => {
                if tls {
                    443
                } else {
                    80
                }
            }
            Some(port) => port.parse().map_err(|_| invalid("the port of a service is no port"))?,
        };
        Ok((Self { tls, host: host.to_ascii_lowercase().into(), port }, path))
    }

    /// The value of the `Host` header: the port only where it is not the scheme's own.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.to_string(),
        };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// The same service under another host, as for a bucket that is part of the name.
    #[must_use]
    pub fn with_host(&self, host: &str) -> Self {
        Self { host: host.to_ascii_lowercase().into(), ..self.clone() }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_and_written() {
        for (url, shown, rest) in [
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000", ""),
            ("https://Example.org/a/b?c", "https://example.org", "/a/b?c"),
            ("http://[::1]:80/x", "http://[::1]", "/x"),
        ] {
            let (origin, path) = Origin::parse(url).unwrap();
            assert_eq!((origin.to_string().as_str(), path), (shown, rest));
        }
        for url in ["ftp://a", "http://", "http://a b", "http://u:p@h/", "http://h:99999", "h"] {
            assert!(Origin::parse(url).is_err(), "{url}");
        }
    }
}
