//! The order.

use std::sync::Arc;

use crate::error::Result;
use crate::model::item::Timestamp;
use crate::model::location::Location;
use crate::remote::credentials::cached::{Cached, Lent};
use crate::remote::credentials::environment::Environment;
use crate::remote::credentials::file;
use crate::remote::credentials::google::{key_file, metadata};
use crate::remote::credentials::looked::Looked;
use crate::remote::credentials::means::Means;
use crate::remote::dialect::{Anonymous, Signer};
use crate::remote::sign::bearer::{Bearer, Token};
use crate::remote::sign::reach::Reach;
use crate::remote::ties::Ties;

const TOKEN: &str = "access_token";
const KEY: &str = "service_account_key";
const FILE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
const EMULATOR: &str = "STORAGE_EMULATOR_HOST";
/// Where tokens of the machine go.
const OWN: Reach = Reach::Ending(&[".googleapis.com"]);

/// How one location's requests are signed, and what its environment says of the service.
pub struct GoogleChain {
    means: Arc<Means>,
    token: Arc<Cached<Token>>,
}

/// The chain of a location: `auth.access_token`, `auth.service_account_key` (the JSON of a key
/// file), the file of GOOGLE_APPLICATION_CREDENTIALS, that of `gcloud auth application-default
/// login`, and the machine's metadata service with `imds`.
///
/// # Errors
/// `InvalidField` for what contradicts itself. Nothing is read or sent yet.
pub fn chain(location: &Location, ties: &Ties) -> Result<GoogleChain> {
    chain_in(location, ties, Environment::of_process())
}

/// As [`chain`](fn@chain), in another environment.
///
/// # Errors
/// As [`chain`](fn@chain).
pub fn chain_in(location: &Location, ties: &Ties, environment: Environment) -> Result<GoogleChain> {
    let means = Means::new(location, ties, environment);
    means.contradicts(&[TOKEN, KEY])?;
    let means = Arc::new(means);
    let shared = means.clone();
    let token = Arc::new(Cached::new(move |now| find(&shared, now)));
    Ok(GoogleChain { means, token })
}

fn find(means: &Means, now: Timestamp) -> Result<Lent<Token>> {
    if let Some(text) = means.given(TOKEN)? {
        return Ok(Lent::fixed(Token { text, reach: Reach::Any }));
    }
    if let Some(key) = means.given_text(KEY)? {
        return key_file::token(means, &key, "auth.service_account_key", Reach::Any, now);
    }
    let mut looked = Looked::default();
    if let Some(path) = means.environment.bytes(FILE) {
        let text = file::needed(&path)?;
        return key_file::token(means, &text, &file::shown(&path), OWN, now);
    }
    looked.at(format!("environment {FILE}"));
    if let Some(path) = well_known(&means.environment) {
        if let Some(text) = file::text(&path)? {
            return key_file::token(means, &text, &file::shown(&path), OWN, now);
        }
        looked.at(file::shown(&path));
    }
    match metadata::find(means, OWN, now, &mut looked)? {
        Some(token) => Ok(token),
        None => Err(looked.missing("Google Cloud Storage")),
    }
}

/// Where gcloud leaves its default credentials.
fn well_known(environment: &Environment) -> Option<Vec<u8>> {
    const NAME: &str = "application_default_credentials.json";
    let own = environment.bytes("CLOUDSDK_CONFIG");
    let own = own.map(|dir| [&dir, b"/".as_slice(), NAME.as_bytes()].concat());
    own.or_else(|| environment.at_home(&format!(".config/gcloud/{NAME}")))
}

impl GoogleChain {
    /// The service's URL: the location's endpoint, else the emulator of STORAGE_EMULATOR_HOST.
    ///
    /// # Errors
    /// `InvalidField` for a variable that is not UTF-8.
    pub fn endpoint(&self) -> Result<Option<String>> {
        if let Some(url) = &self.means.location.store.endpoint {
            return Ok(Some(url.clone()));
        }
        let emulator = self.means.environment.text(EMULATOR)?;
        Ok(emulator.map(|host| if host.contains("://") { host } else { format!("http://{host}") }))
    }

    /// The signer. Nothing is signed for an emulator of the environment where the location names
    /// no credentials.
    #[must_use]
    pub fn signer(&self) -> Arc<dyn Signer> {
        let means = &self.means;
        let emulated =
            means.location.store.endpoint.is_none() && means.environment.bytes(EMULATOR).is_some();
        let named = means.gives(TOKEN) || means.gives(KEY);
        if means.location.store.anonymous || (emulated && !named) {
            return Arc::new(Anonymous);
        }
        Arc::new(Bearer::new(self.token.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::remote::credentials::trial::{NOW, Service, Trial, canary, refused};

    fn chain_of(trial: &Trial) -> GoogleChain {
        chain_in(&trial.location, &trial.ties, trial.environment()).unwrap()
    }

    /// The token that a request is signed with.
    fn token(trial: &Trial) -> Result<String> {
        let request = trial.sign(&*chain_of(trial).signer())?;
        Ok(request.headers.get("authorization").unwrap_or("none").to_owned())
    }

    fn refuses(trial: &Trial, kind: Kind, word: &str) {
        refused(&token(trial).unwrap_err(), kind, word);
    }

    fn user(service: &Service, name: &str) -> String {
        let (url, secret) = (&service.url, canary());
        format!(
            r#"{{"type":"authorized_user","client_id":"{name}","client_secret":"{secret}",
                "refresh_token":"{secret}","token_uri":"{url}/token"}}"#
        )
    }

    #[test]
    fn the_location_goes_first_then_the_variable_then_the_well_known_file_then_the_machine() {
        let body = r#"{"access_token":"t0k","expires_in":3600}"#;
        let service = Service::new(vec![(200, body.to_owned())]);
        let mut trial = Trial::new();
        trial.url = "https://storage.googleapis.com/b".to_owned();
        refuses(&trial, Kind::CredentialsMissing, "imds is false");
        refuses(&trial, Kind::CredentialsMissing, "application_default_credentials.json");
        let host = service.url.replace("http://", "");
        trial.set("GCE_METADATA_HOST", &host).store(|store| store.imds = true);
        assert_eq!(token(&trial).unwrap(), "Bearer t0k");
        assert!(service.asked()[0].contains("metadata-flavor: Google"));
        trial.home(".config/gcloud/application_default_credentials.json", &user(&service, "A"));
        token(&trial).unwrap();
        assert!(service.asked()[1].contains("grant_type=refresh_token&client_id=A&"));
        let path = trial.home("file", &user(&service, "B"));
        trial.set(FILE, &path);
        token(&trial).unwrap();
        assert!(service.asked()[2].contains("client_id=B&"));
        trial.give(KEY, &user(&service, "C"));
        token(&trial).unwrap();
        assert!(service.asked()[3].contains("client_id=C&"));
        trial.give(TOKEN, "given");
        assert_eq!(token(&trial).unwrap(), "Bearer given");
        assert_eq!(service.asked().len(), 4);
        trial.store(|store| store.anonymous = true);
        let error = chain_in(&trial.location, &trial.ties, trial.environment());
        assert_eq!(error.map(|_| ()).unwrap_err().kind(), Kind::InvalidField);
    }

    #[test]
    fn tokens_of_the_machine_go_to_google_alone_and_are_renewed() {
        let answers =
            [1, 2].map(|n| (200, format!(r#"{{"access_token":"t{n}","expires_in":1000}}"#)));
        let service = Service::new(answers.to_vec());
        let mut trial = Trial::new();
        let path = trial.home("file", &user(&service, "A"));
        trial.set(FILE, &path);
        trial.url = "https://storage.example".to_owned();
        refuses(&trial, Kind::InvalidField, "of this machine is not sent");
        trial.url = "https://storage.googleapis.com".to_owned();
        let signer = chain_of(&trial).signer();
        let at = |seconds: i64| {
            let now = Timestamp(NOW.0 + i128::from(seconds) * 1_000_000_000);
            trial.sign_at(&*signer, now).unwrap().headers.get("authorization").unwrap().to_owned()
        };
        assert_eq!((at(0), at(749)), ("Bearer t2".to_owned(), "Bearer t2".to_owned()));
    }

    #[test]
    fn emulators_are_asked_without_credentials() {
        let mut trial = Trial::new();
        assert_eq!(chain_of(&trial).endpoint().unwrap(), None);
        trial.set(EMULATOR, "127.0.0.1:9023");
        let endpoint = chain_of(&trial).endpoint().unwrap();
        assert_eq!(endpoint.as_deref(), Some("http://127.0.0.1:9023"));
        assert_eq!(token(&trial).unwrap(), "none");
        trial.store(|store| store.endpoint = Some("https://other".to_owned()));
        assert_eq!(chain_of(&trial).endpoint().unwrap().as_deref(), Some("https://other"));
        refuses(&trial, Kind::CredentialsMissing, FILE);
    }

    #[test]
    fn what_is_not_built_is_refused_by_name_and_bad_files_are_not_repeated() {
        let secret = canary();
        let external = |rest: &str| {
            format!(
                r#"{{"type":"external_account","audience":"a","subject_token_type":"s",
                    "token_url":"https://sts.googleapis.com/v1/token",{rest}}}"#
            )
        };
        let refused = format!(r#"{{"error":"invalid_grant","error_description":"{secret}"}}"#);
        let service = Service::new(vec![(400, refused)]);
        for (text, kind, word) in [
            (secret.clone(), Kind::SecretUnresolved, "line 1"),
            (format!(r#"{{"type":["{secret}"]}}"#), Kind::SecretUnresolved, "line 1"),
            (format!(r#"{{"type":"{secret}"}}"#), Kind::Unsupported, "not known"),
            (
                r#"{"type":"impersonated_service_account"}"#.to_owned(),
                Kind::Unsupported,
                "imperson",
            ),
            (
                r#"{"type":"authorized_user","universe_domain":"x"}"#.to_owned(),
                Kind::Unsupported,
                "googleapis.com",
            ),
            (external(r#""credential_source":{"url":"http://a"}"#), Kind::Unsupported, "in a file"),
            (
                external(r#""service_account_impersonation_url":"u","credential_source":{}"#),
                Kind::Unsupported,
                "impersonation",
            ),
            (external(r#""credential_source":{"file":"/no"}"#), Kind::SecretUnresolved, "/no"),
            (
                format!(
                    r#"{{"type":"service_account","client_email":"e","private_key":"{secret}",
                        "token_uri":"https://t"}}"#
                ),
                Kind::SecretUnresolved,
                "no RSA key",
            ),
            (
                user(&service, "A").replace("http://127.0.0.1", "http://evil.example"),
                Kind::InvalidField,
                "https://",
            ),
            (user(&service, "A"), Kind::CredentialsRefused, "invalid_grant"),
        ] {
            let mut trial = Trial::new();
            let path = trial.home("file", &text);
            trial.set(FILE, &path);
            refuses(&trial, kind, word);
            let mut trial = Trial::new();
            trial.give(KEY, &text);
            refuses(&trial, kind, word);
        }
        let mut trial = Trial::new();
        trial.set(FILE, "/no/such");
        refuses(&trial, Kind::SecretUnresolved, "/no/such");
    }

    #[test]
    fn a_token_in_a_file_is_exchanged() {
        let service = Service::new(vec![(200, r#"{"access_token":"t0k"}"#.to_owned())]);
        let mut trial = Trial::new();
        trial.url = "https://storage.googleapis.com".to_owned();
        let plain = trial.home("plain", "subject\n");
        let json = trial.home("json", r#"{"tok":"subject"}"#);
        for source in [
            format!(r#"{{"file":"{plain}"}}"#),
            format!(
                r#"{{"file":"{json}","format":{{"type":"json","subject_token_field_name":"tok"}}}}"#
            ),
        ] {
            let url = &service.url;
            let text = format!(
                r#"{{"type":"external_account","audience":"//iam","subject_token_type":"jwt",
                    "token_url":"{url}/v1/token","credential_source":{source}}}"#
            );
            trial.give(KEY, &text);
            assert_eq!(token(&trial).unwrap(), "Bearer t0k");
            let asked = service.asked().pop().unwrap();
            assert!(asked.contains("&audience=%2F%2Fiam&") && asked.contains("_token=subject&"));
        }
    }
}
