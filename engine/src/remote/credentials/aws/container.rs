//! The credentials service of ECS and EKS containers.

use crate::error::Result;
use crate::model::item::Timestamp;
use crate::remote::credentials::ask::Place;
use crate::remote::credentials::aws::answer;
use crate::remote::credentials::cached::Lent;
use crate::remote::credentials::looked::Looked;
use crate::remote::credentials::means::Means;
use crate::remote::credentials::{file, value};
use crate::remote::sign::sigv4::Keys;
use secrecy::ExposeSecret as _;

const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
/// Where the service of ECS listens.
const ECS: &str = "http://169.254.170.2";

/// The credentials of the container, where it has a service for them.
///
/// # Errors
/// `InvalidField` for a service that is elsewhere; those of the service.
pub(super) fn find(
    means: &Means,
    _now: Timestamp,
    looked: &mut Looked,
) -> Result<Option<Lent<Keys>>> {
    let environment = &means.environment;
    let place = match (environment.text(RELATIVE)?, environment.text(FULL)?) {
        (Some(path), _) => {
            let slash = if path.starts_with('/') { "" } else { "/" };
            Place::metadata(&[ECS, slash, &path].concat(), RELATIVE)?
        }
        (None, Some(url)) => Place::metadata(&url, FULL)?,
        (None, None) => {
            looked.at(format!("environment {RELATIVE}, {FULL}"));
            return Ok(None);
        }
    };
    let token = match (environment.bytes(TOKEN_FILE), environment.secret(TOKEN)?) {
        (Some(path), _) => Some(value::secret(TOKEN_FILE, &file::needed(&path)?)?),
        (None, Some(token)) => Some(value::secret(TOKEN, token.expose_secret())?),
        (None, None) => None,
    };
    let mut request = place.request("GET");
    if let Some(token) = &token {
        request = request.header("authorization", token.expose_secret());
    }
    looked.at("the container's credentials service");
    let doing = "failed to get the container's credentials";
    let Some(body) = means.asker.metadata(&request, doing)? else { return Ok(None) };
    answer::keys(&body, "the container's credentials service").map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::remote::credentials::trial::{Service, Trial, canary};

    const KEYS: &str = r#"{"AccessKeyId":"ECS","SecretAccessKey":"s","Token":"t",
        "Expiration":"2026-01-01T06:00:00Z"}"#;

    #[test]
    fn the_service_is_asked_with_its_token_and_nowhere_else() {
        let service = Service::new(vec![(200, KEYS.to_owned())]);
        let mut trial = Trial::new();
        trial.set(FULL, &format!("{}/get?a=b", service.url)).set(TOKEN, "first");
        assert_eq!(trial.aws_key(), "ECS");
        let path = trial.home("token", "second\n");
        trial.set(TOKEN_FILE, &path);
        assert_eq!(trial.aws_key(), "ECS");
        let asked = service.asked();
        assert!(asked[0].starts_with("GET /get?a=b HTTP/1.1"), "{}", asked[0]);
        assert!(asked[0].contains("authorization: first") && asked[1].contains(": second"));
        trial.set(TOKEN_FILE, "").set(TOKEN, &format!("{}\nx: y", canary()));
        trial.refuses_aws(Kind::SecretUnresolved, TOKEN);
        for url in ["http://10.0.0.1/", "http://169.254.169.253/", "nothing"] {
            trial.set(FULL, url);
            trial.refuses_aws(Kind::InvalidField, FULL);
        }
        trial.set(RELATIVE, "@evil.example/x");
        let place = Place::metadata(&[ECS, "/", "@evil.example/x"].concat(), RELATIVE).unwrap();
        assert_eq!(&*place.origin.host, "169.254.170.2");
    }

    #[test]
    fn what_it_refuses_is_not_repeated() {
        let service = Service::new(vec![(403, canary())]);
        let mut trial = Trial::new();
        trial.set(FULL, &service.url).set(TOKEN, &canary());
        trial.refuses_aws(Kind::CredentialsRefused, "the container's credentials");
        let service = Service::new(vec![(404, canary())]);
        trial.set(FULL, &service.url);
        trial.refuses_aws(Kind::CredentialsMissing, "the container's credentials service");
    }
}
