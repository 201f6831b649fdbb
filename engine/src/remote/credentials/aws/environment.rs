//! A key in the environment.

use secrecy::ExposeSecret as _;

use crate::error::{EngineError, Kind, Result};
use crate::model::item::Timestamp;
use crate::remote::credentials::cached::Lent;
use crate::remote::credentials::looked::Looked;
use crate::remote::credentials::means::Means;
use crate::remote::credentials::value;
use crate::remote::sign::sigv4::Keys;

const ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
const TOKEN: &str = "AWS_SESSION_TOKEN";

/// The key of the environment.
///
/// # Errors
/// `CredentialsMissing` for one half of a key; `SecretUnresolved` for what is none.
pub(super) fn find(
    means: &Means,
    _now: Timestamp,
    looked: &mut Looked,
) -> Result<Option<Lent<Keys>>> {
    let read = |name: &str| match means.environment.secret(name)? {
        Some(text) => value::secret(name, text.expose_secret()).map(Some),
        None => Ok(None),
    };
    let half = |there: &str, missing: &str| {
        let why = format!("the environment has {there} without {missing}");
        Err(EngineError::new(Kind::CredentialsMissing, why))
    };
    match (read(ID)?, read(SECRET)?) {
        (Some(id), Some(secret)) => {
            let id = id.expose_secret().to_owned();
            Ok(Some(Lent::fixed(Keys { id, secret, token: read(TOKEN)? })))
        }
        (Some(_), None) => half(ID, SECRET),
        (None, Some(_)) => half(SECRET, ID),
        (None, None) => {
            looked.at(format!("environment {ID}, {SECRET}"));
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::credentials::trial::{Trial, canary};

    #[test]
    fn keys_are_whole_and_printable() {
        let mut trial = Trial::new();
        trial.set(ID, "A").set(SECRET, &canary()).set(TOKEN, "t0k");
        let request = trial.sign(&*trial.aws().unwrap().signer("r")).unwrap();
        assert_eq!(request.headers.get("x-amz-security-token"), Some("t0k"));
        trial.set(TOKEN, &format!("{}\r\nx: y", canary()));
        trial.refuses_aws(Kind::SecretUnresolved, "AWS_SESSION_TOKEN");
        trial.set(ID, "").set(TOKEN, "");
        trial.refuses_aws(Kind::CredentialsMissing, "without AWS_ACCESS_KEY_ID");
        trial.set(ID, "A").set(SECRET, "");
        trial.refuses_aws(Kind::CredentialsMissing, "without AWS_SECRET_ACCESS_KEY");
    }
}
