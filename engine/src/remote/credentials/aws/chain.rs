//! The order.

use std::sync::Arc;

use crate::error::Result;
use crate::model::item::Timestamp;
use crate::model::location::Location;
use crate::remote::credentials::aws::{
    container, environment, facts, given, imds, profile, web_identity,
};
use crate::remote::credentials::cached::{Cached, Lent};
use crate::remote::credentials::environment::Environment;
use crate::remote::credentials::looked::Looked;
use crate::remote::credentials::means::Means;
use crate::remote::dialect::{Anonymous, Signer};
use crate::remote::sign::sigv4::{Keys, SigV4};
use crate::remote::ties::Ties;

type Find = fn(&Means, Timestamp, &mut Looked) -> Result<Option<Lent<Keys>>>;

/// Places behind the location's own, in order.
const PLACES: [Find; 5] =
    [environment::find, profile::find, web_identity::find, container::find, imds::find];

/// How one location's requests are signed, and what its environment says of the service.
pub struct AwsChain {
    means: Arc<Means>,
    keys: Arc<Cached<Keys>>,
}

/// The chain of a location: `auth.access_key_id`, `auth.secret_access_key` and
/// `auth.session_token`, the environment, the profile, web identity, the container's credentials,
/// and the machine's with `imds`. A profile that the location names is asked alone.
///
/// # Errors
/// `InvalidField` and `MissingField` for what contradicts itself. Nothing is read or sent yet.
pub fn chain(location: &Location, ties: &Ties) -> Result<AwsChain> {
    chain_in(location, ties, Environment::of_process())
}

/// As [`chain`](fn@chain), in another environment.
///
/// # Errors
/// As [`chain`](fn@chain).
pub fn chain_in(location: &Location, ties: &Ties, environment: Environment) -> Result<AwsChain> {
    let means = Means::new(location, ties, environment);
    given::check(&means)?;
    let means = Arc::new(means);
    let shared = means.clone();
    let keys = Arc::new(Cached::new(move |now| find(&shared, now)));
    Ok(AwsChain { means, keys })
}

fn find(means: &Means, now: Timestamp) -> Result<Lent<Keys>> {
    if let Some(keys) = given::find(means)? {
        return Ok(keys);
    }
    let mut looked = Looked::default();
    let alone: [Find; 1] = [profile::find];
    let places: &[Find] = if means.location.store.profile.is_some() { &alone } else { &PLACES };
    for place in places {
        if let Some(keys) = place(means, now, &mut looked)? {
            return Ok(keys);
        }
    }
    Err(looked.missing("S3"))
}

impl AwsChain {
    /// The region: the location's, AWS_REGION, AWS_DEFAULT_REGION, the profile's. Reads the
    /// profile's files where it must.
    ///
    /// # Errors
    /// `InvalidField` for what is no region's name; `SecretUnresolved` for files that cannot be
    /// read.
    pub fn region(&self) -> Result<Option<String>> {
        facts::region(&self.means)
    }

    /// The service's URL: the location's endpoint, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, the
    /// profile's. Reads the profile's files where it must.
    ///
    /// # Errors
    /// As [`AwsChain::region`].
    pub fn endpoint(&self) -> Result<Option<String>> {
        facts::endpoint(&self.means, "S3")
    }

    /// A signer for S3 in a region. All signers of a chain share what was found.
    #[must_use]
    pub fn signer(&self, region: &str) -> Arc<dyn Signer> {
        if self.means.location.store.anonymous {
            return Arc::new(Anonymous);
        }
        Arc::new(SigV4::new(self.keys.clone(), "s3", region))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::remote::credentials::trial::{Trial, canary};

    /// The access key that a request is signed with.
    fn signed(trial: &Trial) -> Result<String> {
        trial.aws().and_then(|chain| trial.sign(&*chain.signer("us-east-1"))).map(|request| {
            let proof = request.headers.get("authorization").unwrap_or_default().to_owned();
            let (_, rest) = proof.split_once("Credential=").unwrap();
            rest.split('/').next().unwrap().to_owned()
        })
    }

    #[test]
    fn the_location_goes_first_then_the_environment_then_the_profile() {
        let mut trial = Trial::new();
        trial.home(
            ".aws/credentials",
            "[default]\naws_access_key_id = FILE\naws_secret_access_key=s",
        );
        assert_eq!(signed(&trial).unwrap(), "FILE");
        trial.set("AWS_ACCESS_KEY_ID", "ENV").set("AWS_SECRET_ACCESS_KEY", &canary());
        assert_eq!(signed(&trial).unwrap(), "ENV");
        trial.give("access_key_id", "GIVEN").give("secret_access_key", &canary());
        assert_eq!(signed(&trial).unwrap(), "GIVEN");
        trial.store(|store| store.anonymous = true);
        assert_eq!(signed(&trial).unwrap_err().kind(), Kind::InvalidField);
    }

    #[test]
    fn nothing_found_names_what_was_looked_at() {
        let trial = Trial::new();
        let error = signed(&trial).unwrap_err();
        assert_eq!(error.kind(), Kind::CredentialsMissing);
        for place in
            ["AWS_ACCESS_KEY_ID", ".aws/credentials", "AWS_WEB_IDENTITY_TOKEN_FILE", "imds"]
        {
            assert!(error.to_string().contains(place), "{error}");
        }
    }

    #[test]
    fn anonymous_signs_nothing_and_nothing_is_read_before_the_first_signature() {
        let mut trial = Trial::new();
        trial.store(|store| store.anonymous = true);
        let chain = trial.aws().unwrap();
        let request = trial.sign(&*chain.signer("x")).unwrap();
        assert!(request.headers.iter().next().is_none());
        let mut trial = Trial::new();
        trial.give_file("access_key_id", "/nowhere").give_file("secret_access_key", "/nowhere");
        let chain = trial.aws().unwrap();
        let error = trial.sign(&*chain.signer("x")).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), Kind::SecretUnresolved);
    }
}
