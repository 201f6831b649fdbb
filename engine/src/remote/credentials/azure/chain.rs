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
