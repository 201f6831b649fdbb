//! A person's sign-on that gcloud keeps: a token that gives tokens.

use serde::Deserialize;

use crate::error::Result;
use crate::model::item::Timestamp;
use crate::remote::credentials::ask::Place;
use crate::remote::credentials::cached::Lent;
use crate::remote::credentials::means::Means;
use crate::remote::credentials::{answer, file};
use crate::remote::sign::bearer::Token;
use crate::remote::sign::reach::Reach;

const SERVICE: &str = "https://oauth2.googleapis.com/token";

#[derive(Deserialize)]
struct User {
    client_id: String,
    client_secret: String,
    refresh_token: String,
    token_uri: Option<String>,
}

/// A token by the refresh token.
///
/// # Errors
/// `SecretUnresolved` for what is no such file; those of the token service.
pub(super) fn token(
    means: &Means,
    text: &str,
    place: &str,
    reach: Reach,
    now: Timestamp,
) -> Result<Lent<Token>> {
    let user: User = file::json(text, place)?;
    let service = Place::token(user.token_uri.as_deref().unwrap_or(SERVICE), place)?;
    let pairs = [
        ("grant_type", "refresh_token"),
        ("client_id", user.client_id.as_str()),
        ("client_secret", user.client_secret.as_str()),
        ("refresh_token", user.refresh_token.as_str()),
    ];
    let body = means.asker.post(&service, &pairs, "failed to refresh the access token")?;
    answer::token(&body, now, reach)
}
