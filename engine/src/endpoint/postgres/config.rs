//! A location of a database: `postgres://[user@]host[:port]/database[?schema=NAME]`.
//!
//! A host other than this machine is reached by TLS alone, its certificate verified; with
//! `tls_insecure` any certificate is trusted, and a server without TLS too. On this machine TLS is
//! used where `tls_ca` is given. The user may stand in the URL or in `auth.user`, the password in
//! `auth.password` alone.

use std::net::IpAddr;

use secrecy::ExposeSecret as _;

use crate::error::{EngineError, Kind, Result};
use crate::model::location::Location;
use crate::model::secret::Secret;
use crate::platform::secret;
use crate::remote::settings::{Settings, Waits};
use crate::remote::ties::Ties;

/// The port of PostgreSQL.
const PORT: u16 = 5432;

/// How a database is reached.
#[derive(Debug)]
pub(super) struct Config {
    /// The host's name, or its address without brackets.
    pub(super) host: String,
    /// Its port.
    pub(super) port: u16,
    /// Who asks.
    pub(super) user: String,
    /// The proof of it.
    pub(super) password: Option<Secret>,
    /// The database.
    pub(super) database: String,
    /// The schema of names that say none.
    pub(super) schema: String,
    /// Trust and time-outs.
    pub(super) settings: Settings,
    /// The job.
    pub(super) ties: Ties,
}

impl Config {
    /// Reads a location.
    ///
    /// # Errors
    /// `InvalidField` for a URL that is none, `CredentialsMissing` without a user,
    /// `SecretUnresolved`.
    pub(super) fn new(location: &Location, ties: &Ties) -> Result<Self> {
        let path = std::str::from_utf8(&location.path).map_err(|_| invalid("is no text"))?;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let (authority, database) =
            path.split_once('/').ok_or_else(|| invalid("names no database"))?;
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (Some(decoded(user)?), address),
            None => (None, authority),
        };
        let (host, port) = split_address(address)?;
        let database = decoded(database)?;
        if database.is_empty() || database.contains('/') {
            return Err(invalid("names no database"));
        }
        let (auth_user, password) = secrets(location, ties)?;
        let Some(user) = auth_user.or(user).filter(|user| !user.is_empty()) else {
            let error =
                EngineError::new(Kind::CredentialsMissing, "the database's URL names no user");
            return Err(error.hint("postgres://user@host/database, or auth.user"));
        };
        let settings = Settings {
            tls_ca: location.store.tls_ca.clone(),
            tls_insecure: location.store.tls_insecure,
            imds: false,
            waits: Waits { ..ties.waits },
            tries: ties.tries,
        };
        let schema = schema(query)?;
        Ok(Self { host, port, user, password, database, schema, settings, ties: ties.clone() })
    }

    /// Whether the server is on this machine.
    pub(super) fn is_here(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// Whether TLS is asked for.
    pub(super) fn asks_tls(&self) -> bool {
        !self.is_here() || self.settings.tls_ca.is_some()
    }

    /// Whether a server without TLS is refused.
    pub(super) fn needs_tls(&self) -> bool {
        self.asks_tls() && !self.settings.tls_insecure
    }
}

fn invalid(why: &str) -> EngineError {
    EngineError::new(Kind::InvalidField, format!("the database's URL {why}"))
        .hint("postgres://user@host:5432/database?schema=public")
}

fn secrets(location: &Location, ties: &Ties) -> Result<(Option<String>, Option<Secret>)> {
    let (mut user, mut password) = (None, None);
    for (name, source) in &location.auth {
        let refused = |why: &str| {
            EngineError::new(Kind::InvalidField, why.to_owned()).field(format!("auth.{name}"))
        };
        let value = secret::read(source, ties.allow_secret_command)?;
        match name.as_str() {
            "user" => {
                let text = std::str::from_utf8(value.expose_secret());
                user = Some(text.map_err(|_| refused("the user is no text"))?.to_owned());
            }
            "password" if value.expose_secret().contains(&0) => {
                return Err(refused("the password holds a NUL"));
            }
            "password" => password = Some(value),
            _ => return Err(refused("a database takes user and password")),
        }
    }
    Ok((user, password))
}

fn schema(query: &str) -> Result<String> {
    let mut schema = "public".to_owned();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("schema", value)) if !value.is_empty() => schema = decoded(value)?,
            Some((name, _)) => return Err(invalid(&format!("has a parameter {name}"))),
            None => return Err(invalid(&format!("has a parameter {pair}"))),
        }
    }
    Ok(schema)
}

fn split_address(address: &str) -> Result<(String, u16)> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(|| invalid("has a bad host"))?;
            (host, port.strip_prefix(':').unwrap_or(port))
        }
        None => address.split_once(':').unwrap_or((address, "")),
    };
    let bad = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%'));
    if host.is_empty() || host.chars().any(bad) {
        return Err(invalid("has a bad host"));
    }
    let port = match port {
        "" => PORT,
        text => text.parse().map_err(|_| invalid("has a bad port"))?,
    };
    Ok((host.to_ascii_lowercase(), port))
}

fn decoded(text: &str) -> Result<String> {
    let bad = || invalid("has a bad %-escape");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, tail) = tail.split_at_checked(2).ok_or_else(bad)?;
        let digits = std::str::from_utf8(digits).map_err(|_| bad())?;
        match u8::from_str_radix(digits, 16) {
            Ok(byte) if byte != 0 && !digits.starts_with('+') => bytes.push(byte),
            _ => return Err(bad()),
        }
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Config> {
        Config::new(&Location::parse(url.as_bytes(), Vec::new())?, &Ties::default())
    }

    #[test]
    fn urls_are_read_whole_or_refused() {
        let config = read("postgres://me%40x@db.example.org/shop%2D1?schema=sales").unwrap();
        assert_eq!((config.user.as_str(), config.port), ("me@x", 5432));
        assert_eq!((config.database.as_str(), config.schema.as_str()), ("shop-1", "sales"));
        assert!(config.needs_tls() && !config.is_here());
        let here = read("postgresql://me@[::1]:6/db").unwrap();
        assert_eq!((here.host.as_str(), here.port), ("::1", 6));
        assert!(here.is_here() && !here.asks_tls());
        for url in [
            "postgres://me@h",
            "postgres://me@h/",
            "postgres://me@h/a/b",
            "postgres://me@/db",
            "postgres://me@h:x/db",
            "postgres://me@h/db?sslmode=disable",
            "postgres://me@h/db?schema=",
            "postgres://me@h/d%zz",
            "postgres://me@h/d%00",
            "postgres://me@h x/db",
        ] {
            assert_eq!(read(url).unwrap_err().kind(), Kind::InvalidField, "{url}");
        }
        assert_eq!(read("postgres://h/db").unwrap_err().kind(), Kind::CredentialsMissing);
    }
}
