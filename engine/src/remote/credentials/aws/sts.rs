//! Roles, by the AWS token service (`AssumeRole`, `AssumeRoleWithWebIdentity`).

use std::sync::Arc;

use secrecy::SecretString;
use serde::Deserialize;

use crate::error::{EngineError, Kind, Result};
use crate::model::item::Timestamp;
use crate::remote::call::Request;
use crate::remote::credentials::answer::{garbled, time};
use crate::remote::credentials::ask::{Place, form};
use crate::remote::credentials::aws::facts;
use crate::remote::credentials::cached::Lent;
use crate::remote::credentials::means::Means;
use crate::remote::credentials::{file, value};
use crate::remote::dialect::{Anonymous, Signer};
use crate::remote::sign::sigv4::{Keys, SigV4};
use crate::remote::sign::source::Fixed;

/// Whose signature the global service takes.
const GLOBAL_REGION: &str = "us-east-1";
const WHO: &str = "the AWS token service";

/// A role and how it is taken on.
pub(super) struct Role<'a> {
    pub(super) arn: &'a str,
    pub(super) session: Option<&'a str>,
    pub(super) external_id: Option<&'a str>,
    pub(super) seconds: Option<&'a str>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "AssumeRoleResult", alias = "AssumeRoleWithWebIdentityResult")]
    result: Outcome,
}

#[derive(Deserialize)]
struct Outcome {
    #[serde(rename = "Credentials")]
    credentials: Credentials,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Credentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: String,
}

/// Takes on a role with a key.
///
/// # Errors
/// `CredentialsRefused` and those of the transport.
pub(super) fn with_keys(
    means: &Means,
    role: &Role<'_>,
    keys: Keys,
    now: Timestamp,
) -> Result<Lent<Keys>> {
    let region = facts::region(means)?;
    let region = region.as_deref().unwrap_or(GLOBAL_REGION);
    let signer = Arc::new(SigV4::new(Fixed::new(keys), "sts", region));
    ask(means, role, &[("Action", "AssumeRole")], signer, now)
}

/// Takes on a role with the token of a file, which is read anew each time.
///
/// # Errors
/// As [`with_keys`]; `SecretUnresolved` for the file.
pub(super) fn with_web_identity(
    means: &Means,
    role: &Role<'_>,
    path: &[u8],
    now: Timestamp,
) -> Result<Lent<Keys>> {
    let token = file::needed(path)?;
    let own = [("Action", "AssumeRoleWithWebIdentity"), ("WebIdentityToken", token.as_str())];
    ask(means, role, &own, Arc::new(Anonymous), now)
}

fn ask(
    means: &Means,
    role: &Role<'_>,
    own: &[(&str, &str)],
    signer: Arc<dyn Signer>,
    now: Timestamp,
) -> Result<Lent<Keys>> {
    let session = format!("migration-engine-{}", now.seconds());
    let mut pairs = vec![
        ("Version", "2011-06-15"),
        ("RoleArn", role.arn),
        ("RoleSessionName", role.session.unwrap_or(&session)),
    ];
    pairs.extend_from_slice(own);
    pairs.extend(role.external_id.map(|id| ("ExternalId", id)));
    pairs.extend(role.seconds.map(|seconds| ("DurationSeconds", seconds)));
    let body = form(&pairs);
    let request: Request<'_> = place(means)?
        .request("POST")
        .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
        .body(body.as_bytes());
    let doing = format!("failed to take on the role {}", role.arn);
    read(&means.asker.signed(&request, signer, &doing)?)
}

fn place(means: &Means) -> Result<Place> {
    if let Some(url) = facts::endpoint(means, "STS")? {
        return Place::token(&url, "AWS_ENDPOINT_URL_STS");
    }
    let url = match facts::region(means)? {
        Some(region) if region.starts_with("cn-") => {
            format!("https://sts.{region}.amazonaws.com.cn")
        }
        Some(region) => format!("https://sts.{region}.amazonaws.com"),
        None => "https://sts.amazonaws.com".to_owned(),
    };
    Place::token(&url, "the region")
}

fn read(body: &str) -> Result<Lent<Keys>> {
    let answer: Answer = quick_xml::de::from_str(body).map_err(|_| garbled(WHO))?;
    keys(answer.result.credentials).ok_or_else(|| garbled(WHO))
}

fn keys(found: Credentials) -> Option<Lent<Keys>> {
    let secret = |text: &str| -> Option<SecretString> { value::secret(WHO, text).ok() };
    let keys = Keys {
        id: value::word(WHO, &found.access_key_id).ok()?,
        secret: secret(&found.secret_access_key)?,
        token: Some(secret(&found.session_token)?),
    };
    Some(Lent::until(keys, Some(time(&found.expiration)?)))
}

/// A role's name, so that a typo is not sent about.
///
/// # Errors
/// `InvalidField` naming the variable.
pub(super) fn role_arn(text: &str, named: &str) -> Result<String> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(EngineError::new(Kind::InvalidField, format!("{named} is no name of a role")))
}
