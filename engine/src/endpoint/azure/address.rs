//! Where a container is: its account's host, or its account's path on a host.

use std::net::IpAddr;

use crate::endpoint::store;
use crate::error::{EngineError, Kind, Result};
use crate::remote::encode;
use crate::remote::origin::Origin;

/// Hosts of the public cloud, behind the account's name and a dot.
const HOST: &str = "blob.core.windows.net";

/// An account's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Who listens.
    pub origin: Origin,
    /// The path of the account, without slash at its end: empty, or `/ACCOUNT`.
    pub account_path: String,
    /// The account's name.
    pub account: String,
}

/// Container and key of what follows `az://`.
///
/// # Errors
/// `InvalidField` for a container that cannot be one, `NameRefused` for a key that is not UTF-8.
pub fn split(path: &[u8]) -> Result<(&str, &str)> {
    let end = path.iter().position(|byte| *byte == b'/').unwrap_or(path.len());
    let (container, key) = path.split_at(end);
    let container = std::str::from_utf8(container).unwrap_or_default();
    let plain = container.trim_start_matches('$');
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if plain.is_empty() || container.len() > 63 || !plain.chars().all(is_letter) {
        let why = "the container's name is not of lower-case letters, digits and hyphens";
        return Err(EngineError::new(Kind::InvalidField, why)
            .hint("a location in Azure is az://CONTAINER/KEY; the account is an option"));
    }
    let key = std::str::from_utf8(key).map_err(|_| {
        EngineError::new(Kind::NameRefused, "a key of Azure is UTF-8").at(path.to_vec())
    })?;
    let key = key.strip_prefix('/').unwrap_or(key);
    Ok((container, store::named(key)?))
}

impl Address {
    /// From an account and an endpoint, either of which may tell the other.
    ///
    /// # Errors
    /// `InvalidField` when the account is not known, or the endpoint is none.
    pub fn new(account: Option<&str>, endpoint: Option<&str>) -> Result<Self> {
        let Some(endpoint) = endpoint else {
            let account = checked(account.ok_or_else(unknown)?)?;
            let (origin, _) = Origin::parse(&format!("https://{account}.{HOST}"))?;
            return Ok(Self { origin, account_path: String::new(), account: account.to_owned() });
        };
        let (origin, path) =
            Origin::parse(endpoint.trim_end_matches('/')).map_err(|e| e.field("endpoint"))?;
        let path = path.trim_matches('/');
        if path.contains(['/', '?', '#']) {
            let why = "an endpoint of Azure has no path but that of its account";
            return Err(EngineError::new(Kind::InvalidField, why).field("endpoint"));
        }
        let by_address = origin.host.parse::<IpAddr>().is_ok() || &*origin.host == "localhost";
        let first = origin.host.split('.').next().unwrap_or_default();
        let (account, in_path) = match (account, path) {
            (given, "") if by_address => (given.ok_or_else(unknown)?.to_owned(), true),
            (given, "") => (given.unwrap_or(first).to_owned(), false),
            (given, path) => (given.unwrap_or(path).to_owned(), true),
        };
        let named = if path.is_empty() { &account } else { path };
        let account_path = format!("/{}", encode::component(checked(named)?.as_bytes()));
        let account_path = if in_path { account_path } else { String::new() };
        Ok(Self { origin, account_path, account })
    }

    /// The path of a container.
    pub fn path(&self, container: &str) -> String {
        format!("{}/{}", self.account_path, encode::component(container.as_bytes()))
    }
}

fn unknown() -> EngineError {
    EngineError::new(Kind::InvalidField, "the storage account is not known")
        .field("account")
        .hint("give account in the location, or set AZURE_STORAGE_ACCOUNT")
}

fn checked(account: &str) -> Result<&str> {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !account.is_empty() && account.len() <= 63 && account.bytes().all(is_letter) {
        return Ok(account);
    }
    let why = "the storage account's name is not of letters, digits and hyphens";
    Err(EngineError::new(Kind::InvalidField, why).field("account"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_stand_in_the_host_or_in_the_path() {
        for (account, endpoint, url, named) in [
            (Some("acc"), None, "https://acc.blob.core.windows.net/c", "acc"),
            (None, Some("http://127.0.0.1:1/dev/"), "http://127.0.0.1:1/dev/c", "dev"),
            (Some("dev"), Some("http://127.0.0.1:1"), "http://127.0.0.1:1/dev/c", "dev"),
            (Some("dev"), Some("http://localhost:1/"), "http://localhost:1/dev/c", "dev"),
            (None, Some("https://acc.blob.core.example"), "https://acc.blob.core.example/c", "acc"),
            (Some("a"), Some("https://files.example.org"), "https://files.example.org/c", "a"),
        ] {
            let address = Address::new(account, endpoint).unwrap();
            assert_eq!(format!("{}{}", address.origin, address.path("c")), url);
            assert_eq!(address.account, named);
        }
        for (account, endpoint) in [
            (None, None),
            (None, Some("http://127.0.0.1:1")),
            (Some("a.evil"), None),
            (Some("a/b"), None),
            (Some("a"), Some("https://h/x/y")),
            (Some("a"), Some("https://h/x?y")),
        ] {
            assert!(Address::new(account, endpoint).is_err(), "{account:?} {endpoint:?}");
        }
    }

    #[test]
    fn locations_are_split_and_keys_taken_as_they_are() {
        assert_eq!(split(b"con-1").unwrap(), ("con-1", ""));
        assert_eq!(split(b"c/").unwrap(), ("c", ""));
        assert_eq!(split(b"$web/a%20b//c/").unwrap(), ("$web", "a%20b//c"));
        for path in [&b""[..], b"/a", b"C/a", b"a_b/c", b"c/\xff", b"../c"] {
            assert!(split(path).is_err(), "{path:?}");
        }
    }
}
