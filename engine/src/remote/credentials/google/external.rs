//! Workload identity federation: a token of somebody else's, in a file, is changed for one of
//! Google's (RFC 8693).

use serde::Deserialize;

use secrecy::zeroize::Zeroizing;

use crate::error::{EngineError, Kind, Result};
use crate::model::item::Timestamp;
use crate::remote::credentials::ask::Place;
use crate::remote::credentials::cached::Lent;
use crate::remote::credentials::google::key_file::{SCOPE, unsupported};
use crate::remote::credentials::means::Means;
use crate::remote::credentials::{answer, file};
use crate::remote::sign::bearer::Token;
use crate::remote::sign::reach::Reach;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const WANTED: &str = "urn:ietf:params:oauth:token-type:access_token";

#[derive(Deserialize)]
struct External {
    audience: String,
    subject_token_type: String,
    token_url: String,
    service_account_impersonation_url: Option<String>,
    credential_source: Source,
}

#[derive(Deserialize)]
struct Source {
    file: Option<String>,
    format: Option<Format>,
}

#[derive(Deserialize)]
struct Format {
    #[serde(rename = "type")]
    kind: Option<String>,
    subject_token_field_name: Option<String>,
}

/// A token for the one in the file, which is read anew each time.
///
/// # Errors
/// `Unsupported` for another source, and for impersonation; `SecretUnresolved` for the file; those
/// of the token service.
pub(super) fn token(
    means: &Means,
    text: &str,
    place: &str,
    reach: Reach,
    now: Timestamp,
) -> Result<Lent<Token>> {
    let external: External = file::json(text, place)?;
    if external.service_account_impersonation_url.is_some() {
        return Err(unsupported(place, "impersonation"));
    }
    let Some(path) = &external.credential_source.file else {
        return Err(unsupported(place, "a token that is not in a file"));
    };
    let service = Place::token(&external.token_url, place)?;
    let subject = subject(path, external.credential_source.format.as_ref())?;
    let pairs = [
        ("grant_type", GRANT),
        ("audience", external.audience.as_str()),
        ("scope", SCOPE),
        ("requested_token_type", WANTED),
        ("subject_token", subject.as_str()),
        ("subject_token_type", external.subject_token_type.as_str()),
    ];
    let body = means.asker.post(&service, &pairs, "failed to exchange the token")?;
    answer::token(&body, now, reach)
}

fn subject(path: &str, format: Option<&Format>) -> Result<Zeroizing<String>> {
    let text = file::needed(path.as_bytes())?;
    let Some(format) = format.filter(|format| format.kind.as_deref() == Some("json")) else {
        return Ok(text);
    };
    let fields: serde_json::Map<String, serde_json::Value> = file::json(&text, path)?;
    let name = format.subject_token_field_name.as_deref().unwrap_or_default();
    let field = fields.get(name).and_then(serde_json::Value::as_str);
    field.map(|token| Zeroizing::new(token.to_owned())).ok_or_else(|| {
        let why = format!("the file {path} has no token in the field that is named for it");
        EngineError::new(Kind::SecretUnresolved, why)
    })
}
