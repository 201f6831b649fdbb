//! An application of Entra ID: proves itself by its secret, or by a token that its platform mounts
//! (workload identity).

use secrecy::{ExposeSecret as _, SecretString};

use crate::error::{EngineError, Kind, Result};
use crate::model::item::Timestamp;
use crate::remote::credentials::ask::Place;
use crate::remote::credentials::cached::Lent;
use crate::remote::credentials::looked::Looked;
use crate::remote::credentials::means::Means;
use crate::remote::credentials::{answer, file, value};
use crate::remote::sign::bearer::Token;
use crate::remote::sign::reach::Reach;

const TENANT: &str = "AZURE_TENANT_ID";
const CLIENT: &str = "AZURE_CLIENT_ID";
const SECRET: &str = "AZURE_CLIENT_SECRET";
const FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";
const AUTHORITY: &str = "AZURE_AUTHORITY_HOST";
const SCOPE: &str = "https://storage.azure.com/.default";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const DOING: &str = "failed to get a token for the application";

/// A token by the secret that the location names; tenant and application are the environment's.
///
/// # Errors
/// `CredentialsMissing` where those are absent; those of the token service.
pub(super) fn with_secret(
    means: &Means,
    secret: &SecretString,
    reach: Reach,
    now: Timestamp,
) -> Result<Lent<Token>> {
    let [tenant, client] = [needed(means, TENANT)?, needed(means, CLIENT)?];
    let own = [("client_secret", secret.expose_secret())];
    ask(means, [&tenant, &client], &own, reach, now)
}

/// A token by the environment's secret or token file.
///
/// # Errors
/// `CredentialsMissing` for a part of them; those of the token service.
pub(super) fn find(
    means: &Means,
    reach: Reach,
    now: Timestamp,
    looked: &mut Looked,
) -> Result<Option<Lent<Token>>> {
    if let Some(secret) = means.environment.secret(SECRET)? {
        let secret = value::secret(SECRET, secret.expose_secret())?;
        return with_secret(means, &secret, reach, now).map(Some);
    }
    if let Some(path) = means.environment.bytes(FILE) {
        let [tenant, client] = [needed(means, TENANT)?, needed(means, CLIENT)?];
        let token = file::needed(&path)?;
        let own = [("client_assertion_type", ASSERTION), ("client_assertion", token.as_str())];
        return ask(means, [&tenant, &client], &own, reach, now).map(Some);
    }
    looked.at(format!("environment {SECRET}, {FILE}"));
    Ok(None)
}

fn needed(means: &Means, name: &str) -> Result<String> {
    match means.environment.text(name)? {
        Some(text) => value::name(name, &text),
        None => {
            let why =
                format!("the environment has no {name} for the application's secret or token");
            Err(EngineError::new(Kind::CredentialsMissing, why))
        }
    }
}

fn ask(
    means: &Means,
    [tenant, client]: [&str; 2],
    own: &[(&str, &str)],
    reach: Reach,
    now: Timestamp,
) -> Result<Lent<Token>> {
    let authority = means.environment.text(AUTHORITY)?;
    let authority = authority.as_deref().unwrap_or("https://login.microsoftonline.com");
    let place = Place::token(authority, AUTHORITY)?.at(&format!("/{tenant}/oauth2/v2.0/token"));
    let mut pairs =
        vec![("grant_type", "client_credentials"), ("client_id", client), ("scope", SCOPE)];
    pairs.extend_from_slice(own);
    let body = means.asker.post(&place, &pairs, DOING)?;
    answer::token(&body, now, reach)
}
