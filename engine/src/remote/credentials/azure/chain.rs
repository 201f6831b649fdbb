//! The order.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use crate::error::{EngineError, Kind, Result};
use crate::model::item::Timestamp;
use crate::model::location::Location;
use crate::remote::credentials::azure::proof::{Proof, ProofSigner};
use crate::remote::credentials::azure::{application, managed, settings};
use crate::remote::credentials::cached::{Cached, Lent};
use crate::remote::credentials::environment::Environment;
use crate::remote::credentials::looked::Looked;
use crate::remote::credentials::means::Means;
use crate::remote::dialect::{Anonymous, Signer};
use crate::remote::sign::reach::Reach;
use crate::remote::sign::sas::Sas;
use crate::remote::sign::shared_key::AccountKey;
use crate::remote::ties::Ties;

const ACCOUNT_KEY: &str = "account_key";
const SAS: &str = "sas_token";
const CLIENT_SECRET: &str = "client_secret";
const ENV_KEY: &str = "AZURE_STORAGE_KEY";
const ENV_SAS: &str = "AZURE_STORAGE_SAS_TOKEN";
const CONNECTION: &str = "AZURE_STORAGE_CONNECTION_STRING";
/// Where tokens of the machine go: Azure Storage in its clouds.
const OWN: Reach = Reach::Ending(&[
    ".core.windows.net",
    ".core.chinacloudapi.cn",
    ".core.usgovcloudapi.net",
    ".storage.azure.net",
]);

/// How one location's requests are signed, and what its environment says of the service.
pub struct AzureChain {
    means: Arc<Means>,
    proof: Arc<Cached<Proof>>,
}

/// The chain of a location: `auth.account_key`, `auth.sas_token`, `auth.client_secret`, then of the
/// environment the connection string, the account's key, the signature, the application, and
/// managed identity with `imds`. What belongs to another account than the location's is passed
/// over.
///
/// # Errors
/// `InvalidField` for what contradicts itself. Nothing is read or sent yet.
pub fn chain(location: &Location, ties: &Ties) -> Result<AzureChain> {
    chain_in(location, ties, Environment::of_process())
}

/// As [`chain`](fn@chain), in another environment.
///
/// # Errors
/// As [`chain`](fn@chain).
pub fn chain_in(location: &Location, ties: &Ties, environment: Environment) -> Result<AzureChain> {
    let means = Means::new(location, ties, environment);
    let names = [ACCOUNT_KEY, SAS, CLIENT_SECRET];
    means.contradicts(&names)?;
    if names.iter().filter(|name| means.gives(name)).count() > 1 {
        let why = "auth names more than one of account_key, sas_token and client_secret";
        return Err(EngineError::new(Kind::InvalidField, why).field("auth"));
    }
    let means = Arc::new(means);
    let shared = means.clone();
    let proof = Arc::new(Cached::new(move |now| find(&shared, now)));
    Ok(AzureChain { means, proof })
}

fn find(means: &Means, now: Timestamp) -> Result<Lent<Proof>> {
    if let Some(key) = means.given(ACCOUNT_KEY)? {
        return shared_key(means, &key);
    }
    if let Some(sas) = means.given(SAS)? {
        return Ok(Proof::sas(Sas::parse(sas.expose_secret(), Reach::Any)?));
    }
    if let Some(secret) = means.given(CLIENT_SECRET)? {
        let token = application::with_secret(means, &secret, Reach::Any, now)?;
        return Ok(token.map(Proof::Token));
    }
    let mut looked = Looked::default();
    if let Some(proof) = of_account(means, &mut looked)? {
        return Ok(proof);
    }
    let found = match application::find(means, OWN, now, &mut looked)? {
        Some(token) => Some(token),
        None => managed::find(means, OWN, now, &mut looked)?,
    };
    found.map(|token| token.map(Proof::Token)).ok_or_else(|| looked.missing("Azure Storage"))
}

/// What the environment holds for one account.
fn of_account(means: &Means, looked: &mut Looked) -> Result<Option<Lent<Proof>>> {
    // A connection string names its endpoint itself: what it holds goes there, and to no other.
    let reach = if means.location.store.endpoint.is_none() { Reach::Any } else { OWN };
    if let Some(connection) = settings::connection(means)? {
        if let Some(key) = &connection.key {
            let account = connection.account.as_deref().unwrap_or_default();
            let key = AccountKey::new(account, key.expose_secret())?;
            return Ok(Some(Lent::fixed(Proof::Key(key))));
        }
        if let Some(sas) = &connection.sas {
            return Ok(Some(Proof::sas(Sas::parse(sas.expose_secret(), reach)?)));
        }
    }
    looked.at(format!("environment {CONNECTION}"));
    let (own, wanted) = (settings::own_account(means)?, settings::account(means)?);
    if own.is_some() && own != wanted {
        looked.at(format!("not {ENV_KEY} and {ENV_SAS}, which are of another account"));
        return Ok(None);
    }
    if let Some(key) = means.environment.secret(ENV_KEY)? {
        return shared_key(means, &key).map(Some);
    }
    if let Some(sas) = means.environment.secret(ENV_SAS)? {
        return Ok(Some(Proof::sas(Sas::parse(sas.expose_secret(), OWN)?)));
    }
    looked.at(format!("environment {ENV_KEY}, {ENV_SAS}"));
    Ok(None)
}

fn shared_key(means: &Means, key: &SecretString) -> Result<Lent<Proof>> {
    let Some(account) = settings::account(means)? else {
        let why = "an account's key was found without the account's name";
        let error = EngineError::new(Kind::MissingField, why).field("account");
        return Err(error.hint("give account, or set AZURE_STORAGE_ACCOUNT"));
    };
    Ok(Lent::fixed(Proof::Key(AccountKey::new(&account, key.expose_secret())?)))
}

impl AzureChain {
    /// The account: the location's, the connection string's, AZURE_STORAGE_ACCOUNT or
    /// AZURE_STORAGE_ACCOUNT_NAME.
    ///
    /// # Errors
    /// `InvalidField` for what is no account's name, and for a connection string that is none.
    pub fn account(&self) -> Result<Option<String>> {
        settings::account(&self.means)
    }

    /// The service's URL: the location's endpoint, the connection string's. It may have a path: an
    /// emulator's account.
    ///
    /// # Errors
    /// `InvalidField` for a connection string that is none.
    pub fn endpoint(&self) -> Result<Option<String>> {
        settings::endpoint(&self.means)
    }

    /// The signer. Requests with a signature or a token must carry `x-ms-version` themselves.
    #[must_use]
    pub fn signer(&self) -> Arc<dyn Signer> {
        if self.means.location.store.anonymous {
            return Arc::new(Anonymous);
        }
        Arc::new(ProofSigner(self.proof.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::call::Request;
    use crate::remote::credentials::trial::{Service, Trial, canary, refused};

    const KEY: &str = "aHVudGVyMkNhbmFyeQ==";

    fn chain_of(trial: &Trial) -> AzureChain {
        chain_in(&trial.location, &trial.ties, trial.environment()).unwrap()
    }

    fn signed(trial: &Trial) -> Result<Request<'static>> {
        trial.sign(&*chain_of(trial).signer())
    }

    fn proof(trial: &Trial) -> String {
        let request = signed(trial).unwrap();
        let proof = request.headers.get("authorization").map(str::to_owned);
        proof.unwrap_or_else(|| format!("query {:?}", request.query))
    }

    fn refuses(trial: &Trial, kind: Kind, word: &str) {
        refused(&signed(trial).map(|_| ()).unwrap_err(), kind, word);
    }

    fn trial() -> Trial {
        let mut trial = Trial::new();
        trial.url = "https://a.blob.core.windows.net/c".to_owned();
        trial
    }

    #[test]
    fn the_location_goes_first_then_the_environment_in_its_order() {
        let body = r#"{"access_token":"t0k","expires_in":"3600"}"#;
        let service = Service::new(vec![(200, body.to_owned())]);
        let mut trial = trial();
        refuses(&trial, Kind::CredentialsMissing, "imds is false");
        trial.store(|store| store.imds = true);
        trial.set("AZURE_POD_IDENTITY_AUTHORITY_HOST", &service.url);
        assert_eq!(proof(&trial), "Bearer t0k");
        let asked = service.asked().remove(0);
        assert!(asked.starts_with("GET /metadata/identity/oauth2/token?api-version=2018-02-01&"));
        assert!(asked.contains("metadata: true"), "{asked}");
        trial.set("IDENTITY_ENDPOINT", &service.url).set("IDENTITY_HEADER", "h");
        assert_eq!(proof(&trial), "Bearer t0k");
        assert!(service.asked()[1].contains("x-identity-header: h"));
        trial.set("AZURE_TENANT_ID", "ten").set("AZURE_CLIENT_ID", "cli");
        trial.set("AZURE_AUTHORITY_HOST", &service.url);
        let path = trial.home("token", "federated");
        trial.set("AZURE_FEDERATED_TOKEN_FILE", &path);
        assert_eq!(proof(&trial), "Bearer t0k");
        let asked = service.asked().remove(2);
        assert!(asked.starts_with("POST /ten/oauth2/v2.0/token "), "{asked}");
        assert!(asked.contains("&client_assertion=federated"), "{asked}");
        trial.set("AZURE_CLIENT_SECRET", "s&c");
        assert_eq!(proof(&trial), "Bearer t0k");
        assert!(service.asked()[3].ends_with("&client_secret=s%26c"));
        trial.set(ENV_SAS, "?sv=1&sig=abc%3D");
        assert!(proof(&trial).starts_with("query"));
        trial.set(ENV_KEY, KEY);
        refuses(&trial, Kind::MissingField, "account");
        trial.set("AZURE_STORAGE_ACCOUNT", "own");
        assert!(proof(&trial).starts_with("SharedKey own:"));
        trial.set(CONNECTION, &format!("AccountName=con;AccountKey={KEY}"));
        assert!(proof(&trial).starts_with("SharedKey con:"));
        trial.give(CLIENT_SECRET, "given");
        assert_eq!(proof(&trial), "Bearer t0k");
        assert!(service.asked()[4].ends_with("&client_secret=given"));
    }

    #[test]
    fn what_belongs_to_another_account_is_passed_over() {
        let mut trial = trial();
        trial.set(CONNECTION, &format!("AccountName=con;AccountKey={KEY}"));
        trial.set("AZURE_STORAGE_ACCOUNT", "own").set(ENV_KEY, KEY);
        trial.store(|store| store.account = Some("own".to_owned()));
        assert!(proof(&trial).starts_with("SharedKey own:"));
        assert_eq!(chain_of(&trial).endpoint().unwrap(), None);
        trial.store(|store| store.account = Some("third".to_owned()));
        refuses(&trial, Kind::CredentialsMissing, "of another account");
        trial.give(ACCOUNT_KEY, KEY);
        assert!(proof(&trial).starts_with("SharedKey third:"));
        trial.store(|store| store.account = Some("a/b".to_owned()));
        refuses(&trial, Kind::InvalidField, "account");
    }

    #[test]
    fn the_emulator_is_known_and_signatures_stay_where_they_belong() {
        let mut emulated = trial();
        emulated.set(CONNECTION, "UseDevelopmentStorage=true");
        let chain = chain_of(&emulated);
        assert_eq!(chain.account().unwrap().as_deref(), Some("devstoreaccount1"));
        let endpoint = chain.endpoint().unwrap().unwrap();
        assert_eq!(endpoint, "http://127.0.0.1:10000/devstoreaccount1");
        emulated.url = format!("{endpoint}/c");
        assert!(proof(&emulated).starts_with("SharedKey devstoreaccount1:"));

        let mut signed = trial();
        signed.set(ENV_SAS, &format!("sv=1&sig={}", canary()));
        signed.url = "https://evil.example".to_owned();
        refuses(&signed, Kind::InvalidField, "is not sent");
        signed.url = "http://a.blob.core.windows.net".to_owned();
        refuses(&signed, Kind::InvalidField, "https");
        signed.give(SAS, &format!("sv=1&sig={}", canary()));
        signed.url = "https://own.example".to_owned();
        assert!(proof(&signed).starts_with("query"));
    }

    #[test]
    fn every_refusal_keeps_the_secrets() {
        let secret = canary();
        let mut trial = trial();
        trial.give(ACCOUNT_KEY, &format!("{secret}!")).store(|s| s.account = Some("a".to_owned()));
        refuses(&trial, Kind::InvalidField, "base64");
        trial.give(SAS, &secret);
        let twice = chain_in(&trial.location, &trial.ties, trial.environment()).map(|_| ());
        refused(&twice.unwrap_err(), Kind::InvalidField, "more than one");
        let mut trial = self::trial();
        trial.give(SAS, &secret);
        refuses(&trial, Kind::InvalidField, "no sig");
        let mut trial = self::trial();
        trial.set(CONNECTION, &secret);
        refuses(&trial, Kind::InvalidField, CONNECTION);
        trial.set(CONNECTION, "").set("AZURE_CLIENT_SECRET", &secret);
        refuses(&trial, Kind::CredentialsMissing, "AZURE_TENANT_ID");
        trial.set("AZURE_TENANT_ID", "a/b").set("AZURE_CLIENT_ID", "c");
        refuses(&trial, Kind::InvalidField, "AZURE_TENANT_ID");
        trial.set("AZURE_TENANT_ID", "t").set("AZURE_AUTHORITY_HOST", "http://login.example");
        refuses(&trial, Kind::InvalidField, "AZURE_AUTHORITY_HOST");
        let told = format!(
            r#"{{"error":"invalid_client","error_description":"AADSTS7000215: {secret}"}}"#
        );
        let service = Service::new(vec![(401, told)]);
        trial.set("AZURE_AUTHORITY_HOST", &service.url);
        refuses(&trial, Kind::CredentialsRefused, "AADSTS7000215");
        let service = Service::new(vec![(200, format!(r#"{{"access_token":["{secret}"]}}"#))]);
        trial.set("AZURE_AUTHORITY_HOST", &service.url);
        refuses(&trial, Kind::RemoteAnswer, "no credentials");
    }
}
