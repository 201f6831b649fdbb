//! A location of a MySQL or MariaDB database:
//! `mysql://[user@]host[:port]/database`, with `user` and `password` by `auth`.
//!
//! # TLS
//! A server that is not on this machine is talked to by TLS with a certificate that is verified,
//! always; with `tls_insecure` any certificate will do, and where the server has no TLS, none. On a
//! loopback address nothing is encrypted unless `tls_ca` or `tls_insecure` is set.

use std::net::IpAddr;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretSlice};

use crate::error::{EngineError, Kind, Result};
use crate::model::location::Location;
use crate::model::secret::Secret;
use crate::platform::secret;
use crate::remote::settings::Settings;
use crate::remote::ties::Ties;

/// The port where nobody says.
const PORT: u16 = 3306;

/// How a database is reached.
#[derive(Debug)]
pub(super) struct Config {
    pub host: String,
    pub port: u16,
    pub database: String,
    pub user: String,
    pub password: Secret,
    pub settings: Settings,
}

impl Config {
    /// Reads a location and its secrets.
    ///
    /// # Errors
    /// `InvalidField` for a URL that names no database, or more than one; `CredentialsMissing`
    /// without a user; `SecretUnresolved`.
    pub(super) fn of(location: &Location, ties: &Ties) -> Result<Arc<Self>> {
        let text = std::str::from_utf8(&location.path)
            .map_err(|_| invalid("the URL of a database is no text"))?;
        let (rest, query) = text.split_once('?').unwrap_or((text, ""));
        if let Some(name) = query.split(['=', '&']).next().filter(|name| !name.is_empty()) {
            return Err(invalid(&format!("a mysql URL knows no parameter {name}")));
        }
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, authority),
        };
        let database = decoded(database)?;
        if database.is_empty() {
            return Err(invalid("the URL names no database: mysql://host:port/database"));
        }
        let (host, port) = host_port(address)?;
        let (user, password) = login(location, user, ties)?;
        let settings = Settings {
            tls_ca: location.store.tls_ca.clone(),
            tls_insecure: location.store.tls_insecure,
            waits: ties.waits,
            ..Settings::default()
        };
        Ok(Arc::new(Self { host, port, database, user, password, settings }))
    }

    /// Whether the server is on this machine.
    pub(super) fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }

    /// Whether TLS is begun where the server knows it.
    pub(super) fn wants_tls(&self) -> bool {
        !self.is_loopback() || self.settings.tls_ca.is_some() || self.settings.tls_insecure
    }

    /// Whether a server without TLS is refused.
    pub(super) fn needs_tls(&self) -> bool {
        self.wants_tls() && !self.settings.tls_insecure
    }
}

fn invalid(why: &str) -> EngineError {
    EngineError::new(Kind::InvalidField, why.to_owned())
}

fn host_port(address: &str) -> Result<(String, u16)> {
    let (host, port) = match address.strip_prefix('[') {
        Some(v6) => {
            let (host, rest) =
                v6.split_once(']').ok_or_else(|| invalid("the host is not closed by a bracket"))?;
            (host, rest.strip_prefix(':'))
        }
        None => match address.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(is_host) {
        return Err(invalid("the URL of a database names no host"));
    }
    let port = match port {
        None | Some("") => PORT,
        Some(port) => port.parse().map_err(|_| invalid("the port of a database is no port"))?,
    };
    Ok((host.to_ascii_lowercase(), port))
}

fn login(location: &Location, named: Option<&str>, ties: &Ties) -> Result<(String, Secret)> {
    let (mut user, mut password) = (None, SecretSlice::from(Vec::new()));
    for (name, source) in &location.auth {
        match name.as_str() {
            "user" => user = Some(secret::read(source, ties.allow_secret_command)?),
            "password" => password = secret::read(source, ties.allow_secret_command)?,
            _ => {
                let error = invalid("a mysql location takes user and password");
                return Err(error.field(format!("auth.{name}")));
            }
        }
    }
    let user = match (user, named) {
        (Some(_), Some(_)) => {
            return Err(invalid("the user is named twice").field("auth.user"));
        }
        (Some(user), None) => String::from_utf8(user.expose_secret().to_vec())
            .map_err(|_| invalid("the user is no text").field("auth.user"))?,
        (None, Some(named)) => decoded(named)?,
        (None, None) => String::new(),
    };
    if user.is_empty() || user.contains('\0') {
        let error = EngineError::new(Kind::CredentialsMissing, "the location names no user");
        return Err(error.hint("write mysql://user@host/database, or auth.user"));
    }
    Ok((user, password))
}

/// A part of a URL without its `%XX`.
fn decoded(text: &str) -> Result<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first != b'%' {
            out.push(*first);
            rest = tail;
            continue;
        }
        let digit = |at: usize| tail.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (digit(0), digit(1)) {
            (Some(high), Some(low)) if high * 16 + low != 0 => out.push((high * 16 + low) as u8),
            _ => return Err(invalid("a bad %-escape in the URL of a database")),
        }
        rest = tail.get(2..).unwrap_or_default();
    }
    String::from_utf8(out).map_err(|_| invalid("the URL of a database is no UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Result<Arc<Config>> {
        Config::of(&Location::parse(url.as_bytes(), Vec::new()).unwrap(), &Ties::default())
    }

    #[test]
    fn urls_name_user_host_port_and_database() {
        let config = of("mysql://a%40b@[::1]:33/d%2fb").unwrap();
        let found = (config.user.as_str(), config.host.as_str(), config.port);
        assert_eq!(found, ("a@b", "::1", 33));
        assert_eq!(config.database, "d/b");
        assert!(config.is_loopback() && !config.wants_tls());
        let far = of("mariadb://u@db.example/x").unwrap();
        assert!(far.port == PORT && far.needs_tls());
    }

    #[test]
    fn what_is_missing_or_unknown_is_refused_by_name() {
        let kind = |url: &str| of(url).unwrap_err().kind();
        assert_eq!(kind("mysql://127.0.0.1/x"), Kind::CredentialsMissing);
        assert_eq!(kind("mysql://u@127.0.0.1/"), Kind::InvalidField);
        assert_eq!(kind("mysql://u@127.0.0.1:99999/x"), Kind::InvalidField);
        let error = of("mysql://u@h/x?ssl=0").unwrap_err();
        assert!(error.to_string().contains("ssl"), "{error}");
    }
}
