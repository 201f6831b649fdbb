//! Who asks: a user with a password, or the bearer of a token. Nobody but the location's own server
//! is told.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroizing};

use crate::error::{EngineError, Kind, Result};
use crate::model::item::Timestamp;
use crate::model::location::Location;
use crate::platform::secret;
use crate::remote::call::Request;
use crate::remote::dialect::{Anonymous, Signer};
use crate::remote::origin::Origin;
use crate::remote::sign::reach::Reach;
use crate::remote::ties::Ties;

/// Adds one field to requests to one server.
struct Login {
    origin: Origin,
    field: SecretString,
}

impl Signer for Login {
    fn sign(&self, request: &mut Request<'_>, _now: Timestamp) -> Result<()> {
        if request.origin == self.origin {
            request.headers.set("authorization", self.field.expose_secret());
        }
        Ok(())
    }
}

/// The signer that a location's `auth` asks for.
///
/// # Errors
/// `InvalidField` for names that are not known, a user without password, a secret that would go in
/// the clear to another machine; `SecretUnresolved`.
pub(super) fn signer(location: &Location, origin: &Origin, ties: &Ties) -> Result<Arc<dyn Signer>> {
    let invalid = |why: &str, name: &str| {
        Err(EngineError::new(Kind::InvalidField, why.to_owned()).field(format!("auth.{name}")))
    };
    let (mut user, mut password, mut bearer) = (None, None, None);
    for (name, source) in &location.auth {
        let value = match name.as_str() {
            "user" => &mut user,
            "password" => &mut password,
            "bearer" => &mut bearer,
            _ => return invalid("a web server takes user and password, or bearer", name),
        };
        *value = Some(secret::read(source, ties.allow_secret_command)?);
    }
    let field = match (user, password, bearer) {
        (None, None, None) => return Ok(Arc::new(Anonymous)),
        (Some(user), Some(password), None) => {
            let pair = [user.expose_secret(), b":", password.expose_secret()].concat();
            format!("Basic {}", BASE64.encode(Zeroizing::new(pair).as_slice()))
        }
        (None, None, Some(token)) => match std::str::from_utf8(token.expose_secret()) {
            Ok(token) => format!("Bearer {token}"),
            Err(_) => return invalid("the token is no text", "bearer"),
        },
        (.., Some(_)) => return invalid("a token goes with no user", "bearer"),
        _ => return invalid("a user and a password go together", "user"),
    };
    Reach::Any.check("the login", origin)?;
    Ok(Arc::new(Login { origin: origin.clone(), field: SecretString::from(field) }))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::model::secret::SecretSource;
    use crate::remote::call::Verb;

    fn field(url: &str, auth: &[(&str, &str)], asked: &str) -> Result<Option<String>> {
        let files: Vec<_> = auth
            .iter()
            .map(|(name, value)| {
                let mut file = tempfile::NamedTempFile::new().unwrap();
                file.write_all(value.as_bytes()).unwrap();
                (*name, file)
            })
            .collect();
        let source = |(name, file): &(&str, tempfile::NamedTempFile)| {
            let path = file.path().as_os_str().as_encoded_bytes().to_vec();
            ((*name).to_owned(), SecretSource::File(path))
        };
        let location = Location::parse(url.as_bytes(), files.iter().map(source).collect())?;
        let (origin, _) = Origin::parse(url)?;
        let signer = signer(&location, &origin, &Ties::default())?;
        let (asked, _) = Origin::parse(asked)?;
        let mut request = Request::new(Verb::Read, "GET", &asked, "/".to_owned());
        signer.sign(&mut request, Timestamp::default())?;
        Ok(request.headers.get("authorization").map(str::to_owned))
    }

    #[test]
    fn only_the_own_server_is_told_who_asks() {
        let url = "https://example.org/a";
        let both = [("user", "Aladdin"), ("password", "open sesame")];
        let basic = Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_owned());
        assert_eq!(field(url, &both, url).unwrap(), basic);
        assert_eq!(field(url, &[("bearer", "t0k\n")], url).unwrap(), Some("Bearer t0k".into()));
        assert_eq!(field(url, &[], url).unwrap(), None);
        for other in ["https://example.com/", "https://example.org:8443/", "http://example.org/"] {
            assert_eq!(field(url, &both, other).unwrap(), None, "{other}");
        }
    }

    #[test]
    fn half_a_login_is_none_and_none_goes_in_the_clear() {
        let https = "https://example.org/a";
        let bearer = ("bearer", "t");
        for (url, auth) in [
            (https, &[("user", "a")][..]),
            (https, &[("password", "a")]),
            (https, &[("user", "a"), ("password", "b"), bearer]),
            (https, &[("token", "t")]),
            ("http://example.org/a", &[bearer]),
        ] {
            assert_eq!(field(url, auth, url).unwrap_err().kind(), Kind::InvalidField, "{auth:?}");
        }
        let here = "http://127.0.0.1:80/a";
        assert!(field(here, &[bearer], here).unwrap().is_some());
    }
}
