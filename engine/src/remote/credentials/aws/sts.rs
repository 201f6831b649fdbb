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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::credentials::trial::{NOW, Service, Trial, canary};

    fn answer(action: &str, id: &str, end: &str) -> String {
        format!(
            "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <{action}Result><AssumedRoleUser><Arn>a</Arn></AssumedRoleUser><Credentials>\
             <AccessKeyId>{id}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
             <SessionToken>t0k</SessionToken><Expiration>{end}</Expiration></Credentials>\
             </{action}Result><ResponseMetadata/></{action}Response>"
        )
    }

    const END: &str = "2026-01-01T01:00:00Z";

    #[test]
    fn roles_are_taken_on_by_a_profile_with_a_signature_and_renewed_before_their_end() {
        let first = answer("AssumeRole", "FIRST", END);
        let second = answer("AssumeRole", "SECOND", "2026-01-01T02:00:00Z");
        let service = Service::new(vec![(200, first), (200, second)]);
        let mut trial = Trial::new();
        trial.set("AWS_ENDPOINT_URL_STS", &service.url);
        let secret = canary();
        trial.home(
            ".aws/config",
            &format!(
                "[default]\nrole_arn=arn:aws:iam::1:role/a\nsource_profile=b\nexternal_id=e/x\n\
                 region=eu-west-1\nduration_seconds=900\nrole_session_name=n\n\
                 [profile b]\naws_access_key_id=BASE\naws_secret_access_key={secret}\n"
            ),
        );
        let signer = trial.aws().unwrap().signer("eu-west-1");
        let request = trial.sign(&*signer).unwrap();
        assert_eq!(request.headers.get("x-amz-security-token"), Some("t0k"));
        let asked = service.asked();
        assert_eq!(asked.len(), 1);
        for part in [
            "POST / HTTP/1.1",
            "Credential=BASE/",
            "/eu-west-1/sts/aws4_request",
            "Action=AssumeRole&",
            "Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fa&RoleSessionName=n&",
            "ExternalId=e%2Fx&DurationSeconds=900",
        ] {
            let ordered = asked[0].replace("Action=AssumeRole&", "");
            assert!(asked[0].contains(part) || ordered.contains(part), "{part}: {}", asked[0]);
        }
        assert!(!asked[0].contains(&secret));
        let id = |now: Timestamp| {
            let request = trial.sign_at(&*signer, now).unwrap();
            let proof = request.headers.get("authorization").unwrap().to_owned();
            proof.split_once("Credential=").unwrap().1.split('/').next().unwrap().to_owned()
        };
        assert_eq!(id(Timestamp(NOW.0 + 3_299_000_000_000)), "FIRST");
        assert_eq!(id(Timestamp(NOW.0 + 3_300_000_000_000)), "SECOND");
        assert_eq!(service.asked().len(), 2);
    }

    #[test]
    fn web_identity_sends_the_token_of_the_file_without_a_signature() {
        let body = answer("AssumeRoleWithWebIdentity", "WEB", END);
        let service = Service::new(vec![(200, body)]);
        let mut trial = Trial::new();
        let path = trial.home("token", "the.token\n");
        trial.set("AWS_WEB_IDENTITY_TOKEN_FILE", &path);
        trial.refuses_aws(Kind::CredentialsMissing, "without AWS_ROLE_ARN");
        trial.set("AWS_ROLE_ARN", "arn:r").set("AWS_ENDPOINT_URL_STS", &service.url);
        assert_eq!(trial.aws_key(), "WEB");
        let asked = service.asked().remove(0);
        assert!(asked.contains("WebIdentityToken=the.token"), "{asked}");
        assert!(!asked.to_ascii_lowercase().contains("authorization:"), "{asked}");
        trial.set("AWS_ENDPOINT_URL_STS", "http://sts.example");
        trial.refuses_aws(Kind::InvalidField, "AWS_ENDPOINT_URL_STS");
        trial.set("AWS_WEB_IDENTITY_TOKEN_FILE", "/no/such");
        trial.refuses_aws(Kind::SecretUnresolved, "/no/such");
    }

    #[test]
    fn refusals_and_bad_answers_tell_nothing_of_what_was_sent() {
        let secret = canary();
        let refusal =
            format!("<Error><Code>AccessDenied</Code><Message>{secret}</Message></Error>");
        for (status, body, kind, word) in [
            (403, refusal, Kind::CredentialsRefused, "AccessDenied"),
            (403, secret.clone(), Kind::CredentialsRefused, "HTTP 403"),
            (404, secret.clone(), Kind::CredentialsRefused, "HTTP 404"),
            (200, secret.clone(), Kind::RemoteAnswer, "no credentials"),
            (200, answer("AssumeRoleWithWebIdentity", "a b", END), Kind::RemoteAnswer, "no cred"),
            (200, answer("AssumeRoleWithWebIdentity", &secret, "x"), Kind::RemoteAnswer, "no cred"),
            (
                200,
                answer("AssumeRoleWithWebIdentity", "A", "2020-01-01T00:00:00Z"),
                Kind::CredentialsExpired,
                "no longer valid",
            ),
        ] {
            let service = Service::new(vec![(status, body)]);
            let mut trial = Trial::new();
            let path = trial.home("token", &secret);
            trial.set("AWS_WEB_IDENTITY_TOKEN_FILE", &path).set("AWS_ROLE_ARN", "arn:r");
            trial.set("AWS_ENDPOINT_URL_STS", &service.url);
            trial.refuses_aws(kind, word);
        }
    }
}
