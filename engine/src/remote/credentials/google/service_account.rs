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

#[cfg(test)]
mod tests {
    use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;
    use crate::remote::credentials::google::chain_in;
    use crate::remote::credentials::trial::{NOW, Service, Trial};

    /// A key made for this test, of PKCS#8.
    const KEY: &str = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCmHQtjsPl8xWhchnjC1xad2dSslLzvi2Mhs7zn\
            ycUL2+eRZTlSjC54d0HKOcquQF2FOJpghOHDHuhgv24FRXX8LNnVjWGMbYzRudr/JXqQiVH3MAQ+a61TkdZNglTS\
            JfvD/M/byl+ec8z1XTn2YyXCuUG/IDfjXIj3HtIJjCB2Dvy3m/DaJiwxsXv3ylTEgQJl2ClI201Qb9/QgIKW2Xsn\
            CStc73R69fUM2glXLg8CxZReA05CkIIlzQuYFfxt6mQdAfrxOATXuzXBHJWJWNRXT1+ijJfqQUuKfXDjvaozgzDO\
            Az9UzIWubNE7EpbwLzeYoYU3crwd2DJhko9kf0lPAgMBAAECggEAEp3ZBmxcRvRVfLUiDe1kHqm95jTp3cuDKdDx\
            KrsCseW3KfosYUjOS82gb8USptJriMAuEQN4zSYxczz7sWyLoLOixYZe+ImDNDKo+AUKcO4VjmdGZSZ/2jNTJK78\
            HuyHLvuuN0WSz3kj7xsVIWdoNnljrxixxXHmnxIdsQM61MWCqlfiZ83Aymw18aP9lOGSRfVyKTgE0BsSsJ2E9tfP\
            B+exQiRsp7/KRCgYyoYYwrMOuIYoDs1+bpZVuU2+a/e1viyRpFvWaYTXeTYLBko494PI7w5eS56yQK6koniIAEio\
            GO6R6DWBBTFzvei277ay9k/mtRrYruYdKB5J0lfrTQKBgQDPOd8xAGwz+pTu9mIEvChEmppMthT7uqSP/rw96NpG\
            L65K8U/dzSNwe67jtW+dEJToDdrCO1f2zvefxJwW35mLkP93Wi58naHxjg1LP9EyWpEQJTPrNq/80rj1CobWMpv3\
            EN+iIJNgUwIppLsjAVEyZs62+EggOZcs5dyrJZ/ZtQKBgQDNNfzbAFhulh/pwKT4Ef75ZlYTUW8MQtm1PrtUxo3P\
            +U+IGWa2lQl0JYxzZkNP2Rzm3CNYUrU9TZgArcDP0pdO85MgK5TsSZOrbME+Ll6eGTpmXw2b8VL7B+DVJzfqWIoI\
            5J+UWNjCdl8mLXdVJz7ShY3rxifhWRNgqnyxFhipcwKBgFLzfY5l9upPsnJ9mfr/PrdHk+CFOp0Rt3IUrFGz9jwG\
            NiS1uBy3UyphuD5akJU04AaMFTeO/cVEUAdacokNdK9TmY+zP8yOZRcGn/exUhJwAoWN/tx3BbeUuokMb7EqjRg3\
            Xu3NUHFMiR8WW/rFOjWMxc6kUGrl4sgMM2snInfJAoGBAMmE6OiPsEf4+SHt4pMR6Rg1nPWflLOvume4UPJxgbXo\
            mGeIuks2lHAQp5pzpEp3ZWB4ceU8Y2ruFgUknCH6JkiL/cEryzU3E+LWC/bqRlRvZeA+G/k1xU1rcSkhOFHT3Mna\
            6bMehM6Cu/Gb2IIw5gqKyNHuaB9uAA9/nK+yiUltAoGAcw3MPbx6MsmtNNZ+ShRe7TDwiefT+kJl0T0SeKWyDV2Z\
            ajCiDZ64Pr2kjvpRpLacRtzwP7bMRDgASNFtS5Ba3lb4F4Mf8oxaOnYCkVjZryLN8bDJTgEmD6fVizG37EuhoMJe\
            2qcxeVxPYyTCyWwFeEU/NeD7d/ES51aiJaIChm8=";
    /// What PKCS#8 has before the key of PKCS#1.
    const BEFORE: usize = 26;

    #[test]
    fn the_assertion_is_signed_by_the_key_in_both_forms() {
        let der = STANDARD.decode(KEY).unwrap();
        let public = RsaKeyPair::from_pkcs8(&der).unwrap().public_key().as_ref().to_vec();
        let old = STANDARD.encode(&der[BEFORE..]);
        let service = Service::new(vec![(200, r#"{"access_token":"t0k"}"#.to_owned())]);
        for (label, key) in [("PRIVATE KEY", KEY), ("RSA PRIVATE KEY", old.as_str())] {
            let pem = format!("-----BEGIN {label}-----\\n{key}\\n-----END {label}-----\\n");
            let url = format!("{}/token", service.url);
            let mut trial = Trial::new();
            trial.give(
                "service_account_key",
                &format!(
                    r#"{{"type":"service_account","client_email":"a@b","private_key_id":"k1",
                        "private_key":"{pem}","token_uri":"{url}"}}"#
                ),
            );
            let chain = chain_in(&trial.location, &trial.ties, trial.environment()).unwrap();
            let request = trial.sign(&*chain.signer()).unwrap();
            assert_eq!(request.headers.get("authorization"), Some("Bearer t0k"));
            let asked = service.asked().pop().unwrap();
            let (_, assertion) = asked.split_once("&assertion=").unwrap();
            let (text, signature) = assertion.rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &public);
            public.verify(text.as_bytes(), &signature).unwrap();
            let (head, claims) = text.split_once('.').unwrap();
            let json = |part| -> serde_json::Value {
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
            };
            assert_eq!(json(head), serde_json::json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
            let (iat, exp) = (NOW.seconds(), NOW.seconds() + LIFE_S);
            let wanted = serde_json::json!(
                {"iss": "a@b", "scope": SCOPE, "aud": url, "iat": iat, "exp": exp}
            );
            assert_eq!(json(claims), wanted);
        }
    }
}
