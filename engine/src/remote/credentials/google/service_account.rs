//! A service account's key: proves itself by a signed assertion (RFC 7523).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Serialize};

use crate::error::{EngineError, Kind, Result};
use crate::model::item::Timestamp;
use crate::remote::credentials::ask::Place;
use crate::remote::credentials::cached::Lent;
use crate::remote::credentials::google::key_file::SCOPE;
use crate::remote::credentials::means::Means;
use crate::remote::credentials::{answer, file};
use crate::remote::sign::bearer::Token;
use crate::remote::sign::reach::Reach;

/// Life of an assertion, seconds: the most that is taken.
const LIFE_S: i64 = 3600;
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

#[derive(Deserialize)]
struct Account {
    client_email: String,
    private_key: Zeroized,
    private_key_id: Option<String>,
    token_uri: String,
}

/// A key's text, wiped when it goes.
struct Zeroized(Zeroizing<String>);

impl<'de> Deserialize<'de> for Zeroized {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

#[derive(Serialize)]
struct Head<'a> {
    alg: &'static str,
    typ: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

/// A token by the account's key.
///
/// # Errors
/// `SecretUnresolved` for a key that is none; those of the token service.
pub(super) fn token(
    means: &Means,
    text: &str,
    place: &str,
    reach: Reach,
    now: Timestamp,
) -> Result<Lent<Token>> {
    let account: Account = file::json(text, place)?;
    let service = Place::token(&account.token_uri, place)?;
    let assertion = assertion(&account, place, now)?;
    let pairs = [("grant_type", GRANT), ("assertion", assertion.as_str())];
    let doing = "failed to get a token for the service account";
    let body = means.asker.post(&service, &pairs, doing)?;
    answer::token(&body, now, reach)
}

fn assertion(account: &Account, place: &str, now: Timestamp) -> Result<Zeroizing<String>> {
    let unusable = || {
        let why = format!("the private key in {place} is no RSA key in PEM");
        EngineError::new(Kind::SecretUnresolved, why)
    };
    let head = Head { alg: "RS256", typ: "JWT", kid: account.private_key_id.as_deref() };
    let iat = now.seconds();
    let (iss, aud) = (account.client_email.as_str(), account.token_uri.as_str());
    let claims = Claims { iss, scope: SCOPE, aud, iat, exp: iat + LIFE_S };
    let part = |json: serde_json::Result<Vec<u8>>| -> Result<String> {
        json.map(|bytes| URL_SAFE_NO_PAD.encode(bytes)).map_err(|_| unusable())
    };
    let head = part(serde_json::to_vec(&head))?;
    let claims = part(serde_json::to_vec(&claims))?;
    let mut text = Zeroizing::new(format!("{head}.{claims}"));
    let key = key(&account.private_key.0).ok_or_else(unusable)?;
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
        .map_err(|_| unusable())?;
    text.push('.');
    text.push_str(&URL_SAFE_NO_PAD.encode(signature));
    Ok(text)
}

/// The key of a PEM file: PKCS#8, or PKCS#1 as older ones are.
fn key(pem: &str) -> Option<RsaKeyPair> {
    let between = |label: &str| {
        let (_, rest) = pem.split_once(&format!("-----BEGIN {label}-----"))?;
        let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
        let body = Zeroizing::new(body.split_ascii_whitespace().collect::<String>());
        STANDARD.decode(body.as_bytes()).ok().map(Zeroizing::new)
    };
    match between("PRIVATE KEY") {
        Some(der) => RsaKeyPair::from_pkcs8(&der).ok(),
        None => RsaKeyPair::from_der(&between("RSA PRIVATE KEY")?).ok(),
    }
}
