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
