//! The JSON that Google's tools keep credentials in, by its type.

use serde::Deserialize;

use crate::error::{EngineError, Kind, Result};
use crate::model::item::Timestamp;
use crate::remote::credentials::cached::Lent;
use crate::remote::credentials::file;
use crate::remote::credentials::google::{external, service_account, user};
use crate::remote::credentials::means::Means;
use crate::remote::sign::bearer::Token;
use crate::remote::sign::reach::Reach;

/// What tokens are asked for: objects, their metadata and access lists.
pub(super) const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.full_control";
/// The only one of Google's clouds that is built.
const UNIVERSE: &str = "googleapis.com";

/// What tells the forms apart.
#[derive(Deserialize)]
struct Form {
    #[serde(rename = "type")]
    kind: String,
    universe_domain: Option<String>,
}

/// A token by the credentials in `text`, which stand at `place`.
///
/// # Errors
/// `SecretUnresolved` for what is no such file; `Unsupported` naming a type that is not built;
/// those of the token service.
pub(super) fn token(
    means: &Means,
    text: &str,
    place: &str,
    reach: Reach,
    now: Timestamp,
) -> Result<Lent<Token>> {
    let form: Form = file::json(text, place)?;
    if form.universe_domain.is_some_and(|domain| domain != UNIVERSE) {
        return Err(unsupported(place, "a cloud that is not googleapis.com"));
    }
    match form.kind.as_str() {
        "service_account" => service_account::token(means, text, place, reach, now),
        "authorized_user" => user::token(means, text, place, reach, now),
        "external_account" => external::token(means, text, place, reach, now),
        "impersonated_service_account" => Err(unsupported(place, "impersonation")),
        "external_account_authorized_user" => Err(unsupported(place, "a workforce sign-on")),
        _ => Err(unsupported(place, "a type that is not known")),
    }
}

/// What is refused by name.
pub(super) fn unsupported(place: &str, what: &str) -> EngineError {
    let why = format!("the credentials in {place} want {what}, which is not built");
    let hint = "use a service account's key, or auth.access_token";
    EngineError::new(Kind::Unsupported, why).hint(hint)
}
