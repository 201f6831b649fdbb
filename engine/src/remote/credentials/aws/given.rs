//! Secrets that the location names.

use crate::error::{EngineError, Kind, Result};
use crate::remote::credentials::cached::Lent;
use crate::remote::credentials::means::Means;
use crate::remote::sign::sigv4::Keys;
use secrecy::ExposeSecret as _;

const ID: &str = "access_key_id";
const SECRET: &str = "secret_access_key";
const TOKEN: &str = "session_token";

/// Refuses one half of a key.
///
/// # Errors
/// `MissingField`, `InvalidField`.
pub(super) fn check(means: &Means) -> Result<()> {
    means.contradicts(&[ID, SECRET, TOKEN])?;
    let any = [ID, SECRET, TOKEN].into_iter().any(|name| means.gives(name));
    let missing = [ID, SECRET].into_iter().find(|name| !means.gives(name));
    match missing {
        Some(name) if any => {
            let why = format!("auth names a part of an access key without {name}");
            Err(EngineError::new(Kind::MissingField, why).field(format!("auth.{name}")))
        }
        _ => Ok(()),
    }
}

/// The key of the location.
///
/// # Errors
/// `SecretUnresolved`.
pub(super) fn find(means: &Means) -> Result<Option<Lent<Keys>>> {
    let (Some(id), Some(secret)) = (means.given(ID)?, means.given(SECRET)?) else {
        return Ok(None);
    };
    let (id, token) = (id.expose_secret().to_owned(), means.given(TOKEN)?);
    Ok(Some(Lent::fixed(Keys { id, secret, token })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::credentials::trial::Trial;

    #[test]
    fn half_a_key_is_refused_at_once() {
        for (name, missing) in [(ID, SECRET), (SECRET, ID), (TOKEN, ID)] {
            let mut trial = Trial::new();
            trial.give(name, "x");
            let error = trial.aws().map(|_| ()).unwrap_err();
            assert_eq!(error.kind(), Kind::MissingField);
            assert_eq!(error.parts().field.as_deref(), Some(format!("auth.{missing}").as_str()));
        }
    }
}
